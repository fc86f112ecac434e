# SPDX-License-Identifier: GPL-3.0-or-later
"""runtime: which ONNX Runtime is in force, finding, choosing, installing and removing others. Downloads are played by
stub clients and a table of builds of the tests' own; the long test run fetches a real one."""
import array
import hashlib
import io
import json
import os
import shutil
import signal
import tarfile
import time
import unittest
import zipfile

import harness
from harness import CliTest, tiff_tags

SETTING = "plugins/ai/ort_library_path"
MEMBERS = ["onnxruntime/capi/libonnxruntime.so.*", "onnxruntime/LICENSE"]


class Runtime(CliTest):
    models = ()
    enabled = False  # all of it works while AI is off

    def setUp(self):
        super().setUp()
        self.bundled = os.path.join(harness.BUILD, "lib", "darktable-ai", "libonnxruntime.so.1")
        if not os.path.exists(self.bundled):
            self.skipTest("no runtime came with this build")
        self.lib = self.path("home", ".local", "lib")
        self.sys = self.path("sys")
        os.makedirs(self.path("sys", "bus", "pci", "devices"))

    def environment(self, **more):
        return super().environment(DT_SYSFS_ROOT=self.sys, **more)

    def run_runtime(self, *args, **options):
        return self.run_cli("runtime", *args, **options)

    def json(self, *args, **options):
        return [json.loads(line) for line in self.assert_ok(self.run_runtime(*args, "--json", **options)).out.splitlines()]

    def setting(self):
        return dict(line.split("=", 1) for line in self.read_airc().splitlines()).get(SETTING)

    def folder(self, *names):
        path = os.path.join(self.lib, *names)
        os.makedirs(path)
        return path

    def add_gpu(self, vendor, address="0000:01:00.0"):
        """A graphics processor, as the kernel tells of it."""
        folder = self.path("sys", "bus", "pci", "devices", address)
        os.makedirs(folder)
        for name, text in (("class", "0x030000"), ("vendor", vendor), ("device", "0x2236")):
            with open(os.path.join(folder, name), "w") as f:
                f.write(text + "\n")


