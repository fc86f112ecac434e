# SPDX-License-Identifier: GPL-3.0-or-later
"""Every write, sync and rename of a job fails once, one after the other: nothing may be lost.

    test_fault.py SOURCE_DIR BUILD_DIR
"""
import hashlib
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = sys.argv[1], sys.argv[2]
sys.path.insert(0, SOURCE + "/tests/cli")
import raws  # noqa: E402

INPUTS = {"in.tif", "in.dng"}
PROGRAM, PICTURE = BUILD + "/bin/darktable-ai", BUILD + "/bin/picture"
VERSION = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True).stdout
HAS_RAWS = "camera raws: not built in" not in VERSION
SHIM = BUILD + "/tests/fail_io.so"


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class Fault(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.d = self.dir.name
        os.makedirs(self.d + "/config")
        os.symlink(SOURCE + "/tests/fixtures/models", self.d + "/config/models")
        with open(self.d + "/config/darktable-airc", "w") as f:
            f.write("plugins/ai/enabled=TRUE\n")
        os.makedirs(self.d + "/pictures")
        subprocess.run([PICTURE, "make", self.d + "/pictures/in.tif", "300", "500"], check=True)
        with open(self.d + "/pictures/in.dng", "wb") as f:
            f.write(raws.dng(300, 200, "RGGB"))
        self.inputs = self.digest_inputs()
        for name in ("warm-up.tif", "warm-up.dng")[:1 + HAS_RAWS]:
            self.run_job(0, name)  # measures the model; that is not what is tested
            os.unlink(self.d + "/pictures/" + name)

    def tearDown(self):
        self.dir.cleanup()

    def digest_inputs(self):
        return [digest(self.d + "/pictures/" + name) for name in sorted(INPUTS)]

    def run_job(self, fail_at, output, all_later=False):
        env = dict(os.environ, LD_PRELOAD=SHIM, DT_FAIL_AT=str(fail_at), DT_COUNT=self.d + "/count")
        if all_later:
            env["DT_FAIL_ALL"] = "1"
        task, model, source = (("rawdenoise", "rawdenoise-nearest", "in.dng") if output.endswith(".dng")
                               else ("denoise", "denoise-conv3", "in.tif"))
        return subprocess.run([PROGRAM, "--configdir", "config", "--cachedir", "cache", task, "--overwrite",
                               "--model", model, "-o", "pictures/" + output, "pictures/" + source],
                              cwd=self.d, env=env, capture_output=True, text=True, timeout=60)

    def calls(self, output):
        """How many calls a job makes that could fail, and what it writes when none does."""
        self.assertEqual(self.run_job(0, output).returncode, 0)
        good = digest(self.d + "/pictures/" + output)
        with open(self.d + "/count") as f:
            return int(f.read()), good

    def set_output(self, output, content):
        path = self.d + "/pictures/" + output
        if os.path.exists(path):
            os.unlink(path)
        if content is not None:
            with open(path, "wb") as f:
                f.write(content)

    def fail_each(self, output, old, all_later):
        calls, good = self.calls(output)
        self.assertGreater(calls, 2)
        step = 1 if os.environ.get("DT_TEST_LONG") else max(1, calls // 25)
        for n in sorted(set(range(1, calls + 1, step)) | set(range(max(1, calls - 6), calls + 1))):
            self.set_output(output, old)
            result = self.run_job(n, output, all_later)
            what = f"{output}, failure {n} of {calls}, all later: {all_later}: {result.returncode} {result.stderr}"
            self.assertEqual(self.digest_inputs(), self.inputs, what)
            there = INPUTS | ({output} if old is not None or result.returncode == 0 else set())
            self.assertEqual(set(os.listdir(self.d + "/pictures")), there, what)
            if result.returncode == 0:  # a failure that may be forgiven: the result is whole
                self.assertEqual(digest(self.d + "/pictures/" + output), good, what)
                continue
            self.assertEqual(result.returncode, 4, what)
            self.assertEqual(result.stdout, "", what)
            self.assertEqual(len(result.stderr.splitlines()), 1, what)
            if old is not None:
                self.assertEqual(digest(self.d + "/pictures/" + output), hashlib.sha256(old).hexdigest(), what)

    def test_new_output(self):
        for name in ("out.tif", "out.png", "out.jpg", "out.dng")[:3 + HAS_RAWS]:
            for all_later in (False, True):
                with self.subTest(name=name, all_later=all_later):
                    self.fail_each(name, None, all_later)
                    self.set_output(name, None)

    def test_replaced_output(self):
        self.fail_each("out.tif", b"the old result", False)
        self.set_output("out.tif", None)
        if HAS_RAWS:
            self.fail_each("out.dng", b"the old result", False)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
