# SPDX-License-Identifier: GPL-3.0-or-later
"""A real GPU provider without a GPU: WebGPU on SwiftShader, a Vulkan driver that computes on the processor. Slow: the
bundled model is left to the long test run."""
import ctypes.util
import json
import os
import unittest

import harness
import runtimes

DEVICE = r"SwiftShader Device \([^)]*\)"
LIMIT = 2e-3


class WebGPU(runtimes.RuntimeTest):
    @classmethod
    def setUpClass(cls):
        cls.library = runtimes.onnxruntime("1.30.0")
        cls.driver = runtimes.swiftshader()
        super().setUpClass()

    def environment(self, **more):
        """With the loader of Vulkan drivers, and one driver for it."""
        env = {"VK_ICD_FILENAMES": os.path.join(self.driver, "vk_swiftshader_icd.json"), "LD_LIBRARY_PATH": self.driver}
        env.update(more)
        return super().environment(**env)

    def without_vulkan(self):
        if ctypes.util.find_library("vulkan"):
            self.skipTest("this system has a loader of Vulkan drivers")
        return super().environment()

    def verdicts(self):
        """The files that tell what was tried; one that is written anew is another file."""
        found = {}
        for base, _, names in os.walk(self.cache):
            for name in names:
                if name.startswith("trial-"):
                    found[os.path.join(base, name)] = os.stat(os.path.join(base, name)).st_ino
        return found

    def test_it_is_found(self):
        out = self.assert_ok(self.run_cli("providers")).out
        self.assertRegex(out, r"(?m)^WebGPU +WebGPU +works on %s \(Vulkan 1\.\d+\.\d+, driver .+\)$" % DEVICE)
        self.assertRegex(out, r"(?m)^auto +auto +takes CPU$")

    def test_it_is_found_by_programs(self):
        lines = [json.loads(line) for line in self.assert_ok(self.run_cli("providers", "--json")).out.splitlines()]
        found = {line["provider"]: line for line in lines}
        webgpu = found["WebGPU"]
        self.assertEqual((webgpu["works"], webgpu["reason"]), (True, ""))
        self.assertRegex(webgpu["device"], DEVICE)
        device, = webgpu["devices"]
        self.assertIs(device["software"], True)
        self.assertEqual((device["id"], device["name"]), ("0", webgpu["device"]))
        self.assertEqual(found["auto"]["takes"], "CPU")

    def compare(self, model, picture):
        expected, wanted = self.floats(picture, "CPU", "--model", model)
        result, got = self.floats(picture, "WebGPU", "--model", model, timeout=900)
        self.assertRegex(result.err, r"(?m)^darktable-ai: .*: %s on WebGPU \(%s; nodes WebGPU \d+(, CPU \d+)?\), "
                         % (model, DEVICE), "the last line names provider, device and nodes")
        self.assertIn("%s on CPU, " % model, expected.err)
        self.assert_close(wanted, got, LIMIT, "%s on %s" % (model, os.path.basename(picture)))

    def test_results_agree_with_the_cpu(self):
        picture = self.make("a.tif", 64, 48)
        for model in self.models:
            with self.subTest(model):
                self.compare(model, picture)

    def test_a_photograph_agrees_with_the_cpu(self):
        for model in self.models:
            with self.subTest(model):
                self.compare(model, self.photograph())

    @unittest.skipUnless(harness.LONG, "takes minutes; set DT_TEST_LONG")
    def test_the_bundled_model_agrees_with_the_cpu(self):
        self.compare(self.bundled_model(), self.photograph())

    def test_the_last_line_for_programs(self):
        result = self.assert_ok(self.denoise("--provider", "WebGPU", "--json", "-o", self.file("o.tif"),
                                             self.make("a.tif", 64, 48)))
        done = json.loads(result.out)
        self.assertEqual((done["provider"], done["fallback"]), ("WebGPU", ""))
        self.assertRegex(done["device"], "^%s$" % DEVICE)
        self.assertRegex(done["nodes"], r"^WebGPU \d+")
        self.assertEqual(result.err, "")

    def test_auto_never_takes_it(self):
        """The processor pretending to be a GPU is slower than the processor."""
        result = self.assert_ok(self.denoise("-o", self.file("o.tif"), self.make("a.tif", 64, 48)))
        self.assertRegex(result.err, r"(?m)^darktable-ai: Running on CPU instead\. WebGPU: there is no GPU for it, only %s$"
                         % DEVICE)
        self.assertIn("denoise-conv3 on CPU, ", result.err)

    def test_the_second_run_knows_what_the_first_found(self):
        self.fresh_cache()
        picture, seconds, files = self.make("a.tif", 64, 48), [], []
        for when in ("just now", "remembered"):
            result = self.assert_ok(self.denoise("-d", "ai", "--provider", "WebGPU", "--overwrite", "-o",
                                                 self.file("o.tif"), picture))
            self.assertIn("trial: denoise-conv3 on WebGPU, %s: works" % when, result.err)
            seconds.append(result.seconds)
            files.append(self.verdicts())
        self.assertEqual(len(files[0]), 1)
        self.assertEqual(files[0], files[1], "no verdict was written anew")
        self.assertNotIn("just now", result.err)
        self.assertLess(seconds[1], seconds[0])
        # who listed nothing has nothing to clear; what was kept is listed with its model
        self.assertRegex(self.assert_ok(self.run_cli("cache", "list")).out, r"(?m)^webgpu +1\.30\.0 +denoise-conv3 ")
        self.assert_ok(self.run_cli("cache", "clear", "webgpu"))
        self.assertNotIn("webgpu", self.run_cli("cache", "list").out)

    def test_without_vulkan(self):
        env, picture, out = self.without_vulkan(), self.make("a.tif", 64, 48), self.file("o.tif")
        self.assert_fails(self.denoise("--provider", "WebGPU", "-o", out, picture, env=env), 6,
                          "The execution provider WebGPU cannot be used", "libvulkan.so.1: cannot open shared object file")
        self.assertFalse(os.path.exists(out))
        self.assertRegex(self.assert_ok(self.run_cli("providers", env=env)).out,
                         r"(?m)^WebGPU +WebGPU +no: .*libvulkan\.so\.1: cannot open shared object file")

    def test_without_a_driver(self):
        env = self.environment(VK_ICD_FILENAMES=self.file("absent.json"))
        self.assert_fails(self.denoise("--provider", "WebGPU", "-o", self.file("o.tif"), self.make("a.tif", 64, 48),
                                       env=env), 6, "No supported adapters", "no driver is installed for Vulkan")

    def test_the_setting_of_the_adapter(self):
        picture, out = self.make("a.tif", 64, 48), self.file("o.tif")
        low = ("--conf", "plugins/ai/webgpu_adapter=low-power")
        self.assertIn(" on WebGPU (", self.assert_ok(self.denoise(*low, "--provider", "WebGPU", "-o", out, picture)).err)
        os.remove(out)
        wrong = ("--conf", "plugins/ai/webgpu_adapter=fastest")
        self.assert_fails(self.denoise(*wrong, "--provider", "WebGPU", "-o", out, picture), 6,
                          'the setting plugins/ai/webgpu_adapter takes high-performance or low-power, not "fastest"')
        self.assertFalse(os.path.exists(out))
        # the setting of the provider falls back, with a word
        result = self.assert_ok(self.denoise(*wrong, "--conf", "plugins/ai/provider=WebGPU", "-o", out, picture))
        self.assertIn("Running on CPU instead. WebGPU: ", result.err)
        self.assertIn("plugins/ai/webgpu_adapter", result.err)


if __name__ == "__main__":
    harness.main()
