# SPDX-License-Identifier: GPL-3.0-or-later
"""A real accelerator without a GPU: OpenVINO on the CPU. Its ONNX Runtime is named by DT_TEST_OPENVINO_LIBRARY; the
long test run fetches it with pip. Without either the tests are skipped."""
import array
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

import harness
from harness import CliTest, tiff_tags


def fetch(folder):
    """The package's libraries, unpacked; the runtime among them, or None."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", folder,
               "onnxruntime-openvino"]
    try:
        subprocess.run(command, check=True, timeout=600, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (subprocess.SubprocessError, OSError):
        return None
    for wheel in glob.glob(os.path.join(folder, "*.whl")):
        with zipfile.ZipFile(wheel) as z:
            z.extractall(folder, [n for n in z.namelist() if ".so" in n and "pybind" not in n])
    found = glob.glob(os.path.join(folder, "onnxruntime", "capi", "libonnxruntime.so*"))
    return found[0] if found else None


class OpenVINO(CliTest):
    models = ("denoise-conv3", "denoise-sigma", "denoise-unet")

    @classmethod
    def setUpClass(cls):
        cls.library = os.environ.get("DT_TEST_OPENVINO_LIBRARY")
        if not cls.library and harness.LONG:
            folder = tempfile.mkdtemp(prefix="dt-openvino-")
            cls.addClassCleanup(shutil.rmtree, folder, True)
            cls.library = fetch(folder)
        if not cls.library:
            raise unittest.SkipTest("no ONNX Runtime with OpenVINO: set DT_TEST_OPENVINO_LIBRARY, or make test-long")

    def setUp(self):
        super().setUp()
        self.cache = self.path("cache")
        self.write_airc("plugins/ai/enabled=TRUE\nplugins/ai/models/active/denoise=denoise-conv3\n"
                        "plugins/ai/ort_library_path=%s\n" % self.library)

    def samples(self, path):
        data = harness.read_bytes(path)
        tags = tiff_tags(data)
        values = array.array("f")
        for offset, size in zip(tags[273], tags[279]):
            values.frombytes(data[offset:offset + size])
        return values

    def test_it_is_found(self):
        self.assertRegex(self.assert_ok(self.run_cli("providers")).out, r"(?m)^OpenVINO +Intel OpenVINO +works$")

    def test_results_agree_with_the_cpu(self):
        picture = self.make("a.tif", 300, 260)
        for model in self.models:
            results = []
            for provider, shown in (("CPU", "CPU"), ("OpenVINO", "Intel OpenVINO"), ("auto", "Intel OpenVINO")):
                out = self.file("%s-%s.tif" % (model, provider))
                result = self.assert_ok(self.denoise("--model", model, "--provider", provider, "--bit-depth", 32,
                                                     "--compression", "none", "-o", out, picture))
                self.assertIn("%s on %s," % (model, shown), result.err, "what really ran is said")
                results.append(self.samples(out))
            for other in results[1:]:
                self.assertEqual(len(other), len(results[0]))
                self.assertLessEqual(max(abs(a - b) for a, b in zip(results[0], other)), 2e-3, model)

    def test_a_device_that_is_not_there(self):
        """Asked for strictly: an error with the reason. By auto: the CPU instead."""
        picture = self.make("a.tif", 64, 48)
        absent = ("--conf", "plugins/ai/openvino_device=NPU")
        result = self.denoise(*absent, "--provider", "OpenVINO", "-o", self.file("o.tif"), picture)
        self.assertEqual(result.code, 6, result)
        self.assertFalse(os.path.exists(self.file("o.tif")))
        self.assertIn(" on CPU,", self.assert_ok(self.denoise(*absent, "-o", self.file("o.tif"), picture)).err)


if __name__ == "__main__":
    harness.main()
