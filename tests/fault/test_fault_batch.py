# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch with a journal, in which every write, sync and rename fails once, or is the last thing the program does:
gone on with it gives the files of an undisturbed run.

    test_fault_batch.py SOURCE_DIR BUILD_DIR
"""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = sys.argv[1], sys.argv[2]
PROGRAM, PICTURE = BUILD + "/bin/darktable-ai", BUILD + "/bin/picture"
SHIM = BUILD + "/tests/fail_io.so"
LONG = bool(os.environ.get("DT_TEST_LONG"))
FILES = 3


def digests(directory):
    found = {}
    for base, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(base, name), "rb") as f:
                found[os.path.relpath(os.path.join(base, name), directory)] = hashlib.sha256(f.read()).hexdigest()
    return found


class FaultBatch(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.d = self.dir.name
        os.makedirs(self.d + "/config")
        os.makedirs(self.d + "/p/below")
        os.symlink(SOURCE + "/tests/fixtures/models", self.d + "/config/models")
        with open(self.d + "/config/darktable-airc", "w") as f:
            f.write("plugins/ai/enabled=TRUE\n")
        for i in range(FILES):
            name = "/p/%s%d.png" % ("below/" if i % 2 else "", i)
            subprocess.run([PICTURE, "make", self.d + name, "60", "50", str(i)], check=True)
        self.input = digests(self.d + "/p")
        self.run_batch()  # measures the model; that is not what is tested
        self.good = digests(self.d + "/o")
        self.assertEqual(len(self.good), FILES)

    def run_batch(self, **variables):
        env = dict(os.environ, **{k: str(v) for k, v in variables.items()})
        if variables:
            env.update(LD_PRELOAD=SHIM, DT_COUNT=self.d + "/count")
        return subprocess.run([PROGRAM, "--configdir", "config", "--cachedir", "cache", "denoise", "-r", "--model",
                               "denoise-conv3", "--resume", "--journal", "j", "-o", "o/{relative}/{name}.{ext}", "p"],
                              cwd=self.d, env=env, capture_output=True, text=True, timeout=60)

    def clear(self):
        shutil.rmtree(self.d + "/o", ignore_errors=True)
        if os.path.exists(self.d + "/j"):
            os.unlink(self.d + "/j")

    def moments(self, **variables):
        self.clear()
        result = self.run_batch(**variables)
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(self.d + "/count") as f:
            calls = int(f.read())
        self.assertGreater(calls, 10 * FILES)
        return range(1, calls + 1, 1 if LONG else max(1, calls // 25))

    def go_on(self, what):
        result = self.run_batch()
        self.assertEqual(result.returncode, 0, what + result.stderr)
        self.assertEqual(digests(self.d + "/o"), self.good, what)
        self.assertEqual(digests(self.d + "/p"), self.input, what)

    def test_killed_at_every_moment(self):
        for n in self.moments(DT_KILL_AT=1 << 30):
            self.clear()
            result = self.run_batch(DT_KILL_AT=n)
            self.assertEqual(result.returncode, -9, "%d: %s" % (n, result.stderr))
            self.go_on("killed before call %d: " % n)

    def test_failing_at_every_moment(self):
        for later in ({}, {"DT_FAIL_ALL": 1}):
            for n in self.moments(DT_FAIL_AT=0):
                self.clear()
                result = self.run_batch(DT_FAIL_AT=n, **later)
                what = "failure %d, %s: %d %s" % (n, later, result.returncode, result.stderr)
                self.assertIn(result.returncode, (0, 4, 9), what)
                there = digests(self.d + "/o")
                self.assertEqual({k: v for k, v in self.good.items() if k in there}, there, what)
                self.go_on(what)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
