# SPDX-License-Identifier: GPL-3.0-or-later
"""A real accelerator without a GPU: OpenVINO on the CPU. Its ONNX Runtime is that of runtimes.py, or another one that
DT_TEST_OPENVINO_LIBRARY names."""
import glob
import json
import os

import harness
import runtimes

LIMIT = 2e-3  # in single precision


class OpenVINO(runtimes.RuntimeTest):
    @classmethod
    def setUpClass(cls):
        cls.library = os.environ.get("DT_TEST_OPENVINO_LIBRARY") or runtimes.openvino()
        super().setUpClass()

    def providers(self):
        lines = [json.loads(line) for line in self.assert_ok(self.run_cli("providers", "--json")).out.splitlines()]
        return {line["provider"]: line for line in lines}

    def test_it_is_found(self):
        found = self.providers()
        openvino = found["OpenVINO"]
        self.assertEqual((openvino["works"], openvino["reason"], found["auto"]["takes"]), (True, "", "OpenVINO"))
        self.assertRegex(openvino["driver"], r"^OpenVINO 20\d\d\.")
        cpu, = (device for device in openvino["devices"] if device["id"] == "CPU")
        self.assertTrue(cpu["name"])
        self.assertEqual((openvino["device"], cpu["software"]), (cpu["name"], False))
        out = self.assert_ok(self.run_cli("providers")).out
        self.assertRegex(out, r"(?m)^OpenVINO +Intel OpenVINO +works on .+ \(OpenVINO 20\d\d\..*\)$")
        self.assertIn(cpu["name"], out)
        self.assertRegex(out, r"(?m)^auto +auto +takes Intel OpenVINO$")

    def compare(self, model, picture):
        _, wanted = self.floats(picture, "CPU", "--model", model)
        for provider in ("OpenVINO", "auto"):
            result, got = self.floats(picture, provider, "--model", model)
            self.assertRegex(result.err, r"(?m)^darktable-ai: .*: %s on Intel OpenVINO \(.+; nodes OpenVINO \d+" % model,
                             "what really ran is said")
            self.assert_close(wanted, got, LIMIT, "%s on %s, %s" % (model, os.path.basename(picture), provider))

    def test_results_agree_with_the_cpu(self):
        picture = self.make("a.tif", 300, 260)
        for model in self.models:
            with self.subTest(model):
                self.compare(model, picture)

    def test_a_photograph_agrees_with_the_cpu(self):
        picture = self.photograph()
        for model in self.models + (self.bundled_model(),):
            with self.subTest(model):
                self.compare(model, picture)

    def test_the_last_line_for_programs(self):
        done = json.loads(self.assert_ok(self.denoise("--json", "-o", self.file("o.tif"), self.make("a.tif"))).out)
        self.assertEqual((done["provider"], done["fallback"]), ("OpenVINO", ""))
        self.assertEqual(done["device"], self.providers()["OpenVINO"]["device"])
        self.assertRegex(done["nodes"], r"^OpenVINO \d+(, CPU \d+)?$")

    # --- what is kept

    def kept_files(self):
        """Verdicts and compiled graphs; a file that is written anew is another file."""
        paths = glob.glob(os.path.join(glob.escape(self.cache), "ai_v2_openvino_*", "*", "*"))
        return {path: os.stat(path).st_mtime_ns for path in paths if path.endswith(".blob") or "/trial-" in path}

    def test_what_was_found_out_is_kept(self):
        self.fresh_cache()
        picture, verdicts = self.make("a.tif", 300, 260), []
        for when in ("just now", "remembered"):
            result = self.assert_ok(self.denoise("-d", "ai", "--overwrite", "-o", self.file("o.tif"), picture))
            self.assertIn("probe: Intel OpenVINO: available", result.err)
            self.assertIn("trial: denoise-conv3 on Intel OpenVINO, %s: works" % when, result.err)
            verdicts.append({path: time for path, time in self.kept_files().items() if "/trial-" in path})
        self.assertNotIn("just now", result.err)
        self.assertEqual(len(verdicts[0]), 1)
        self.assertEqual(verdicts[0], verdicts[1], "nothing was tried again")
        # OpenVINO 2025.4 compiles for a CPU in each session, and writes it down each time
        blobs = [path for path in self.kept_files() if path.endswith(".blob")]
        self.assertIn(os.path.dirname(next(iter(verdicts[0]))), map(os.path.dirname, blobs))

    def test_side_by_side(self):
        """Several programs at once, none of which finds anything: each of them compiles, and none disturbs another."""
        self.fresh_cache()
        picture = self.make("a.tif", 300, 260)
        processes = [self.start("denoise", "--provider", "OpenVINO", "-o", self.file("o-%d.tif" % i), picture)
                     for i in range(6)]
        for process in processes:
            with process:
                _, err = process.communicate(timeout=300)
            self.assertEqual(process.returncode, 0, err)
            self.assertRegex(err, rb"nodes OpenVINO \d+")

    def test_listing_and_clearing(self):
        self.fresh_cache()
        picture = self.make("a.tif", 300, 260)
        self.assert_ok(self.denoise("-o", self.file("o.tif"), picture))
        self.assert_ok(self.denoise("--provider", "CPU", "--overwrite", "-o", self.file("o.tif"), picture))
        version = self.assert_ok(self.run_cli("doctor")).out.split("ONNX Runtime ")[1].split(",")[0]
        listed = self.assert_ok(self.run_cli("cache", "list")).out
        self.assertRegex(listed, r"(?m)^openvino +%s +denoise-conv3 +\d+\.\d MiB  20\d\d-" % version)
        entries = [json.loads(line) for line in self.assert_ok(self.run_cli("cache", "list", "--json")).out.splitlines()]
        entry, = (e for e in entries if e["provider"] == "openvino" and e["model"] == "denoise-conv3")
        self.assertGreater(entry["bytes"], 1000)
        self.assertTrue(os.path.isdir(entry["path"]))
        self.assert_ok(self.run_cli("cache", "clear", "openvino"))
        self.assertEqual(self.kept_files(), {})
        left = self.assert_ok(self.run_cli("cache", "list")).out
        self.assertNotIn("openvino", left)
        self.assertRegex(left, "(?m)^cpu ", "what is of others stays")
        again = self.assert_fails(self.run_cli("cache", "clear", "openvino"), 1, "cache list")
        self.assertIn("openvino", again.err)

    # --- devices

    def assert_refused(self, device, *words):
        """Asked for on the command line: an error with the reason. By the setting: the CPU instead, with a word."""
        picture, out = self.make("a.tif", 64, 48), self.file("o.tif")
        chosen = ("--conf", "plugins/ai/openvino_device=" + device)
        self.assert_fails(self.denoise(*chosen, "--provider", "OpenVINO", "-o", out, picture), 6,
                          "The execution provider Intel OpenVINO cannot be used", *words)
        self.assertFalse(os.path.exists(out))
        for more in ((), ("--conf", "plugins/ai/provider=OpenVINO")):
            result = self.assert_ok(self.denoise(*chosen, *more, "--overwrite", "-o", out, picture))
            self.assertIn("darktable-ai: Running on CPU instead. Intel OpenVINO: ", result.err)
            self.assertIn("denoise-conv3 on CPU, ", result.err)
            for word in words:
                self.assertIn(word, result.err)
            self.assertNotIn("openvino_provider_factory", result.err, "no places in somebody's source")

    def test_a_device_that_is_not_there(self):
        if any(device["id"].startswith("NPU") for device in self.providers()["OpenVINO"]["devices"]):
            self.skipTest("this machine has an NPU")
        self.assert_refused("NPU", "Device NPU is not available")

    def test_a_device_that_never_was(self):
        """OpenVINO accepts the name and leaves everything to the CPU; that is not called OpenVINO."""
        self.assert_refused("nonsense", 'it leaves everything to the CPU (the setting plugins/ai/openvino_device is "nonsense")')

    def test_devices_joined(self):
        result = self.assert_ok(self.denoise("--conf", "plugins/ai/openvino_device=AUTO:CPU", "--provider", "OpenVINO", "-o",
                                             self.file("o.tif"), self.make("a.tif", 64, 48)))
        self.assertRegex(result.err, r"denoise-conv3 on Intel OpenVINO \(.*nodes OpenVINO \d+")


if __name__ == "__main__":
    harness.main()