class Choosing(Runtime):
    def test_show(self):
        shown, = self.json()
        self.assertEqual((shown["usable"], shown["origin"], shown["warnings"]), (True, "bundled", []))
        self.assertTrue(os.path.samefile(shown["path"], self.bundled))
        self.assertIn("CPU", shown["providers"])
        text = self.assert_ok(self.run_runtime("show")).out
        self.assertRegex(text, r"(?m)^runtime +ONNX Runtime %s$" % shown["version"])
        self.assertRegex(text, r"(?m)^chosen by +bundled$")

    def test_why_it_is_in_force(self):
        real = os.path.realpath(self.bundled)
        shown, = self.json("show", env=self.environment(DT_ORT_LIBRARY=real))
        self.assertEqual((shown["path"], shown["origin"]), (real, "the variable DT_ORT_LIBRARY"))
        broken = self.write("libonnxruntime.so.1", b"no library")
        self.write_airc("%s=%s\n" % (SETTING, broken))
        shown, = self.json("show")
        self.assertEqual(shown["origin"], "bundled")
        self.assertEqual(len(shown["warnings"]), 1)
        self.assertIn(broken, shown["warnings"][0])
        self.assertIn(broken, self.assert_ok(self.run_runtime()).out)

    def test_detect(self):
        fake = os.path.join(self.folder("onnxruntime-fake"), "libonnxruntime.so.1.2.3")
        with open(fake, "w") as f:
            f.write("no library")
        copy = os.path.join(self.folder("onnxruntime-copy", "lib"), "libonnxruntime.so.1.9")
        shutil.copy(self.bundled, copy)
        os.symlink("libonnxruntime.so.1.9", os.path.join(self.lib, "onnxruntime-copy", "lib", "libonnxruntime.so"))
        for name in ("onnxruntime-copy/onnxruntime.libs", "elsewhere"):  # passed over
            shutil.copy(fake, os.path.join(self.folder(name), "libonnxruntime.so.1"))
        found = {f["path"]: f for f in self.json("detect")}
        ours = sorted(path for path in found if path.startswith(self.dir))
        self.assertEqual(ours, [os.path.join(self.lib, "onnxruntime-copy", "lib", "libonnxruntime.so"), fake])
        self.assertEqual((found[fake]["usable"], found[fake]["in_force"]), (False, False))
        self.assertTrue(found[fake]["reason"])
        self.assertTrue(found[ours[0]]["usable"])
        in_force, = (f for f in found.values() if f["in_force"])
        self.assertTrue(os.path.samefile(in_force["path"], self.bundled))
        text = self.assert_ok(self.run_runtime("detect")).out
        self.assertRegex(text, r"(?m)^\* %s +.*CPU.* %s$" % (in_force["version"], in_force["path"]))
        self.assertRegex(text, r"(?m)^  - +cannot be used +%s: ." % fake)

    def test_use_and_reset(self):
        copy = os.path.join(self.folder("onnxruntime-copy", "lib"), "libonnxruntime.so.1")
        shutil.copy(self.bundled, copy)
        for path, expected in ((self.bundled, self.bundled), (os.path.join(self.lib, "onnxruntime-copy"), copy),
                               (os.path.relpath(copy, self.work), copy)):
            with self.subTest(path):
                self.assertIn("CPU", self.assert_ok(self.run_runtime("use", path)).out)
                self.assertEqual(self.setting(), expected)
        self.assertEqual(self.json("show")[0]["origin"], "the setting " + SETTING)
        self.assertRegex(self.assert_ok(self.run_runtime("reset")).out, r"(?m)^chosen by +bundled$")
        self.assertIsNone(self.setting())

    def test_use_refuses(self):
        self.assert_ok(self.run_runtime("use", self.bundled))
        text = self.write("libonnxruntime.so", b"no library")
        os.mkdir(self.file("empty"))
        for path, code in ((text, 6), (self.file("empty"), 3), (self.file("absent"), 3), ("/dev/null", 6)):
            with self.subTest(path):
                self.assert_fails(self.run_runtime("use", path), code, path)
                self.assertEqual(self.setting(), self.bundled)

    def test_usage(self):
        for args in (("frobnicate",), ("use",), ("use", "a", "b"), ("show", "x"), ("remove",), ("remove", "../x"),
                     ("remove", "cuda12"), ("install", "nosuch"), ("install", "a", "b"), ("detect", "--use"),
                     ("show", "--dry-run"), ("install", "--progress=x")):
            with self.subTest(args):
                self.assert_fails(self.run_runtime(*args), 2)

    def test_suggestions(self):
        self.assertEqual(self.json("install"), [{"schema_version": 1, "event": "suggested", "build": "", "gpus": []}])
        self.assertEqual(self.run_runtime("install", "--yes").code, 6)
        self.add_gpu("0x1002")
        suggestion, = self.json("install")
        if os.uname().machine == "x86_64":
            self.assertEqual(suggestion["build"], "migraphx")
            result = self.assert_ok(self.run_runtime("install"))
            self.assertIn("runtime install migraphx", result.err)
        self.assertEqual(len(suggestion["gpus"]), 1)

    def test_the_table_is_sound(self):
        with open(os.path.join(harness.SOURCE, "data", "ort_gpu.json")) as f:
            builds = json.load(f)["builds"]
        names = ["%s %s" % (b["name"], b["machine"]) for b in builds]
        self.assertEqual(len(names), len(set(names)))
        for build in builds:
            with self.subTest(build["name"]):
                self.assertRegex(build["sha256"], r"\A[0-9a-f]{64}\Z")
                self.assertRegex(build["version"], r"\A1\.\d+\.\d+(\.post\d+)?\Z", "nothing newer may slip in")
                self.assertIn(build["ep"], ("cuda", "migraphx", "rocm", "openvino", "webgpu"))
                if build["machine"] == os.uname().machine:
                    result = self.assert_ok(self.run_runtime("install", build["name"], "--dry-run"))
                    self.assertIn(build["sha256"], result.out)


