# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenCL devices: the list at start, the command with its verbs, and machines without. The driver is a fake that does what a script
says (tests/fake_opencl/README.md), and PoCL where it is installed."""
import glob
import json
import os
import re
import shutil
import signal
import time

import harness
from harness import CliTest

GTS_AND_TAHITI = """\
name=GeForce GTS 450;platform=NVIDIA CUDA;vendor=NVIDIA Corporation;driver=390.157;pci=0000:01:00.0;pci_by=nv;memory=1G
name=Tahiti;platform=AMD Accelerated Parallel Processing;pci=0000:02:00.0;pci_by=amd;memory=3G
"""
LIST = """\
[opencl_init] successfully initialized.
[opencl_init] here are the internal numbers and names of OpenCL devices available to darktable:
[opencl_init]\t\t0\t'GeForce GTS 450'
[opencl_init]\t\t1\t'Tahiti'
[opencl_init] FINALLY: opencl is AVAILABLE on this system.
"""
NOT_AVAILABLE = "[opencl_init] FINALLY: opencl is NOT AVAILABLE on this system.\n"
KEYS = ["schema_version", "number", "name", "identity", "pci", "platform", "vendor", "driver_version", "version", "type",
        "memory", "max_alloc", "compute_units", "unified", "used", "reason"]


def library(name="libfake_opencl.so"):
    return os.path.join(harness.BUILD, "tests", name)


class OpenclTest(CliTest):
    models = ()
    enabled = False

    def run_fake(self, script, *args, **options):
        env = self.environment(FAKE_OPENCL=script)
        return self.run_cli("--conf", "opencl_library=" + library(), *args, env=env, **options)

    def devices(self, result):
        self.assert_ok(result)
        rows = [json.loads(line) for line in result.out.splitlines()]
        for row in rows:
            self.assertEqual(list(row), KEYS)
            self.assertEqual(row["schema_version"], 1)
            self.assertEqual(row["used"], row["number"] is not None, row)
            self.assertEqual(row["used"], row["reason"] == "", row)
        used = [row["number"] for row in rows if row["used"]]
        self.assertEqual(used, list(range(len(used))))
        return rows


class List(OpenclTest):
    """-d opencl"""

    def test_the_example_of_the_manual(self):
        result = self.assert_ok(self.run_fake(GTS_AND_TAHITI, "-d", "opencl"))
        self.assertIn(LIST, result.err)
        self.assertEqual(result.out, "")

    def test_whatever_the_command_and_once(self):
        for args in (["-d", "opencl", "prefs", "list"], ["prefs", "list", "-d", "opencl"], ["-d", "all", "prefs", "list"],
                     ["-d", "opencl", "-d", "perf", "cache", "-d", "opencl", "list"], ["-d", "opencl", "disable"]):
            with self.subTest(args=args):
                result = self.assert_ok(self.run_fake(GTS_AND_TAHITI, *args))
                self.assertEqual(result.err.count(LIST), 1, result)
                self.assertNotIn("opencl_init", result.out)

    def test_nothing_is_loaded_unasked(self):
        """A script with a mistake would end the process."""
        for args in (["--version"], ["-d", "opencl", "--version"], ["prefs", "list"], ["-d", "ai", "prefs", "list"],
                     ["-d", "opencl", "opencl", "--help"]):
            with self.subTest(args=args):
                self.assertNotIn("opencl_init", self.assert_ok(self.run_fake("nonsense=1", *args)).err)

    def test_a_command_that_is_none(self):
        result = self.run_fake(GTS_AND_TAHITI, "-d", "opencl", "frob")
        self.assertEqual(result.code, 2)

    def test_not_available(self):
        for script, conf, words in (("", "opencl=TRUE", "no driver for OpenCL is installed"),
                                    (GTS_AND_TAHITI, "opencl=FALSE", "OpenCL is switched off"),
                                    ("name=Old;version=OpenCL 1.1", "opencl=TRUE", "'Old' of the platform 'Fake': it knows"),
                                    ("fail=GetPlatformIDs\nname=A", "opencl=TRUE", "clGetPlatformIDs failed with CL_OUT_OF_R")):
            with self.subTest(words=words):
                result = self.assert_ok(self.run_fake(script, "--conf", conf, "-d", "opencl"))
                self.assertTrue(result.err.endswith(NOT_AVAILABLE), result)
                self.assertIn(words, result.err)
                self.assertNotIn("successfully", result.err)


class Devices(OpenclTest):
    def test_table(self):
        for args in (["opencl"], ["opencl", "devices"]):
            result = self.assert_ok(self.run_fake(GTS_AND_TAHITI + "name=Karte \\303\\244;available=0", *args))
            self.assertEqual(result.err, "")
            self.assertRegex(result.out, r"(?m)^0 +GeForce GTS 450 +gpu +1\.0 GiB +pci:0000:01:00\.0 +NVIDIA CUDA$")
            self.assertRegex(result.out, r"(?m)^1 +Tahiti +gpu +3\.0 GiB +pci:0000:02:00\.0 +AMD Accelerated")
            self.assertRegex(result.out, r"(?m)^- +Karte ä +gpu .*\n    not used: it is not available$")

    def test_json(self):
        rows = self.devices(self.run_fake(GTS_AND_TAHITI + "name=\\\"Old\\\";version=OpenCL 1.1", "opencl", "--json"))
        self.assertEqual([row["number"] for row in rows], [0, 1, None])
        self.assertEqual(rows[0], {
            "schema_version": 1, "number": 0, "name": "GeForce GTS 450", "identity": "pci:0000:01:00.0",
            "pci": "0000:01:00.0", "platform": "NVIDIA CUDA", "vendor": "NVIDIA Corporation", "driver_version": "390.157",
            "version": "OpenCL 1.2 Fake", "type": "gpu", "memory": 1 << 30, "max_alloc": 1 << 28, "compute_units": 8,
            "unified": False, "used": True, "reason": ""})
        self.assertEqual((rows[2]["name"], rows[2]["identity"], rows[2]["pci"]), ('"Old"', '"Old"#1', ""))
        self.assertIn("OpenCL 1.2 is needed", rows[2]["reason"])

    def test_a_hostile_name_reaches_no_terminal(self):
        result = self.assert_ok(self.run_fake("name=A\\033]0;B\\007\\n{}".replace(";", "\\073"), "-d", "opencl", "opencl"))
        self.assertNotRegex(result.out.replace("\n", "") + result.err.replace("\n", "").replace("\t", ""), r"[\x00-\x1f\x7f]")
        self.assertIn("A ]0;B {}", result.out)

    def test_none_is_a_normal_state(self):
        text = self.write("lib.so", b"no library")
        cases = ((["opencl=FALSE"], "OpenCL is switched off; to switch it on: darktable-ai prefs set opencl TRUE"),
                 (["opencl_library=/nowhere/libOpenCL.so"], "there is no file /nowhere/libOpenCL.so"),
                 (["opencl_library=" + text], "lib.so: file too short"),
                 (["opencl_library=" + library("libfake_opencl_bare.so")], "lacks clGetDeviceIDs, clGetDeviceInfo"),
                 (["opencl_library=" + library()], "no driver for OpenCL is installed"))
        for settings, words in cases:
            for json_option in ([], ["--json"]):
                with self.subTest(settings=settings):
                    options = [word for setting in settings for word in ("--conf", setting)]
                    result = self.assert_ok(self.run_cli(*options, "opencl", "devices", *json_option))
                    self.assertEqual(result.out, "")
                    self.assertEqual(len(result.messages), 1, result)
                    self.assertIn("no OpenCL device is used: ", result.err)
                    self.assertIn(words, result.err)

    def test_settings(self):
        """What darktable's own file says holds as well."""
        with open(os.path.join(self.config, "darktablerc"), "w") as f:
            f.write("opencl=FALSE\nopencl_device_priority=*/!0,*/*/*\n")
        self.assertIn("switched off", self.assert_ok(self.run_fake(GTS_AND_TAHITI, "opencl")).err)
        self.assert_ok(self.run_cli("prefs", "set", "opencl", "TRUE"))
        self.assertIn("Tahiti", self.assert_ok(self.run_fake(GTS_AND_TAHITI, "opencl")).out)

    def test_devices_of_type_cpu(self):
        script = "name=Processor;type=cpu"
        row, = self.devices(self.run_fake(script, "opencl", "--json"))
        self.assertFalse(row["used"])
        self.assertIn("opencl_use_cpu_devices", row["reason"])
        row, = self.devices(self.run_fake(script, "--conf", "opencl_use_cpu_devices=TRUE", "opencl", "--json"))
        self.assertEqual((row["number"], row["type"], row["identity"]), (0, "cpu", "Processor#1"))

    def test_every_call_fails_once(self):
        for function, calls in (("GetPlatformIDs", 1), ("GetPlatformInfo", 2), ("GetDeviceIDs", 2), ("GetDeviceInfo", 34)):
            for k in sorted({1, calls // 2 or 1, calls}):
                with self.subTest(function=function, k=k):
                    result = self.assert_ok(self.run_fake(GTS_AND_TAHITI + "fail=%s@%d:-6" % (function, k), "-d", "opencl", "opencl"))
                    self.assertIn("CL_OUT_OF_HOST_MEMORY", result.err, result)

    def test_usage(self):
        for args in (["opencl", "frob"], ["opencl", "devices", "surplus"]):
            self.assert_fails(self.run_fake("", *args), 2, "opencl takes", "opencl --help")


class Guard(OpenclTest):
    """Drivers that crash or hang when they are asked for their devices do so in another process, once."""

    def setUp(self):
        super().setUp()
        self.cache = self.path("own cache")

    def ask(self, rule, *args):
        began = time.monotonic()
        result = self.assert_ok(self.run_fake(GTS_AND_TAHITI + rule, "--conf", "opencl_hang_seconds=2", *args))
        self.seconds = time.monotonic() - began
        return result

    def test_they_crash_and_hang(self):
        for function in ("GetPlatformIDs", "GetPlatformInfo", "GetDeviceIDs", "GetDeviceInfo"):
            for rule, words in (("crash", "crashes when it is asked for its devices (signal 6"), ("hang", "within 2 seconds")):
                with self.subTest(function=function, rule=rule):
                    self.cache = self.path(function + rule)
                    result = self.ask("%s=%s" % (rule, function), "opencl", "devices")
                    self.assertEqual(result.out, "")
                    self.assertIn(words, result.err)
                    self.assertIn("no OpenCL device is used: the OpenCL driver of ", result.err)
                    self.assertIn("cache clear opencl", result.err)
                    self.assertEqual(result.err.count("OpenCL is not used."), 1)

    def test_once(self):
        for rule in ("crash", "hang"):
            self.cache = self.path(rule)
            self.ask(rule + "=GetDeviceIDs", "opencl", "devices")
            result = self.ask(rule + "=GetDeviceIDs", "opencl", "devices")
            self.assertLess(self.seconds, 2 * harness.SLOWER, "it is known and not tried again")
            self.assertNotIn("OpenCL is not used.", result.err, "said once")
            self.assertIn("no OpenCL device is used: the OpenCL driver", result.err)
            self.assertEqual(self.ask("", "opencl", "devices").out, "", "the library is the same")
            self.assert_ok(self.run_cli("cache", "clear", "opencl"))
            self.assertIn("Tahiti", self.ask("", "opencl", "devices").out)
            self.assertIn("Tahiti", self.ask("", "opencl", "devices").out)

    def test_the_work_goes_on(self):
        """export on the CPU, whatever the driver does."""
        picture, out = self.write("in.pfm", b"PF\n1 1\n-1.0\n" + bytes(12)), self.path("out.pfm")
        result = self.ask("crash=GetDeviceInfo@7", "export", picture, "-o", out)
        self.assertIn("on the CPU", result.out)
        self.assertIn("crashes when it is asked", result.err)
        self.assertTrue(os.path.exists(out))

    def test_another_library(self):
        """A verdict is about one file as it is."""
        own = self.path("libOpenCL.so.1")
        shutil.copyfile(library(), own)

        def devices(rule):
            env = self.environment(FAKE_OPENCL=GTS_AND_TAHITI + rule)
            return self.assert_ok(self.run_cli("--conf", "opencl_library=" + own, "opencl", "devices", env=env)).out
        self.assertEqual(devices("crash=GetPlatformIDs"), "")
        self.assertEqual(devices(""), "")
        os.utime(own, (1700000000, 1700000000))
        self.assertIn("Tahiti", devices(""))

    def test_a_cache_that_cannot_be_written(self):
        with open(self.cache, "w"):
            pass
        self.assertIn("Tahiti", self.ask("", "opencl", "devices").out)
        self.assertEqual(self.ask("crash=GetPlatformIDs", "opencl", "devices").out, "")


EXAMPLE = "!GeForce GTS450,*/!Tahiti,*/Tahiti,*/Tahiti,*"
EXPLAINED = """\
Not in force, only explained: "%s".

full      1 Tahiti; then the CPU at once
preview   0 GeForce GTS 450; then the CPU at once
export    1 Tahiti, 0 GeForce GTS 450; then the CPU at once
thumbnail 1 Tahiti, 0 GeForce GTS 450; then the CPU at once
preview2  0 GeForce GTS 450; then the CPU at once

  …rce GTS450,*/!Tahiti,*/Tahiti,*/Tahiti,*
                                           ^
  there is no fifth field: preview2 has what preview has
""" % EXAMPLE
PIPES = ["full", "preview", "export", "thumbnail", "preview2"]
EVERY_REMARK = {  # a string that has it, and what it is about
    "unknown": ("1,Tahity/*/*/*/*", "Tahity"), "repeated": ("0,Tahiti,1/*/*/*/*", "1"),
    "after_wildcard": ("*,!0/*/*/*/*", "!0"), "nothing": ("0,!/*/*/*/*", "!"), "trailing": ("0*/*/*/*/*", "0*"),
    "plus": ("0,+1/*/*/*/*", "+1"), "fields": ("*/*/*/*/*/0", "/0"), "deleted": ("-1/*/*/*/*", "-1"),
    "length": ("*/*/*/*/" + "0," * 1100 + "1", None), "cpu": ("!0,!1/*/*/*/*", "!0,!1")}


class Priorities(OpenclTest):
    def priorities(self, *args, script=GTS_AND_TAHITI, settings=()):
        options = [word for setting in settings for word in ("--conf", setting)]
        return self.assert_ok(self.run_fake(script, *options, "opencl", "priorities", *args))

    def parse(self, *args, **more):
        """Its head, its pipes by name, its remarks."""
        rows = [json.loads(line) for line in self.priorities("--json", *args, **more).out.splitlines()]
        for row in rows:
            self.assertEqual(row["schema_version"], 1)
        self.assertEqual(list(rows[0]), ["schema_version", "priority", "why"])
        pipes, remarks = rows[1:6], rows[6:]
        self.assertEqual([row["pipe"] for row in pipes], PIPES)
        for row in pipes:
            self.assertEqual(list(row), ["schema_version", "pipe", "devices", "mandatory", "timeout_ms", "when_busy"])
            self.assertEqual(row["when_busy"], "wait" if row["mandatory"] else "cpu")
        for row in remarks:
            self.assertEqual(list(row), ["schema_version", "remark", "pipe", "offset", "length", "harmless", "text"])
        return rows[0], {row["pipe"]: row for row in pipes}, remarks

    def order(self, pipe):
        return [device["number"] for device in pipe["devices"]]

    def test_the_example_of_the_manual(self):
        self.assertEqual(self.priorities("--explain", EXAMPLE).out, EXPLAINED)
        settings = ["opencl_device_priority=" + EXAMPLE]
        self.assertEqual(self.priorities(settings=settings).out, EXPLAINED.replace(
            'Not in force, only explained: "%s".' % EXAMPLE,
            'In force: "%s", the opencl_device_priority given for this run.' % EXAMPLE))

    def test_json(self):
        head, pipes, remarks = self.parse("--explain", EXAMPLE)
        self.assertEqual((head["priority"], head["why"]), (EXAMPLE, None))
        self.assertEqual([self.order(pipes[name]) for name in PIPES], [[1], [0], [1, 0], [1, 0], [0]])
        self.assertEqual(pipes["full"]["devices"], [{"number": 1, "name": "Tahiti", "identity": "pci:0000:02:00.0"}])
        remark, = remarks
        self.assertEqual((remark["remark"], remark["pipe"], remark["offset"], remark["harmless"]),
                         ("fields", None, len(EXAMPLE), True))

    def test_waiting(self):
        _, pipes, _ = self.parse("--explain", "+*/+1/*//*", settings=["opencl_mandatory_timeout=300"])
        self.assertEqual([pipes[name]["timeout_ms"] for name in PIPES], [1500, 1500, 0, 0, 0])
        out = self.priorities("--explain", "+*/+1/*//*", settings=["opencl_mandatory_timeout=300"]).out
        self.assertIn("full      0 GeForce GTS 450, 1 Tahiti; waits up to 1.5 s for one of them, then the CPU\n", out)
        self.assertIn("preview   1 Tahiti; waits up to 1.5 s for it, then the CPU\n", out)
        self.assertIn("thumbnail always the CPU\n", out)

    def test_every_remark(self):
        for kind, (text, about) in EVERY_REMARK.items():
            with self.subTest(kind=kind):
                _, _, remarks = self.parse("--explain", text)
                found = [r for r in remarks if r["remark"] == kind]
                self.assertTrue(found, remarks)
                marked = [text[r["offset"]:r["offset"] + r["length"]] for r in found]
                if about:
                    self.assertIn(about, marked)
                self.assertIn(found[0]["text"], self.priorities("--explain", text).out)
        twins = "name=Twin\nname=Twin"
        _, _, remarks = self.parse("--explain", "Twin/*/*/*/*", script=twins)
        self.assertEqual([r["remark"] for r in remarks], ["twins"])
        self.assertIn('"Twin#2"', remarks[0]["text"])

    def test_profiles_leave_the_string_alone(self):
        self.assert_ok(self.run_cli("prefs", "set", "opencl_device_priority", "1/0/1/0"))
        before = self.read_airc()
        for profile, text in (("very fast GPU", "+*/+*/+*/+*/+*"), ("multiple GPUs", "*/*/*/*/*"), ("default", "1/0/1/0"),
                              ("no such", "1/0/1/0")):
            with self.subTest(profile=profile):
                head, _, _ = self.parse(settings=["opencl_scheduling_profile=" + profile])
                self.assertEqual(head["priority"], text)
                self.assertIn("darktable-airc", head["why"])
                self.assertEqual(profile not in head["why"], profile == "default", head)
                self.assert_ok(self.run_fake(GTS_AND_TAHITI, "--conf", "opencl_scheduling_profile=" + profile, "-d", "opencl"))
        self.assert_ok(self.run_cli("prefs", "set", "opencl_scheduling_profile", "very fast GPU"))
        self.assertEqual(self.parse()[0]["priority"], "+*/+*/+*/+*/+*")
        self.assertIn("opencl_device_priority=1/0/1/0", before)
        self.assertIn("opencl_device_priority=1/0/1/0", self.read_airc())

    def test_darktables_own_string(self):
        with open(os.path.join(self.config, "darktablerc"), "w") as f:
            f.write("opencl_device_priority=1/0/0/0/0\n")
        head, pipes, remarks = self.parse()
        self.assertEqual(head["why"], "your opencl_device_priority in darktablerc")
        self.assertEqual(self.order(pipes["full"]), [1])
        self.assertEqual(remarks, [])

    def test_long_strings(self):
        for text in ("Nope," * 13107, "/" * 65536, "0" * 65536, "!*" * 32768, "ä" * 32768, "*,\"\\" * 16384):
            with self.subTest(text=text[:10]):
                head, _, remarks = self.parse("--explain", text)
                self.assertEqual(head["priority"], text)
                self.assertLessEqual(len(remarks), 52)
                for remark in remarks:
                    self.assertLessEqual(remark["offset"] + remark["length"], len(text.encode()))
                self.assertLess(len(self.priorities("--explain", text).out), 60000)

    def test_names_in_utf_8(self):
        script = "name=显卡 一号\nname=Karte Äpfel"
        result = self.priorities("--explain", "显卡 一号/Karte Äpfel/1/0", script=script)
        self.assertRegex(result.out, "(?m)^preview   1 Karte Äpfel; then")
        self.assertIn("to name device 0 write 0", result.out)
        _, pipes, _ = self.parse("--explain", "0/1//", script=script)
        self.assertEqual([d["name"] for name in ("full", "preview") for d in pipes[name]["devices"]], ["显卡 一号", "Karte Äpfel"])

    def test_bytes_that_are_no_text(self):
        self.assert_fails(self.run_fake(GTS_AND_TAHITI, "opencl", "priorities", "--explain", b"*/\xff"), 2, "byte sequence")
        result = self.priorities("--explain", "*/\x1b[31m/\x07/*/*")
        self.assertNotRegex(result.out.replace("\n", ""), r"[\x00-\x1f\x7f]")

    def test_without_devices(self):
        result = self.assert_ok(self.run_fake("", "opencl", "priorities"))
        self.assertEqual(result.out.count("always the CPU"), 5)
        self.assertIn("no OpenCL device is used: ", result.err)

    def test_table_at_start(self):
        for text, rows in ((EXAMPLE, ["1 0 1 1 0", "-1 -1 0 0 -1", "mandatory NO NO NO NO NO"]),
                           ("+*/0//+1/", ["0 0 -1 1 -1", "1 -1 -1 -1 -1", "mandatory YES NO NO YES NO"])):
            result = self.assert_ok(self.run_fake(GTS_AND_TAHITI, "--conf", "opencl_device_priority=" + text, "-d", "opencl"))
            lines = [" ".join(line.split()[1:]) for line in result.err.splitlines() if line.startswith("[opencl_priorities]")]
            self.assertEqual(lines, ["these are your device priorities:", "image preview export thumbs preview2"] + rows)
            self.assertIn("'%s'" % text, result.err)
        self.assertNotIn("opencl_priorities", self.assert_ok(self.run_fake("", "-d", "opencl")).err)


TRACE = ["schema_version", "run", "pipe", "image", "device", "device_name", "nested", "begun_us", "waited_us", "ran_us", "held_us",
         "tiles", "failed", "reason"]
QUICK = ["--megapixels", "0.1", "--rounds", "1"]


class Test(OpenclTest):
    """opencl test on a driver that computes next to nothing."""

    def test_wrong(self):
        result = self.run_fake(GTS_AND_TAHITI, "opencl", "test", *QUICK)
        self.assertEqual(result.code, 1, result)
        self.assertEqual(len(re.findall(r"(?m)^  \w+ +WRONG ", result.out)), 10, result)
        self.assertIn("is left out: it does not compute everything right.", result.out)
        self.assertIn("a newer driver may help", result.err)

    def test_failing(self):
        """One device refuses all programs, another is lost: both are told, the third is tested."""
        result = self.run_fake("name=A;build_fails=no such thing\nname=B;lost=1\nname=C", "opencl", "test", *QUICK, "--json")
        self.assertEqual(result.code, 1, result)
        rows = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual(rows[-1]["suggestion"], "///")
        self.assertIn("no such thing", rows[0]["failure"])
        self.assertIsNone(rows[0]["cpu_mp_per_s"])
        self.assertTrue(all(row["failure"] for row in rows[:10]), rows)
        self.assertTrue(all(row["failure"] == "" for row in rows[10:15]), rows)

    def test_no_device(self):
        for script, settings in (("", []), (GTS_AND_TAHITI, ["--conf", "opencl=FALSE"]), ("name=Old;version=OpenCL 1.1", [])):
            self.assert_fails(self.run_fake(script, *settings, "opencl", "test"), 6, "nothing to test")

    def test_usage(self):
        for args in (["--rounds", "0"], ["--rounds", "-1"], ["--rounds", "101"], ["--rounds", "many"], ["--rounds", "1.5"],
                     ["--megapixels", "0"], ["--megapixels", "-1"], ["--megapixels", "nan"], ["--megapixels", "inf"],
                     ["--megapixels", "100.1"], ["--megapixels", "big"], ["surplus"], ["--frob"]):
            with self.subTest(args=args):
                self.assert_fails(self.run_fake(GTS_AND_TAHITI, "opencl", "test", *args), 2)

    def test_unwritable_trace(self):
        for path in ("/nowhere/trace", self.dir):
            self.assert_fails(self.run_fake(GTS_AND_TAHITI, "opencl", "test", *QUICK, "--trace", path), 4, path)

    def test_full_disk(self):
        """Ends the trace, not the test."""
        result = self.run_fake(GTS_AND_TAHITI, "opencl", "test", *QUICK, "--trace", "/dev/full")
        self.assertEqual(result.code, 1, result)
        self.assertEqual(result.err.count("is not complete"), 1, result)

    def test_interrupted(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start("--conf", "opencl_library=" + library(), "opencl", "test", "--megapixels", "4", "--rounds",
                                 "100", "--json", env=self.environment(FAKE_OPENCL="name=A;slow=20"))
            process.stdout.readline()  # it is at work
            began = time.monotonic()
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            self.assertLess(time.monotonic() - began, 3 * harness.SLOWER)
            self.assertEqual(process.returncode, 128 + number, err)
            self.assertRegex(err.decode(), "(?i)cancel|interrupt")
            self.assertNotIn(b"WRONG", err)

    def test_counters_at_the_end(self):
        result = self.run_fake(GTS_AND_TAHITI, "-d", "opencl", "opencl", "test", *QUICK)
        for name in ("GeForce GTS 450", "Tahiti"):
            self.assertRegex(result.err, r"\[opencl_summary_statistics\] device '%s' id=\d: 5 runs, 0 failed" % name)


def pocl():
    found = [path for path in glob.glob("/etc/OpenCL/vendors/*pocl*.icd")]
    return found[0] if found else None


class Pocl(OpenclTest):
    """A real driver, by way of the system's loader."""

    def setUp(self):
        super().setUp()
        if not pocl():
            self.skipTest("PoCL is not installed (pocl-opencl-icd)")
        os.makedirs(self.path("pocl"))

    def pocl(self, *args, devices="pthread", cpu=True, **more):
        env = self.environment(POCL_DEVICES=devices, POCL_CACHE_DIR=self.path("pocl"), **more)
        # the driver's compiler keeps memory to the end
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        return self.run_cli("--conf", "opencl_use_cpu_devices=" + ("TRUE" if cpu else "FALSE"), *args, env=env)

    def test_two_devices(self):
        rows = self.devices(self.pocl("opencl", "--json", devices="basic pthread"))
        self.assertEqual([row["number"] for row in rows], [0, 1])
        self.assertNotEqual(rows[0]["name"], rows[1]["name"])
        for row in rows:
            self.assertEqual(row["identity"], row["name"] + "#1")
            self.assertEqual((row["type"], row["unified"]), ("cpu", True))
            self.assertGreater(row["memory"], 256 << 20)
        self.assertIn("FINALLY: opencl is AVAILABLE", self.pocl("-d", "opencl", devices="basic pthread").err)

    def test_twins(self):
        rows = self.devices(self.pocl("opencl", "--json", devices="pthread pthread"))
        self.assertEqual([row["identity"] for row in rows], [rows[0]["name"] + "#1", rows[0]["name"] + "#2"])

    def test_off_by_default(self):
        result = self.pocl("-d", "opencl", "opencl", "--json", cpu=False)
        row, = self.devices(result)
        self.assertIn("opencl_use_cpu_devices", row["reason"])
        self.assertIn(NOT_AVAILABLE, result.err)

    def test_no_platform(self):
        os.makedirs(self.path("vendors"))
        result = self.assert_ok(self.pocl("opencl", "devices", OCL_ICD_VENDORS=self.path("vendors")))
        self.assertEqual(result.out, "")
        self.assertIn("no driver for OpenCL is installed", result.err)

    def test_broken_drivers(self):
        """A driver that is gone, one that is no library, a list that is none."""
        os.makedirs(self.path("vendors"))
        for text in ("/nowhere/libgone.so\n", self.write("driver.so", b"no library") + "\n", "", "\xff" * 100):
            with open(self.path("vendors", "a.icd"), "w", encoding="latin-1") as f:
                f.write(text)
            result = self.assert_ok(self.pocl("opencl", OCL_ICD_VENDORS=self.path("vendors")))
            self.assertIn("no driver for OpenCL is installed", result.err)

    def test_no_device(self):
        result = self.assert_ok(self.pocl("opencl", devices="nonsense"))
        self.assertIn("no platform has a device", result.err)

    def test_a_platform_twice(self):
        os.makedirs(self.path("vendors"))
        for name in "ab":
            shutil.copy(pocl(), self.path("vendors", name + ".icd"))
        rows = self.devices(self.pocl("opencl", "--json", OCL_ICD_VENDORS=self.path("vendors")))
        self.assertEqual(len(rows), 2)
        self.assertEqual(len({row["identity"] for row in rows}), 2)

    def test_the_driver_itself(self):
        """Without the loader in between: one that knows nothing but loaders cannot be used, and it is said why."""
        with open(pocl()) as f:
            driver = f.read().strip()
        result = self.pocl("--conf", "opencl_library=" + driver, "opencl", "--json")
        self.assertTrue(self.devices(result) or "only a loader such as libOpenCL.so.1 can use" in result.err, result)

    def test_every_kernel(self):
        trace = self.path("trace.jsonl")
        result = self.assert_ok(self.pocl("opencl", "test", *QUICK, "--trace", trace, devices="basic pthread"))
        self.assertEqual(len(re.findall(r"(?m)^  \w+ +right +[\d.]+ +[\d.]+ +[\d.]+ +\S+$", result.out)), 10, result)
        self.assertIn("These priorities suit that:\n  darktable-ai prefs set opencl_device_priority '", result.out)
        with open(trace) as f:
            lines = [json.loads(line) for line in f]
        self.assertEqual([line["run"] for line in lines], list(range(1, 11)))
        self.assertEqual([line["device"] for line in lines], [0] * 5 + [1] * 5)
        end = 0
        for line in lines:
            self.assertEqual(list(line), TRACE)
            self.assertEqual((line["pipe"], line["failed"], line["reason"]), ("claim", False, None))
            self.assertGreaterEqual(line["begun_us"], end)
            end = line["begun_us"] + line["held_us"]

    def test_suggestion_is_understood(self):
        for devices in ("basic pthread", "pthread pthread", "pthread"):
            result = self.assert_ok(self.pocl("opencl", "test", *QUICK, "--json", devices=devices))
            rows = [json.loads(line) for line in result.out.splitlines()]
            self.assertEqual(list(rows[-1]), ["schema_version", "suggestion", "why"])
            self.assertEqual(len(rows), 5 * len(devices.split()) + 1)
            for row in rows[:-1]:
                self.assertTrue(row["correct"], row)
                self.assertLessEqual(row["difference"], 1e-5)
                self.assertGreater(row["device_mp_per_s"], 0)
                self.assertGreaterEqual(row["device_mp_per_s"], row["device_with_copies_mp_per_s"])
            explained = self.assert_ok(self.pocl("opencl", "priorities", "--json", "--explain", rows[-1]["suggestion"], devices=devices))
            remarks = [row for row in map(json.loads, explained.out.splitlines()) if "remark" in row]
            self.assertEqual([row for row in remarks if not row["harmless"]], [])


if __name__ == "__main__":
    harness.main()
