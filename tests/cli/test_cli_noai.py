# SPDX-License-Identifier: GPL-3.0-or-later
"""A build without AI says so, kindly, and touches no runtime."""
import os
import shutil
import subprocess

import harness
from harness import CliTest

NO_AI = "this build has no AI support; ask your distribution's package maintainer to enable it, or use an official build"


class NoAi(CliTest):
    def test_what_needs_ai(self):
        picture = self.make("a.tif")
        before = self.snapshot()
        for args in (["denoise", picture], ["denoise", "--dry-run", picture], ["mask", picture, "--point", "1,1"], ["models"], ["models", "info", "x"],
                     ["providers"], ["runtime"], ["runtime", "install", "openvino"], ["enable"], ["--conf", "plugins/ai/enabled=TRUE", "denoise", picture]):
            with self.subTest(args=args):
                result = self.assert_fails(self.run_cli(*args), 10)
                self.assertEqual(result.err.rstrip("\n").rstrip("."), "darktable-ai: " + NO_AI)
        self.assertEqual(self.snapshot(), before)

    def test_switched_off_as_well(self):
        self.write_airc("")
        for args in (["denoise", "a.tif"], ["models"], ["providers"]):
            self.assert_fails(self.run_cli(*args), 10, NO_AI)

    def test_version_and_doctor_say_so(self):
        self.assertIn("no AI support", self.assert_ok(self.run_cli("--version")).out)
        self.assertIn(NO_AI, self.assert_ok(self.run_cli("doctor")).out)

    def test_the_rest_works(self):
        self.assert_ok(self.run_cli("--help"))
        self.assert_ok(self.run_cli("denoise", "--help"))
        self.assert_ok(self.run_cli("disable"))
        self.assert_ok(self.run_cli("prefs", "set", "plugins/ai/memory", "2G"))
        self.assertEqual(self.run_cli("prefs", "get", "plugins/ai/memory").out, "2G\n")

    def test_usage_errors_stay_usage_errors(self):
        self.assert_fails(self.run_cli("denoise"), 2)
        self.assert_fails(self.run_cli("denoise", "--frobnicate"), 2)

    def test_no_runtime_is_linked_or_opened(self):
        with open(harness.PROGRAM, "rb") as f:
            program = f.read()
        for word in (b"OrtGetApiBase", b"libonnxruntime"):
            self.assertNotIn(word, program)
        self.assertFalse(os.path.exists(os.path.join(harness.BUILD, "lib", "darktable-ai", "libonnxruntime.so.1")))
        if shutil.which("ldd"):
            self.assertNotIn("onnxruntime", subprocess.run(["ldd", harness.PROGRAM], capture_output=True, text=True).stdout)
        strace = shutil.which("strace")
        if strace:
            log = self.path("trace")
            self.run_command([strace, "-f", "-e", "trace=openat", "-o", log] + self.command("denoise", self.make("a.tif")))
            with open(log) as f:
                self.assertNotIn("onnxruntime", f.read())


if __name__ == "__main__":
    harness.main()