class Installing(Runtime):
    """A stub of pip or npm on $PATH, and a table with one build: the bundled library, packed as a registry would."""

    def setUp(self):
        super().setUp()
        self.bin = self.path("bin")
        os.mkdir(self.bin)
        self.calls = self.path("calls")
        self.publish(b"one")
        self.stub("cp '%s' \"$dest/a.whl\"" % self.archive)

    def environment(self, **more):
        more.setdefault("PATH", self.bin + ":/usr/bin:/bin")
        return super().environment(DT_ORT_GPU_TABLE=self.path("table.json"), **more)

    # --- the registry's side

    def pack(self, entries):
        """A wheel, stored; entries are (name, bytes or the path of a file)."""
        self.archive = self.path("archive.whl")
        with zipfile.ZipFile(self.archive, "w") as z:
            for name, data in entries:
                z.writestr(zipfile.ZipInfo(name), data if isinstance(data, bytes) else harness.read_bytes(data))

    def publish(self, license_text=b"one", extra=(), version="1.30.0", **changes):
        self.pack([("onnxruntime/capi/libonnxruntime.so.1.30.0", self.bundled), ("onnxruntime/LICENSE", license_text),
                   ("onnxruntime/capi/other.so", b"not wanted")] + list(extra))
        self.offer(version=version, **changes)

    def offer(self, **changes):
        data = harness.read_bytes(self.archive)
        build = {"name": "openvino", "ep": "openvino", "provider": "CPUExecutionProvider", "gpu": "any",
                 "provider_library": "libonnxruntime.so.1", "machine": os.uname().machine, "client": "pip",
                 "package": "onnxruntime-fake", "version": "1.30.0", "platform": "any", "python": "3.12", "abi": "cp312",
                 "sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "unpacked": 100 << 20, "license": "MIT",
                 "members": MEMBERS, "needs": []}
        build.update(changes)
        self.write_table(json.dumps({"version": 1, "builds": [build]}))

    def write_table(self, text):
        with open(self.path("table.json"), "w") as f:
            f.write(text)

    def stub(self, body, name="python3"):
        path = os.path.join(self.bin, name)
        with open(path, "w") as f:
            f.write('#!/bin/sh\n[ "${3:-$1}" = --version ] && exit 0\n'
                    'for word; do case $word in --dest=*|--pack-destination=*) dest=${word#*=};; esac; done\n'
                    'echo "$@" >>"%s"\n%s\n' % (self.calls, body))
        os.chmod(path, 0o755)

    # --- the user's side

    def install(self, *args, **options):
        return self.run_runtime("install", "openvino", *args, **options)

    def home(self, *names):
        return os.path.join(self.lib, "onnxruntime-openvino", *names)

    def fails(self, code, *words):
        """Fails with one error, changes nothing and leaves nothing."""
        before = self.snapshot(self.path("home"))
        setting = self.setting()
        result = self.install("--use")
        self.assertEqual(result.code, code, result)
        self.assertEqual(result.out, "", result)
        for word in words:
            self.assertIn(word, result.messages[-1] + result.err, result)
        self.assertRegex(result.err[result.err.rindex("darktable-ai: "):], harness.NEXT_STEP)
        self.assertEqual({k: v for k, v in self.snapshot(self.path("home")).items() if k not in (".local", ".local/lib")},
                         before and {k: v for k, v in before.items() if k not in (".local", ".local/lib")})
        self.assertEqual(self.setting(), setting)
        return result

    def test_install_use_remove(self):
        result = self.assert_ok(self.install("--use"))
        self.assertIn("MIT", result.err, "the licence is told")
        self.assertEqual(sorted(os.listdir(self.home())),
                         [".installed", "LICENSE", "libonnxruntime.so.1", "libonnxruntime.so.1.30.0"])
        self.assertEqual(os.listdir(self.lib), ["onnxruntime-openvino"])
        self.assertEqual(self.setting(), self.home("libonnxruntime.so.1"))
        self.assertEqual(self.json("show")[0]["path"], self.setting())
        with open(self.calls) as f:
            call = f.read()
        for word in ("-m pip", "--no-deps", "--only-binary=:all:", "--platform=any", "--abi=cp312", "onnxruntime-fake==1.30.0"):
            self.assertIn(word, call)
        self.assertIn("in use", self.assert_ok(self.run_runtime("remove", "openvino")).out)
        self.assertIsNone(self.setting())
        self.assertEqual(os.listdir(self.lib), [])
        self.assert_fails(self.run_runtime("remove", "openvino"), 6)

    def test_without_use_it_says_how(self):
        self.assertIn("runtime use " + self.home("libonnxruntime.so.1"), self.assert_ok(self.install()).err)
        self.assertIsNone(self.setting())

    def test_a_second_install_replaces(self):
        self.assert_ok(self.install("--use"))
        self.publish(b"two", version="1.30.1")
        self.assert_ok(self.install())
        self.assertEqual(harness.read_bytes(self.home("LICENSE")), b"two")
        self.assertIn(b"version=1.30.1", harness.read_bytes(self.home(".installed")))
        self.assertEqual(self.setting(), self.home("libonnxruntime.so.1"))
        self.assertEqual(os.listdir(self.lib), ["onnxruntime-openvino"])

    def test_npm(self):
        self.archive = self.path("archive.tgz")
        with tarfile.open(self.archive, "w:gz", compresslevel=1) as t:
            t.add(os.path.realpath(self.bundled), "package/bin/libonnxruntime.so.1")
            t.addfile(tarfile.TarInfo("package/index.js"), io.BytesIO())
        self.offer(client="npm", members=["package/bin/libonnxruntime.so.1"])
        self.stub("cp '%s' \"$dest\"" % self.archive, "npm")
        self.assert_ok(self.install())
        self.assertEqual(sorted(os.listdir(self.home())), [".installed", "libonnxruntime.so.1"])
        with open(self.calls) as f:
            self.assertRegex(f.read(), r"\Apack --ignore-scripts .*onnxruntime-fake@1\.30\.0")

    def test_dry_run(self):
        before = self.snapshot(self.dir)
        result = self.assert_ok(self.install("--dry-run"))
        for word in ("pip", "onnxruntime-fake==1.30.0", self.home()):
            self.assertIn(word, result.out)
        self.assertEqual(self.json("install", "openvino", "--dry-run")[0]["path"], self.home())
        self.assertEqual(self.snapshot(self.dir), before)

    def test_json_and_progress(self):
        result = self.assert_ok(self.install("--json", "--progress=json"))
        done, = map(json.loads, result.out.splitlines())
        self.assertEqual((done["event"], done["path"]), ("installed", self.home("libonnxruntime.so.1")))
        self.assertTrue([line for line in result.err.splitlines() if line.startswith("{") and json.loads(line)])

    def test_failures_keep_what_is_there(self):
        self.assert_ok(self.install("--use"))
        good = harness.read_bytes(self.path("table.json"))
        self.offer(sha256="0" * 64)
        self.fails(8, "SHA-256")
        self.offer(provider="CUDAExecutionProvider")
        self.fails(6, "does not offer CUDA")
        self.offer(members=MEMBERS + ["onnxruntime/absent"])
        self.fails(8, "absent")
        self.offer(unpacked=1 << 20)
        self.fails(8, "larger")
        self.offer(unpacked=1 << 60)
        self.fails(4, "Free some space")
        self.pack([("onnxruntime/capi/libonnxruntime.so.1.30.0", b"no library"), ("onnxruntime/LICENSE", b"")])
        self.offer()
        self.fails(6, "cannot be used")
        with open(self.path("table.json"), "wb") as f:
            f.write(good)
        self.stub('echo "WARNING: retrying" >&2; echo "ERROR: no route to the moon" >&2; exit 1')
        self.fails(8, "no route to the moon")
        self.stub("exit 0")
        self.fails(8, "left no file")

    def test_archives_that_lead_elsewhere(self):
        for name in ("../evil", "/tmp/evil", "onnxruntime/capi/../../../evil", "a\\..\\evil"):
            with self.subTest(name):
                self.publish(extra=[(name, b"evil")])
                self.fails(8, "leads out")
        self.publish(extra=[("onnxruntime/capi/libonnxruntime.so.2", b"")], members=["onnxruntime/*/libonnxruntime.so.*",
                                                                                       "onnxruntime/LICENSE"])
        self.pack([("onnxruntime/a/libonnxruntime.so.1", b"1"), ("onnxruntime/b/libonnxruntime.so.1", b"2")])
        self.offer(members=["onnxruntime/*/libonnxruntime.so.1"])
        self.fails(8, "twice")
        self.archive = self.path("links.tgz")
        with tarfile.open(self.archive, "w:gz") as t:
            link = tarfile.TarInfo("package/libonnxruntime.so.1")
            link.type, link.linkname = tarfile.SYMTYPE, self.bundled
            t.addfile(link)
        self.offer(members=["package/libonnxruntime.so.1"])
        self.stub("cp '%s' \"$dest/a.whl\"" % self.archive)
        self.fails(8, "no regular file")

    def test_a_stalled_download(self):
        self.write_airc("plugins/ai/stall_seconds=1\n")
        self.stub('echo half >"$dest/half"; sleep 60')
        began = time.monotonic()
        self.fails(8, "stall_seconds")
        self.assertLess(time.monotonic() - began, 15 * harness.SLOWER)

    def test_cancelled_download(self):
        self.assert_ok(self.install())
        before = self.snapshot(self.home())
        self.stub('echo $$ >"%s"; echo half >"$dest/half"; sleep 60' % self.path("pid"))
        process = self.start("runtime", "install", "openvino", "--use")
        self.addCleanup(lambda: process.poll() is None and process.kill())
        deadline = time.monotonic() + 20 * harness.SLOWER
        while not os.path.exists(self.path("pid")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20 * harness.SLOWER)
        self.assertEqual((process.returncode, out), (130, b""), err)
        self.assertEqual(os.listdir(self.lib), ["onnxruntime-openvino"])
        self.assertEqual(self.snapshot(self.home()), before)
        with open(self.path("pid")) as f:
            self.assertRaises(ProcessLookupError, os.kill, int(f.read()), 0)

    def test_what_a_killed_one_left_is_swept(self):
        stage = self.folder(".onnxruntime-openvino-abcdef")
        with open(os.path.join(stage, "half"), "w") as f:
            f.write("half")
        os.makedirs(os.path.join(self.lib, ".onnxruntime-cuda-abcdef"))
        self.assert_ok(self.install())
        self.assertEqual(sorted(os.listdir(self.lib)), [".onnxruntime-cuda-abcdef", "onnxruntime-openvino"])

    def test_two_at_once(self):
        both = [self.start("runtime", "install", "openvino") for _ in range(3)]
        for process in both:
            out, err = process.communicate(timeout=120 * harness.SLOWER)
            self.assertEqual(process.returncode, 0, err)
        self.assertEqual(os.listdir(self.lib), ["onnxruntime-openvino"])

    def test_what_others_made_is_left_alone(self):
        path = os.path.join(self.folder("onnxruntime-openvino"), "libonnxruntime.so.1")
        with open(path, "w") as f:
            f.write("somebody's")
        self.fails(4, "not installed by this program")
        self.assert_fails(self.run_runtime("remove", "openvino"), 4, "not installed by this program")
        self.assertEqual(harness.read_bytes(path), b"somebody's")

    def test_no_client(self):
        os.remove(os.path.join(self.bin, "python3"))
        os.symlink(shutil.which("env"), os.path.join(self.bin, "env"))
        result = self.install(env=self.environment(PATH=self.bin))
        self.assertEqual(result.code, 8, result)
        self.assertIn("Install python3-pip", result.err)

    def test_missing_libraries(self):
        self.offer(needs=["libnosuch_c.so.3"])
        self.assert_fails_last(self.install("--strict"), 6, "libnosuch_c.so.3", "--strict")
        self.assertFalse(os.path.exists(self.lib))
        self.assertIn("libnosuch_c.so.3 is missing", self.assert_ok(self.install()).err)

    def assert_fails_last(self, result, code, *words):
        self.assertEqual(result.code, code, result)
        for word in words:
            self.assertIn(word, result.err)

    def test_gpus_that_do_not_fit(self):
        self.add_gpu("0x1002")
        self.offer(gpu="nvidia")
        self.assertIn("no graphics processor was found", self.assert_ok(self.install("--dry-run")).err)
        self.offer(gpu="amd")
        self.assertNotIn("no graphics processor", self.assert_ok(self.install("--dry-run")).err)

    def test_broken_tables(self):
        for text in ("", "{", "[]", '{"builds": {}}', '{"builds": [1]}', '{"builds": [{"name": "openvino"}]}'):
            with self.subTest(text):
                self.write_table(text)
                self.assert_fails(self.install(), 1)
        for change in ({"ep": "../x"}, {"package": "-rf"}, {"sha256": "1"}, {"members": []}, {"members": [1]},
                       {"size": -1}, {"needs": ["../x"]}, {"version": "1;x"}):
            with self.subTest(change):
                self.offer(**change)
                self.assert_fails(self.install(), 1)

    def test_the_script(self):
        script = os.path.join(harness.SOURCE, "tools", "ai", "install-ort-gpu.sh")
        env = self.environment(XDG_CONFIG_HOME=self.path("xdg"), XDG_CACHE_HOME=self.path("xdg"), DARKTABLE_AI=harness.PROGRAM)
        self.assert_ok(self.run_command(["sh", script, "-y", "--ep", "openvino"], env=env))
        self.assertTrue(os.path.exists(self.home("libonnxruntime.so.1")))
        self.assertEqual(self.run_command(["sh", script, "--frobnicate"], env=env).code, 2)


