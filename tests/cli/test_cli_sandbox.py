# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program does to the system, as the kernel sees it: no network, inputs opened for reading only, and
nothing made, written, renamed or removed outside its output, cache and configuration directories."""
import os
import re
import shutil
import unittest

import harness
from harness import CliTest

CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+|\?)(?: (\w+))?")
DIRECTORY = re.compile(r"(?:\d+|AT_FDCWD)<([^>]*)>")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
CHANGES = {"creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "link",
           "linkat", "symlink", "symlinkat", "mknod", "mknodat", "chmod", "fchmodat", "chown", "lchown", "fchownat",
           "truncate", "utime", "utimes", "utimensat", "setxattr", "removexattr"}
WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND|O_TMPFILE")


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class Sandbox(CliTest):
    def trace(self, *args, **options):
        """The calls of one run: (name, arguments, failed)."""
        log = self.path("trace")
        command = [shutil.which("strace"), "-f", "-y", "-s", "4096", "-e", "trace=network,file", "-o", log]
        result = self.run_command(command + self.command(*args),
                                  env=self.environment(ASAN_OPTIONS="detect_leaks=0"), **options)
        if "ptrace" in result.err and result.code != 0:
            self.skipTest("strace is not permitted here")
        calls, pending = [], {}
        with open(log, errors="surrogateescape") as f:
            for line in f:
                thread = line.split(" ", 1)[0]
                if line.rstrip().endswith("<unfinished ...>"):
                    pending[thread] = line.rstrip()[:-len("<unfinished ...>")]
                    continue
                resumed = re.match(r"\d+ +<\.\.\. \w+ resumed>(.*)", line)
                if resumed:
                    line = pending.pop(thread, "") + resumed.group(1)
                call = CALL.match(line)
                if call:
                    calls.append((call.group(1), call.group(2), call.group(3).startswith("-")))
        self.assertTrue(any("libglib" in c[1] for c in calls), "the trace is empty")
        return result, calls

    def check(self, calls, allowed, inputs=()):
        for name, arguments, failed in calls:
            self.assertFalse(name in ("socket", "connect", "bind", "sendto") and re.search("AF_INET|PF_INET", arguments),
                             "network: %s(%s)" % (name, arguments))
            self.assertFalse(name == "connect", "%s(%s)" % (name, arguments))
            opened = name in ("open", "openat", "openat2") and WRITING.search(arguments)
            if not opened and name not in CHANGES:
                continue
            base = DIRECTORY.match(arguments)  # of an open directory, for the calls that take one
            for path in STRING.findall(arguments):
                path = os.path.normpath(os.path.join(base.group(1) if base else self.work, path))
                if path.startswith("/proc/self/") or path in ("/dev/null", "/dev/tty"):
                    continue
                self.assertTrue(any(path == a or path.startswith(a + "/") for a in allowed),
                                "outside: %s(%s)" % (name, arguments))
                self.assertFalse(any(path == os.path.normpath(i) for i in inputs), "input: %s(%s)" % (name, arguments))

    def test_denoise(self):
        os.mkdir(self.file("in"))
        os.mkdir(self.file("out"))
        pictures = [self.make("in/" + n) for n in ("a.tif", "b.png", "c.jpg")]
        inputs_before = self.snapshot(self.file("in"))
        self.cache = self.path("cache")  # a fresh one: the measurement is made under watch
        result, calls = self.trace("denoise", "-o", "out", *pictures)
        self.assert_ok(result)
        self.check(calls, [self.file("out"), self.cache], pictures)
        # each input is opened, and never for writing
        for picture in pictures:
            opened = [c for c in calls if c[0] == "openat" and '"%s"' % picture in c[1]]
            self.assertTrue(opened and all("O_RDONLY" in c[1] for c in opened), opened)
        self.assertEqual(self.snapshot(self.file("in")), inputs_before)
        self.assertEqual(os.listdir(self.path("home")), [], "something was left in the home directory")
        self.assertEqual(os.listdir(self.path("tmp")), [], "something was left in the temporary directory")
        self.assertEqual(sorted(os.listdir(self.file("out"))), ["a_denoise.tif", "b_denoise.tif", "c_denoise.tif"])

    def test_models(self):
        """Every verb that is not about a repository: no network, and nothing but the configuration is written."""
        folder, package = os.path.join(harness.FIXTURES, "denoise-sigma"), self.file("p.dtmodel")
        self.cache = self.path("cache")
        for args in (("pack", folder, "-o", package), ("install", package), ("list",), ("info", "denoise-sigma"),
                     ("activate", "denoise-sigma"), ("verify", "denoise-sigma"), ("rescan",),
                     ("deactivate", "denoise"), ("remove", "denoise-sigma")):
            with self.subTest(args[0]):
                result, calls = self.trace("models", *args)
                self.assert_ok(result)
                self.check(calls, [self.config, self.cache] + ([self.work] if args[0] == "pack" else []), [])
        self.assertEqual(os.listdir(self.path("home")), [])
        self.assertEqual(os.listdir(self.path("tmp")), [])

    def test_bundled_model(self):
        """The model that comes along asks for nothing more than the others."""
        if not os.path.isdir(os.path.join(harness.SOURCE, "data", "models", "denoise-leaves")):
            self.skipTest("there is no bundled model")
        picture = self.make("a.tif")
        result, calls = self.trace("denoise", "--model", "denoise-leaves", picture)
        self.assert_ok(result)
        self.check(calls, [self.work, self.cache], [picture])

    def test_default_output(self):
        os.mkdir(self.file("in"))
        picture = self.make("in/a.tif")
        result, calls = self.trace("denoise", "in/a.tif")
        self.assert_ok(result)
        self.check(calls, [self.file("in"), self.cache], [picture])

    def test_dry_run_and_the_commands_that_look(self):
        picture = self.make("a.tif")
        self.assert_ok(self.denoise("--dry-run", picture))  # the measurement is in the cache now
        for args in (["denoise", "--dry-run", picture], ["models"], ["providers"], ["doctor"], ["prefs"], ["--version"]):
            with self.subTest(args=args):
                result, calls = self.trace(*args)
                self.assert_ok(result)
                self.check(calls, [], [picture])
        self.assertEqual(os.listdir(self.path("home")), [])
        self.assertEqual(os.listdir(self.path("tmp")), [])

    def test_settings(self):
        for args in (["enable"], ["prefs", "set", "plugins/ai/memory", "1G"], ["disable"]):
            result, calls = self.trace(*args)
            self.assert_ok(result)
            self.check(calls, [self.config])

    def test_failures(self):
        bad = self.write("bad.tif", b"II*\0 this is no picture")
        result, calls = self.trace("denoise", bad)
        self.assertEqual(result.code, 3)
        self.check(calls, [self.work, self.cache], [bad])

    @unittest.skipUnless(harness.LONG, "takes half a minute; set DT_TEST_LONG")
    def test_a_long_run_stays_silent(self):
        """What calls home does so after some seconds."""
        self.add_model("test-slow", "slow", task="denoise", attributes={"input_sizes": [64]})
        picture = self.make("a.tif", 600, 400)
        result, calls = self.trace("denoise", "--model", "slow", picture, timeout=300)
        self.assert_ok(result)
        self.assertGreater(result.seconds, 10)
        self.check(calls, [self.work, self.cache], [picture])


if __name__ == "__main__":
    harness.main()
