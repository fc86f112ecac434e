# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenCL devices: the list at start, the command, and machines without. The driver is a fake that does what a script
says (tests/fake_opencl/README.md), and PoCL where it is installed."""
import glob
import json
import os
import re
import shutil

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


if __name__ == "__main__":
    harness.main()