class Real(Runtime):
    """From nothing to a photograph, over the network."""
    models = ("denoise-conv3",)

    @unittest.skipUnless(harness.LONG and os.uname().machine == "x86_64", "in the long test run, on x86_64")
    def test_openvino(self):
        client = {k: v for k, v in os.environ.items()
                  if k.startswith(("PIP_", "PYENV_", "SSL_", "CURL_")) or k.lower().endswith("_proxy")}
        env = self.environment(**client)
        self.cache = self.path("cache")
        self.assert_ok(self.run_runtime("install", "openvino", "--use", env=env, timeout=900))
        self.assertIn("OpenVINO", self.json("show")[0]["providers"])
        self.assert_ok(self.run_cli("enable"))
        picture = self.make("a.tif", 300, 260)
        results = []
        for provider in ("CPU", "OpenVINO"):
            out = self.file("%s.tif" % provider)
            result = self.assert_ok(self.denoise("--model", "denoise-conv3", "--provider", provider, "--bit-depth", 32,
                                                 "--compression", "none", "-o", out, picture))
            self.assertRegex(result.err, r"on (Intel )?%s" % provider)
            data = harness.read_bytes(out)
            tags, values = tiff_tags(data), array.array("f")
            for offset, size in zip(tags[273], tags[279]):
                values.frombytes(data[offset:offset + size])
            results.append(values)
        self.assertLessEqual(max(abs(a - b) for a, b in zip(*results)), 2e-3)
        self.assert_ok(self.run_runtime("remove", "openvino"))
        self.assertEqual(os.listdir(self.lib), [])


if __name__ == "__main__":
    harness.main()
