# SPDX-License-Identifier: GPL-3.0-or-later
"""Execution providers without their hardware: which one runs, why not another, and what is remembered of it. The runtime
is a fake that does what a script says (tests/fake_ort/README.md), the drivers that list devices are fakes too."""
import collections
import concurrent.futures
import glob
import itertools
import json
import os
import re
import shutil
import signal
import threading
import time
import unittest

import harness
from harness import CliTest

ORT_NAMES = {"CUDA": "CUDAExecutionProvider", "MIGraphX": "MIGraphXExecutionProvider",
             "OpenVINO": "OpenVINOExecutionProvider", "WebGPU": "WebGpuExecutionProvider",
             "ROCM": "ROCMExecutionProvider", "CPU": "CPUExecutionProvider"}
SHOWN = {"CUDA": "NVIDIA CUDA", "MIGraphX": "AMD MIGraphX", "OpenVINO": "Intel OpenVINO", "WebGPU": "WebGPU",
         "CPU": "CPU", "DirectML": "Windows DirectML", "CoreML": "Apple CoreML"}
LIBRARIES = {p: "libonnxruntime_providers_%s.so" % p.lower() for p in ("CUDA", "MIGraphX", "OpenVINO")}
HERE = ("CUDA", "MIGraphX", "OpenVINO", "WebGPU")  # in the order of auto
ELSEWHERE = ("DirectML", "CoreML")
KINDS = {"CUDA": "Fake GeForce 100", "MIGraphX": "Fake Radeon 0", "OpenVINO": "Fake Core i9", "WebGPU": "Fake GPU 1"}
REMEMBERED = "remembered; to try again: darktable-ai cache clear"


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


class Place:
    """A folder with a runtime and its providers' libraries, a script, notes, and a cache: all that one case needs."""

    def __init__(self, folder, libraries=tuple(LIBRARIES.values()), bare=False):
        self.folder = folder
        os.makedirs(self.at("ort"))
        os.makedirs(self.at("sys", "bus", "pci", "devices"))
        self.library = self.at("ort", "libonnxruntime.so.1")
        self.install("fake_ort_bare.so" if bare else "fake_ort.so", "libonnxruntime.so.1")
        for name in ("libonnxruntime_providers_shared.so",) + tuple(libraries):
            self.install("fake_ort_bare.so", name)
        self.cache = self.at("cache")
        self.script()

    def at(self, *names):
        return os.path.join(self.folder, *names)

    def install(self, fake, name):
        os.symlink(os.path.join(harness.BUILD, "tests", fake), self.at("ort", name))

    def script(self, text="", providers=HERE, **runtime):
        """Offers the providers and the CPU; text is the rest of the script."""
        runtime["providers"] = ";".join(ORT_NAMES[p] for p in tuple(providers) + ("CPU",))
        head = "".join("%s=%s\n" % item for item in sorted(runtime.items()))
        write(self.at("script.ini"), "[runtime]\n" + head + text)

    def environment(self):
        return {"DT_FAKE_ORT": self.at("script.ini"), "DT_FAKE_ORT_NOTES": self.at("notes"), "DT_ORT_LIBRARY": self.library,
                "DT_SYSFS_ROOT": self.at("sys"), "LD_LIBRARY_PATH": os.path.join(harness.BUILD, "tests", "drivers")}

    def notes(self):
        """What happened in the runtime since the last call: (process, words)."""
        try:
            with open(self.at("notes")) as f:
                lines = f.read().splitlines()
        except FileNotFoundError:
            return []
        os.remove(self.at("notes"))
        return [(int(pid), words) for pid, words in (line.split(" ", 1) for line in lines)]


class FakeRuntimeTest(CliTest):
    """Models whose windows are of 64 pixels, so that nothing takes long."""
    models = ()

    def setUp(self):
        super().setUp()
        self.add_model("denoise-conv3", "tiny", task="denoise", attributes={"input_sizes": [64]})
        self.place = Place(self.path("place"))
        self.cache = self.place.cache
        self.picture = self.make("a.tif", 16, 12)
        self.out = self.file("o.tif")
        self.set()

    def set(self, **settings):
        """Writes the settings anew: name=value of plugins/ai/."""
        lines = ["plugins/ai/enabled=TRUE", "plugins/ai/models/active/denoise=tiny"]
        self.write_airc("\n".join(lines + ["plugins/ai/%s=%s" % s for s in settings.items()]) + "\n")

    def environment(self, **more):
        return super().environment(**{**self.place.environment(), **more})

    def go(self, *args, env=None, model=None):
        """One picture denoised: the result, with the object it printed as .json."""
        if os.path.exists(self.out):
            os.remove(self.out)
        model = ("--model", model) if model else ()
        result = self.denoise("--json", *model, *args, "-o", self.out, self.picture,
                              env=self.environment(**(env or {})))
        result.json = json.loads(result.out) if result.out else None
        return result

    def assert_runs_on(self, provider, result, *notice):
        """That provider wrote a picture; each of notice is said on stderr, and without any nothing is."""
        self.assert_ok(result)
        self.assertEqual(result.json["provider"], provider, result)
        self.assert_picture(self.out)
        if not notice:
            self.assertEqual((result.err, result.json["fallback"]), ("", ""), result)
        for words in notice:
            self.assertIn(words, result.err, result)
        return result

    def assert_refused(self, provider, result, *reasons):
        self.assert_fails(result, 6, "The execution provider %s cannot be used: " % SHOWN[provider], *reasons)
        self.assertFalse(os.path.exists(self.out), "a failed run left an output")
        return result

    def words(self):
        return [words for _, words in self.place.notes()]

    def assert_child_gone(self):
        """No probing program works for this test any more."""
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                command = harness.read_bytes(path)
            except OSError:
                continue
            self.assertFalse(b"darktable-ai-probe" in command and os.fsencode(self.dir) in command, command)


# --- 1. which provider runs

class Situation(collections.namedtuple("Situation", "name offered library script reason")):
    """How a provider P fares on a machine: the script's lines about it, and the words of the reason; None: it works."""

    def lines(self, provider):
        return self.script.replace("[P", "[" + provider)

    def words(self, provider):
        return self.reason and self.reason.replace("LIBRARY", LIBRARIES.get(provider, ""))


def situation(name, reason=None, script="", offered=True, library=True):
    return Situation(name, offered, library, script, reason)


SITUATIONS = [
    situation("works"),
    situation("computes roughly", script="[P]\noutput=noise\n[P relu]\noutput=ok\n"),
    situation("not built in", "it is not available: the ONNX Runtime in use was built without it", offered=False),
    situation("without its library", "it is not available: the ONNX Runtime in use comes without its library LIBRARY",
              library=False),
    situation("attaching fails", "it is not available: Attaching it failed: no driver 535",
              "[P]\nattach=fail\nmessage=no driver 535\n"),
    situation("no session", "failed: the device is busy", "[P]\nsession=fail\nsession_message=the device is busy\n"),
    situation("no session of this model", "no kernel for Conv (" + REMEMBERED,
              "[P]\nsession=fail\nsession_message=no kernel for Conv\n[P relu]\nsession=ok\n"),
    situation("wrong output", "it is not available: it computes max(-1, 0) = 1 and max(2, 0) = -1",
              "[P]\noutput=wrong\n"),
    situation("wrong output of this model", 'its output "output" is wrong: up to ',
              "[P]\noutput=wrong\n[P relu]\noutput=ok\n"),
]
BY_NAME = {s.name: s for s in SITUATIONS}
# of these nothing is said when auto passes over them: nobody has installed them
EXPECTED_BY_AUTO = ("not built in", "without its library")
Case = collections.namedtuple("Case", "how wanted machine")  # machine: {provider: situation's name}
Outcome = collections.namedtuple("Outcome", "provider words")  # provider None: refused


def expect(case):
    """The rules. Strictly: that provider or none, with the reason. As a setting: that provider, or the CPU with the
    reason. By auto: the first that works, and the reasons of those before it that somebody must have installed."""
    def reason(provider):
        if provider in ELSEWHERE:
            return "it is not available: it does not exist on this platform"
        return BY_NAME[case.machine.get(provider, "works")].words(provider)
    if case.wanted != "auto":
        why = reason(case.wanted)
        if why is None:
            return Outcome(case.wanted, [])
        if case.how == "--provider":
            return Outcome(None, ["The execution provider %s cannot be used: " % SHOWN[case.wanted], why])
        return Outcome("CPU", ["Running on CPU instead. %s: " % SHOWN[case.wanted], why])
    words = []
    for provider in HERE:
        if reason(provider) is None:
            return Outcome(provider, words)
        if case.machine[provider] not in EXPECTED_BY_AUTO:
            words += [SHOWN[provider] + ": ", reason(provider)]
    return Outcome("CPU", words)


def cases():
    absent = dict.fromkeys(HERE, "not built in")
    for wanted, s, how in itertools.product(HERE, SITUATIONS, ("setting", "--provider", "auto")):
        if s.library or wanted in LIBRARIES:
            yield Case(how, "auto" if how == "auto" else wanted, {**absent, wanted: s.name})
    for wanted, how in itertools.product(("CPU",) + ELSEWHERE, ("setting", "--provider")):
        yield Case(how, wanted, dict.fromkeys(HERE, "works"))
        yield Case(how, wanted, absent)
    # auto among several
    for states in itertools.product(("not built in", "attaching fails", "works"), repeat=len(HERE)):
        if len(set(states)) > 1 or states[0] != "not built in":
            yield Case("--provider" if states[0] == "works" else "auto", "auto", dict(zip(HERE, states)))


class Matrix(FakeRuntimeTest):
    def measure(self, number, case):
        """Runs the case in a place of its own; safe to call from several threads."""
        missing = [LIBRARIES[p] for p, s in case.machine.items() if not BY_NAME[s].library]
        place = Place(self.path("case-%d" % number), [lib for lib in LIBRARIES.values() if lib not in missing])
        place.script("".join(BY_NAME[s].lines(p) for p, s in case.machine.items()),
                     [p for p, s in case.machine.items() if BY_NAME[s].offered])
        out = place.at("o.tif")
        args = ["--cachedir", place.cache]
        if case.how == "setting":
            args += ["--conf", "plugins/ai/provider=" + case.wanted]
        if case.how == "--provider":
            args += ["--provider", case.wanted]
        environment = CliTest.environment(self, **place.environment())
        result = self.denoise("--json", *args, "-o", out, self.picture, env=environment)
        written = os.path.exists(out)
        shutil.rmtree(place.folder)
        return result, written

    def check(self, case, result, written):
        expected = expect(case)
        if expected.provider is None:
            self.assert_fails(result, 6, *expected.words)
            self.assertFalse(written, "a failed run left an output")
            return
        self.assert_ok(result)
        self.assertTrue(written)
        said = json.loads(result.out)
        self.assertEqual(said["provider"], expected.provider, result)
        self.assertEqual(said["device"], KINDS.get(expected.provider, ""))
        if not expected.words:
            self.assertEqual((result.err, said["fallback"]), ("", ""), result)
            return
        self.assertEqual(len(result.messages), 1, result)
        self.assertIn("Running on %s instead. " % SHOWN[expected.provider], result.err)
        for words in expected.words:
            self.assertIn(words, result.err, result)
        self.assertIn(said["fallback"], result.err)
        self.assertTrue(said["fallback"], result)

    def test_who_runs(self):
        everything = list(cases())
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            results = list(pool.map(self.measure, range(len(everything)), everything))
        for case, (result, written) in zip(everything, results):
            with self.subTest(how=case.how, wanted=case.wanted, machine=case.machine):
                self.check(case, result, written)
        print("  %d cases in %.1f s" % (len(everything), time.monotonic() - began))

    def test_the_cpu_itself_fails(self):
        """Nothing is left to fall back to; what the CPU cannot open is taken for a bad model."""
        self.place.script("[CPU]\nsession=fail\nsession_message=illegal instruction\n", providers=())
        for args in ((), ("--provider", "CPU"), ("--conf", "plugins/ai/provider=CUDA")):
            with self.subTest(args):
                result = self.go(*args)
                self.assertEqual((result.code, result.out), (5, ""), result)
                self.assertIn("illegal instruction", result.err)
                self.assertFalse(os.path.exists(self.out))

    def test_webgpu_in_software_is_no_gpu(self):
        """Auto leaves a pretended GPU alone, and one that no driver tells of; who asks for it gets it."""
        self.place.script(providers=["WebGPU"])
        no_driver = {"LD_LIBRARY_PATH": ""}
        for env in ({"FAKE_DEVICES": "0"}, no_driver):
            with self.subTest(env):
                self.cache = self.path("cache-%d" % len(env["FAKE_DEVICES"] if "FAKE_DEVICES" in env else ""))
                if env is no_driver and os.path.exists("/usr/share/vulkan/icd.d"):
                    self.skipTest("this machine has a Vulkan driver of its own")
                self.assert_runs_on("CPU", self.go(env=env), "WebGPU: there is no GPU for it")
                self.assert_runs_on("WebGPU", self.go("--provider", "WebGPU", env=env))
                self.assert_runs_on("WebGPU", self.go("--conf", "plugins/ai/provider=WebGPU", env=env))
                self.assertIn("takes CPU", self.assert_ok(self.run_cli("providers", env=self.environment(**env))).out)

    def test_names(self):
        """In any case, and by the name that is shown; others are refused before anything is loaded."""
        for name in ("cuda", "NVIDIA CUDA", "Cuda"):
            self.assert_runs_on("CUDA", self.go("--provider", name))
        self.assert_runs_on("MIGraphX", self.go("--provider", "rocm"))
        self.place.notes()
        self.assert_fails(self.go("--provider", "Vulcan"), 2, '"Vulcan"')
        self.assertEqual(self.words(), [])


# --- 2. drivers that misbehave when they are started

class Probing(FakeRuntimeTest):
    BAD = {"crash": "it crashes (signal 11, ", "hang": "it hangs: no answer within 1 seconds"}

    def setUp(self):
        super().setUp()
        self.set(probe_seconds=1)

    def row(self, provider, *args):
        rows = [json.loads(line) for line in self.assert_ok(self.run_cli(*args, "providers", "--json")).out.splitlines()]
        return next(row for row in rows if row["provider"] == provider)

    def test_crash_and_hang(self):
        for (act, words), moment in itertools.product(self.BAD.items(), ("attach", "session", "run")):
            with self.subTest(act=act, moment=moment):
                self.place.script("[CUDA]\n%s=%s\n" % (moment, act), providers=["CUDA", "OpenVINO"])
                self.run_cli("cache", "clear")
                self.assert_refused("CUDA", self.go("--provider", "CUDA"), words)
                self.assert_runs_on("OpenVINO", self.go(), "Running on Intel OpenVINO instead. NVIDIA CUDA: ", words)
                self.assert_runs_on("CPU", self.go("--conf", "plugins/ai/provider=CUDA"), "NVIDIA CUDA: ", words)
                pids = {pid for pid, what in self.place.notes() if "CUDA" in what}
                self.assertEqual(len(pids), 1, "it was asked once, and then remembered")
                self.assert_child_gone()

    def test_addresses(self):
        """By which programs know that another interface means the same graphics processor."""
        expected = {"CUDA": ("0000:c1:00.0", ["0000:c1:00.0", None]), "MIGraphX": ("0000:03:00.0", ["0000:03:00.0", None]),
                    "OpenVINO": (None, [None, "0000:0a:1f.2"]), "WebGPU": ("0000:41:00.1", ["0000:41:00.1", None]),
                    "CPU": (None, [])}
        for provider, (used, devices) in expected.items():
            with self.subTest(provider):
                row = self.row(provider)
                self.assertEqual((row["pci"], [device["pci"] for device in row["devices"]]), (used, devices))

    def test_what_providers_says(self):
        for act, words in self.BAD.items():
            with self.subTest(act):
                self.place.script("[CUDA]\nattach=%s\n" % act, providers=["CUDA", "OpenVINO"])
                row = self.row("CUDA")
                self.assertFalse(row["works"])
                self.assertIn(words, row["reason"])
                text = self.assert_ok(self.run_cli("providers")).out
                self.assertRegex(text, r"(?m)^CUDA +NVIDIA CUDA +no: %s" % re.escape(words))
                self.assertRegex(text, r"(?m)^OpenVINO +Intel OpenVINO +works on Fake Core i9 \(OpenVINO 2025\.4\.1-fake\)$")
                self.assertRegex(text, r"(?m)^auto +auto +takes Intel OpenVINO$")
                diagnosed = self.assert_ok(self.run_cli("-d", "ai", "providers"))
                self.assertRegex(diagnosed.err, r"probe: NVIDIA CUDA: %s" % re.escape(words))

    def test_providers_asks_anew(self):
        """A verdict is not believed by who asks for one, and what is found then holds for all."""
        self.place.script("[CUDA]\nattach=fail\n", providers=["CUDA"])
        self.assertFalse(self.row("CUDA")["works"])
        self.place.script(providers=["CUDA"])
        self.assert_refused("CUDA", self.go("--provider", "CUDA"))
        self.assertTrue(self.row("CUDA")["works"])
        self.assert_runs_on("CUDA", self.go("--provider", "CUDA"))

    def test_chatter(self):
        """What the driver writes while it is probed is kept for who reads along; our stdout is ours."""
        self.place.script("[CUDA relu]\nsession=noise\n", providers=["CUDA"])
        for attempt in "fresh", "remembered":
            with self.subTest(attempt):
                diagnosed = self.assert_ok(self.run_cli("-d", "ai", "denoise", "--json", "--overwrite", "-o", self.out,
                                                        self.picture))
                self.assertEqual(json.loads(diagnosed.out)["provider"], "CUDA")
                for line in ("hello", "warning, this is an old one", "it will do"):
                    self.assertRegex(diagnosed.err, r"\[probe\] fake driver: " + line)
        result = self.run_cli("providers")
        self.assertNotIn("fake driver", result.out + result.err)

    def test_chatter_at_work(self):
        self.place.script("[CUDA]\nsession=noise\nrun=noise\n", providers=["CUDA"])
        result = self.assert_ok(self.denoise("--json", "-o", self.out, self.picture))
        self.assertNotIn("fake driver", result.out)

    def test_chatter_of_one_that_fails(self):
        self.place.script("[CUDA]\nattach=noise\nlog=libcudnn.so.9: cannot open shared object file\nsession=fail\n",
                          providers=["CUDA"])
        result = self.assert_refused("CUDA", self.go("--provider", "CUDA"))
        self.assertNotIn("fake driver", result.err)
        self.place.script("[CUDA]\nattach=fail\nlog=libcudnn.so.9: cannot open shared object file\n", providers=["CUDA"])
        self.run_cli("cache", "clear")
        self.assert_refused("CUDA", self.go("--provider", "CUDA"), "libcudnn.so.9: cannot open shared object file")


# --- 3. models that do not work on a provider

class Trials(FakeRuntimeTest):
    BAD = {"output=nan": 'its output "output" has values that are no numbers, which the CPU\'s has not',
           "output=flat": 'its output "output" is the same everywhere, which the CPU\'s is not',
           "output=wrong": 'its output "output" is wrong: up to ',
           "run=fail\nrun_message=out of registers": "it cannot run the model: ",
           "run=crash": "it crashes (signal 11, ", "session=crash": "it crashes (signal 11, "}
    FINE = "[OpenVINO relu]\n" + "".join("%s=ok\n" % key for key in ("attach", "session", "run", "output"))

    def tried(self):
        """How many models were opened on the provider, all in children."""
        notes = self.place.notes()
        pids = {pid for pid, words in notes if words.startswith("session CPU")}
        return sum(1 for pid, words in notes if words.startswith("session OpenVINO") and pid in pids)

    def test_disqualified_and_remembered(self):
        for script, words in self.BAD.items():
            with self.subTest(script):
                self.place.script("[OpenVINO]\n%s\n%s" % (script, self.FINE), providers=["OpenVINO"])
                self.run_cli("cache", "clear")
                self.place.notes()
                self.assert_refused("OpenVINO", self.go("--provider", "OpenVINO"), words, REMEMBERED)
                self.assertEqual(self.tried(), 1)
                # it works now, but nobody tries again
                self.place.script(providers=["OpenVINO"])
                self.assert_refused("OpenVINO", self.go("--provider", "OpenVINO"), words, REMEMBERED)
                self.assert_runs_on("CPU", self.go(), "Running on CPU instead. Intel OpenVINO: ", words)
                self.assert_runs_on("CPU", self.go("--conf", "plugins/ai/provider=OpenVINO"), words)
                self.assertFalse([w for w in self.words() if "OpenVINO" in w])
                # until told to
                self.assert_ok(self.run_cli("cache", "clear"))
                self.assert_runs_on("OpenVINO", self.go())
                self.assertEqual(self.tried(), 1)
                self.assert_child_gone()

    def test_of_one_model_says_nothing_of_another(self):
        self.place.script("[OpenVINO]\noutput=wrong\n" + self.FINE, providers=["OpenVINO"])
        self.assert_runs_on("CPU", self.go(), "its output")
        self.place.script(providers=["OpenVINO"])
        self.add_model("denoise-unet", "other", task="denoise", attributes={"input_sizes": [64]})
        self.assert_runs_on("OpenVINO", self.go(model="other"))
        self.assert_runs_on("CPU", self.go(), "its output")

    def test_rounding_passes(self):
        self.place.script("[OpenVINO]\noutput=noise\n" + self.FINE, providers=["OpenVINO"])
        self.assert_runs_on("OpenVINO", self.go())
        self.assertEqual(self.tried(), 1)
        self.assert_runs_on("OpenVINO", self.go())
        self.assertEqual(self.tried(), 0)


# --- 4. what is kept, and how long

class Cache(FakeRuntimeTest):
    PROVIDER = "MIGraphX"  # compiles into a folder, for one shape

    def setUp(self):
        super().setUp()
        self.place.script("[MIGraphX]\nblob_bytes=300000\n", providers=["MIGraphX", "CUDA"])

    def chores(self, **options):
        """What a run had to do: a set of "probe", "trial", "compile"."""
        provider = options.pop("provider", self.PROVIDER)
        self.place.notes()
        self.assert_runs_on(provider, self.go("--provider", provider, **options))
        notes, done = self.place.notes(), set()
        for pid, words in notes:
            own = [w for p, w in notes if p == pid]
            trial, probe = "session CPU compile 0 ms" in own, any(w.endswith(" 1x1x1x2") for w in own)
            if words.startswith("session %s compile" % provider):
                done.add("probe" if probe else "compile")
            if trial:
                done.add("trial")
        return done

    def entries(self, *columns):
        lines = self.assert_ok(self.run_cli("cache", "list", "--json")).out.splitlines()
        return sorted(tuple(json.loads(line)[c] for c in columns) for line in lines)

    ALL = {"probe", "trial", "compile"}

    def test_survives(self):
        self.assertEqual(self.chores(), self.ALL)
        for _ in range(2):
            self.assertEqual(self.chores(), set())

    def test_runtime(self):
        """Another version, another file of the same version, and back: each has a cache of its own."""
        self.chores()
        self.assertEqual(self.chores(env={"DT_FAKE_ORT_VERSION": "1.29.1"}), self.ALL)
        self.assertEqual(self.chores(), set())
        os.utime(os.path.realpath(self.place.at("ort", LIBRARIES[self.PROVIDER])))
        self.replace(LIBRARIES[self.PROVIDER])
        self.assertEqual(self.chores(), self.ALL)
        self.replace("libonnxruntime.so.1")
        self.assertEqual(self.chores(), self.ALL)
        self.assertEqual(self.entries("runtime", "model"), sorted([("1.29.1", ""), ("1.29.1", "tiny")]
                                                                  + 3 * [("1.30.0", ""), ("1.30.0", "tiny")]))

    def replace(self, name):
        """The same library as an update brings it: its own file, of another date."""
        path = self.place.at("ort", name)
        source = os.path.realpath(path)
        os.remove(path)
        shutil.copyfile(source, path)
        os.utime(path, (10 ** 9, 10 ** 9))

    def test_device(self):
        self.assertEqual(self.chores(provider="CUDA") & {"probe", "trial"}, {"probe", "trial"})
        self.assertEqual(self.chores(provider="CUDA") & {"probe", "trial"}, set())
        self.set(cuda_device_id=1)
        self.assertEqual(self.chores(provider="CUDA") & {"probe", "trial"}, {"probe", "trial"})
        self.set()
        self.assertEqual(self.chores(provider="CUDA", env={"DT_CUDA_DEVICE_ID": "1"}) & {"probe", "trial"}, set())
        self.assertEqual(self.chores(provider="CUDA") & {"probe", "trial"}, set())

    def test_driver(self):
        """Another driver: everything is made again."""
        self.chores()
        folder = self.path("drivers")
        shutil.copytree(os.path.join(harness.BUILD, "tests", "drivers"), folder)
        self.assertEqual(self.chores(env={"LD_LIBRARY_PATH": folder}), self.ALL)
        self.assertEqual(self.chores(env={"LD_LIBRARY_PATH": folder}), set())

    def test_model(self):
        """Another network under the same name is tried; what is known of the provider stays."""
        self.chores()
        path = os.path.join(self.config, "models", "tiny", "model.onnx")
        data = harness.read_bytes(path)
        os.remove(path)
        with open(path, "wb") as f:  # a doc_string more: other bytes, the same network
            f.write(data + b"\x32\x04more")
        self.assertEqual(self.chores(), {"trial", "compile"})
        self.assertEqual(self.chores(), set())
        self.assertEqual(self.entries("model"), [("",), ("tiny",), ("tiny",)])

    def test_list(self):
        self.chores()
        self.chores(provider="CUDA")
        self.assertEqual(self.entries("provider", "runtime", "model"),
                         [(p, "1.30.0", m) for p in ("cuda", "migraphx") for m in ("", "tiny")])
        sizes = {(p, m): b for p, m, b in self.entries("provider", "model", "bytes")}
        self.assertTrue(300000 <= sizes["migraphx", "tiny"] < 310000, sizes)
        self.assertLess(sizes["cuda", "tiny"], 10000)
        for path, model in self.entries("path", "model"):
            self.assertTrue(path.startswith(self.cache) and os.path.isdir(path), path)
        text = self.assert_ok(self.run_cli("cache", "list"))
        self.assertRegex(text.out, r"(?m)^migraphx +1\.30\.0 +tiny +0\.3 MiB  20\d\d-")
        self.assertRegex(text.err, r"0\.6 MiB of at most \S+ in %s" % re.escape(self.cache))

    def test_clear(self):
        self.add_model("denoise-unet", "other", task="denoise", attributes={"input_sizes": [64]})
        for provider, model in itertools.product(("CUDA", "MIGraphX"), ("tiny", "other")):
            self.chores(provider=provider, model=model)
        self.assert_ok(self.run_cli("cache", "clear", "CUDA"))
        self.assertEqual({p for p, in self.entries("provider")}, {"migraphx"})
        self.assertEqual(self.chores(), set())
        self.assert_ok(self.run_cli("cache", "clear", "other"))
        self.assertEqual(self.entries("provider", "model"), [("migraphx", ""), ("migraphx", "tiny")])
        self.assertEqual(self.chores(model="other"), {"trial", "compile"})
        self.assertEqual(self.chores(), set())
        nothing = self.run_cli("cache", "clear", "cuda")
        self.assertEqual((nothing.code, nothing.out), (1, ""), nothing)
        self.assertIn('"cuda"', nothing.err)
        self.assert_ok(self.run_cli("cache", "clear"))
        self.assertEqual(self.entries("path"), [])
        self.assertEqual(self.chores(), self.ALL)

    def test_limit(self):
        """The model that was used longest ago goes; the one in use never."""
        self.place.script("[MIGraphX]\nblob_bytes=1000000\n[MIGraphX relu]\nblob_bytes=10\n", providers=["MIGraphX"])
        names = ["tiny"]
        for number, source in enumerate(("denoise-unet", "denoise-sigma")):
            names.append("model%d" % number)
            self.add_model(source, names[-1], task="denoise", attributes={"input_sizes": [64]})
        self.set(cache_limit="2500K")
        for age, name in ((300, "tiny"), (200, "model0")):
            self.chores(model=name)
            path, = (p for p, m in self.entries("path", "model") if m == name)
            os.utime(path, (time.time() - age,) * 2)
        self.assertEqual(self.chores(model="tiny"), set())  # used again: now the other is the oldest
        self.assertEqual(self.chores(model="model1"), {"trial", "compile"})
        self.assertEqual([m for m, in self.entries("model") if m], ["model1", "tiny"])
        self.assertLess(sum(b for b, in self.entries("bytes")), 2500 << 10)
        self.set(cache_limit="100K")
        self.assertEqual(self.chores(model="model0"), {"trial", "compile"})
        self.assertEqual([m for m, in self.entries("model") if m], ["model0"])
        self.assertEqual(self.chores(model="model0"), set())

    def test_no_place_for_it(self):
        """A cache that cannot be written costs time, and nothing else."""
        write(self.path("file"), "")
        self.cache = self.path("file")
        for _ in range(2):
            self.assertLessEqual({"probe", "trial"}, self.chores(provider="CUDA"))


# --- 5. the first use takes its time

class FirstUse(FakeRuntimeTest):
    def compile(self, ms):
        self.place.script("[OpenVINO]\ncompile_ms=%d\n[OpenVINO relu]\ncompile_ms=0\n" % ms, providers=["OpenVINO"])

    def opened(self):
        return [words for words in self.words() if words.startswith("session OpenVINO") and " 0 ms" not in words]

    def test_announced_once(self):
        self.compile(4000 if not harness.LONG else 11000)
        first = self.assert_runs_on("OpenVINO", self.go(), "Preparing tiny for Intel OpenVINO: ", "It can be cancelled")
        wanted = ["Preparing", "Prepared."] if not harness.LONG else ["Preparing", "Still preparing (1", "Prepared."]
        self.assertEqual(len(first.messages), len(wanted), first)
        for message, start in zip(first.messages, wanted):
            self.assertTrue(message.startswith("darktable-ai: " + start), first)
        compiled, *cached = self.opened()
        self.assertRegex(compiled, r"compile \d+ ms")
        self.assertEqual(set(cached), {"session OpenVINO cached"}, "this process found what the child had made")
        second = self.assert_runs_on("OpenVINO", self.go())
        self.assertLess(second.seconds, 2 * harness.SLOWER)
        self.assertEqual(set(self.opened()), {"session OpenVINO cached"})

    def start_and_wait(self, words):
        """A run that has written words to stderr; what it wrote so far."""
        process = self.start("denoise", "-o", self.out, self.picture)
        self.addCleanup(_end, process)
        said = b""
        watchdog = threading.Timer(20 * harness.SLOWER, process.kill)
        watchdog.start()
        while words not in said:
            line = process.stderr.readline()
            self.assertTrue(line, "it ended before it said \"%s\": %s" % (words, said))
            said += line
        watchdog.cancel()
        return process

    def test_cancelled(self):
        self.compile(60000)
        process = self.start_and_wait(b"Preparing tiny")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        self.assertLess(time.monotonic() - began, 1.5 * harness.SLOWER)
        self.assertEqual((process.returncode, out), (130, b""), err)
        self.assertRegex(err, b"(?i)cancel|interrupt")
        self.assertEqual(sorted(os.listdir(self.work)), ["a.tif"])
        self.assert_child_gone()
        self.assertEqual(len(self.opened()), 1)
        # nothing was learnt: it is compiled anew, and then kept
        self.compile(100)
        self.assert_runs_on("OpenVINO", self.go())
        self.assertEqual(self.opened()[0], "session OpenVINO compile 100 ms")
        self.assert_runs_on("OpenVINO", self.go())
        self.assertEqual(set(self.opened()), {"session OpenVINO cached"})

    def test_killed(self):
        """Whoever waits may vanish: the child does not compile on for nobody."""
        self.compile(60000)
        process = self.start_and_wait(b"Preparing tiny")
        process.kill()
        process.communicate(timeout=30)
        deadline = time.monotonic() + 5 * harness.SLOWER
        while True:
            try:
                return self.assert_child_gone()
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def test_cancelled_while_probing(self):
        self.place.script("[OpenVINO]\nattach=hang\n", providers=["OpenVINO"])
        process = self.start("denoise", "-o", self.out, self.picture)
        self.addCleanup(_end, process)
        deadline = time.monotonic() + 20 * harness.SLOWER
        while not any(w.startswith("attach OpenVINO") for w in self.words()) and time.monotonic() < deadline:
            time.sleep(0.01)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        self.assertLess(time.monotonic() - began, 1.5 * harness.SLOWER)
        self.assertEqual((process.returncode, out), (130, b""), err)
        self.assert_child_gone()
        self.place.script(providers=["OpenVINO"])
        self.assert_runs_on("OpenVINO", self.go())  # no verdict was kept


# --- 6. one name for two of AMD's providers

class Migraphx(FakeRuntimeTest):
    def build(self, offered, version, bare=False, library="rocm"):
        shutil.rmtree(self.place.folder)
        self.place = Place(self.path("place"), ["libonnxruntime_providers_%s.so" % library], bare)
        self.place.script(providers=offered, version=version)

    def attached(self):
        return sorted({words for words in self.words() if words.startswith("attach ")})

    def test_rocm(self):
        """Runtimes before MIGraphX: attached by symbol, and called what it is where nodes are counted."""
        self.build(["ROCM"], "1.22.0")
        for args in ((), ("--provider", "MIGraphX"), ("--provider", "ROCm"), ("--conf", "plugins/ai/provider=ROCm")):
            with self.subTest(args):
                result = self.assert_runs_on("MIGraphX", self.go(*args))
                self.assertEqual(result.json["nodes"], "ROCm 6")
                self.assertEqual(self.attached(), ["attach ROCM device_id=0"])
        self.set(migraphx_device_id=1)
        self.assert_runs_on("MIGraphX", self.go())
        self.assertEqual(self.attached(), ["attach ROCM device_id=1"])

    def test_by_symbol(self):
        """The cache is then named by the environment: the second run finds what the first compiled."""
        self.build(["MIGraphX", "ROCM"], "1.22.2", library="migraphx")
        for attempt in range(2):
            self.assert_runs_on("MIGraphX", self.go())
            words = self.words()
            self.assertEqual({w for w in words if w.startswith("attach ")}, {"attach MIGraphX device_id=0"})
            self.assertEqual("session MIGraphX compile 0 ms" in words, attempt == 0, words)
            self.assertIn("session MIGraphX cached", words)

    def test_by_name(self):
        self.build(["MIGraphX"], "1.23.0", library="migraphx")
        self.assert_runs_on("MIGraphX", self.go())
        for words in self.attached():
            self.assertRegex(words, r"\Aattach MIGraphX device_id=0 migraphx_fp16_enable=0 migraphx_model_cache_dir=%s/ai_v2_"
                             % re.escape(self.cache))

    def test_rocm_when_migraphx_fails(self):
        self.build(["MIGraphX", "ROCM"], "1.23.0")
        with open(self.place.at("script.ini"), "a") as f:
            f.write("[MIGraphX]\nattach=fail\n")
        result = self.run_cli("-d", "ai", "denoise", "--provider", "MIGraphX", "-o", self.out, self.picture)
        self.assertRegex(self.assert_ok(result).err, "MIGraphX: .*; trying ROCm")
        self.assertIn("on AMD MIGraphX (Fake Radeon 0; nodes ROCm 6)", result.err)

    def test_functions_are_missing(self):
        for offered in ("MIGraphX", "ROCM"):
            with self.subTest(offered):
                self.build([offered], "1.22.0", bare=True, library=offered.lower())
                self.assert_refused("MIGraphX", self.go("--provider", "MIGraphX"),
                                    "The library has no function OrtSessionOptionsAppendExecutionProvider_MIGraphX")
                self.assert_runs_on("CPU", self.go(), "has no function")


# --- 7. what providers are told

class Options(FakeRuntimeTest):
    def options(self, provider, *args, child=False, **kwargs):
        """What the provider was attached with for the work itself, or while it was probed."""
        self.place.notes()
        self.assert_runs_on(provider, self.go("--provider", provider, *args, **kwargs))
        notes = [(pid, w.split()[2:]) for pid, w in self.place.notes() if w.startswith("attach " + provider)]
        return dict(word.split("=", 1) for word in notes[0 if child else -1][1])

    def test_cuda(self):
        common = {"device_id": "0", "arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}
        self.assertEqual(self.options("CUDA", child=True), common)
        # three quarters of what the driver says there is: 100 << 24
        self.assertEqual(self.options("CUDA"), {**common, "gpu_mem_limit": str((100 << 24) // 4 * 3)})
        self.set(gpu_memory="2G", cuda_device_id=1)
        self.assertEqual(self.options("CUDA"), {**common, "device_id": "1", "gpu_mem_limit": str(2 << 30)})
        self.assertEqual(self.options("CUDA", env={"DT_CUDA_DEVICE_ID": "0"})["device_id"], "0", "the variable wins")
        self.assertEqual(self.options("CUDA", env={"DT_CUDA_DEVICE_ID": ""})["device_id"], "1")

    def test_no_driver_tells_of_memory(self):
        self.assertNotIn("gpu_mem_limit", self.options("CUDA", env={"FAKE_DEVICES": "0"}))

    def test_openvino(self):
        for device, args, env in (("CPU", (), {}), ("GPU.0", ("--conf", "plugins/ai/openvino_device=GPU.0"), {}),
                                  ("NPU", (), {"DT_OPENVINO_DEVICE": "NPU"})):
            options = self.options("OpenVINO", *args, env=env)
            self.assertEqual((options["device_type"], options["precision"]), (device, "FP32"))
            self.assertTrue(options["cache_dir"].startswith(self.cache + "/ai_v2_openvino_ort1.30.0_"), options)
            self.assertTrue(os.path.isdir(options["cache_dir"]))
            self.assertEqual(len(options), 3)

    def test_webgpu(self):
        self.assertEqual(self.options("WebGPU"), {"preferredLayout": "NCHW", "powerPreference": "high-performance"})
        self.set(webgpu_adapter="low-power")
        self.assertEqual(self.options("WebGPU"), {"preferredLayout": "NCHW", "powerPreference": "low-power"})
        env = {"DT_WEBGPU_ADAPTER": "high-performance"}
        self.assertEqual(self.options("WebGPU", env=env)["powerPreference"], "high-performance")

    def test_no_such_device(self):
        """Named are the setting and, where the driver tells, what there is; without a driver it must be a number."""
        for (key, provider), value in itertools.product(
                (("cuda_device_id", "CUDA"), ("migraphx_device_id", "MIGraphX"), ("webgpu_adapter", "WebGPU")),
                ("abc", "7", "-1")):
            for env in ({}, {"FAKE_DEVICES": "0"}):
                with self.subTest(key=key, value=value, env=env):
                    if value == "7" and env and provider != "WebGPU":
                        continue  # nobody knows better
                    self.run_cli("cache", "clear")
                    self.set(**{key: value})
                    result = self.assert_refused(provider, self.go("--provider", provider, env=env), "plugins/ai/" + key)
                    self.assertIn(value, result.err)
                    if provider == "CUDA" and not env:
                        self.assertIn("only 0 (Fake GeForce 100), 1 (Fake GeForce 101)", result.err)
                    self.assert_runs_on("CPU", self.go("--conf", "plugins/ai/provider=" + provider, env=env),
                                        "plugins/ai/" + key)


# --- 8. models that are made for the CPU

class CpuOnly(FakeRuntimeTest):
    WISHES = {"list": ["cuda", "ROCm"], "by file": {"model": ["cuda", "AMD MIGraphX", "no such provider"], "other": ["OpenVINO"]}}
    WHY = "this model is made for the CPU where that is the choice"

    def test_wish(self):
        for name, wish in self.WISHES.items():
            with self.subTest(name):
                self.add_model("denoise-conv3", name.replace(" ", "-"), task="denoise", attributes={"input_sizes": [64]},
                               cpu_only=wish)
                model = {"model": name.replace(" ", "-")}
                self.place.notes()
                self.assert_runs_on("CPU", self.go("--conf", "plugins/ai/provider=CUDA", **model), self.WHY)
                self.assert_refused("CUDA", self.go("--provider", "CUDA", **model), self.WHY)
                self.assert_refused("MIGraphX", self.go("--provider", "MIGraphX", **model), self.WHY)
                self.assertFalse([w for w in self.words() if w.startswith("attach")], "it was not even tried")
                # the others may; by auto the reasons are told
                self.assert_runs_on("OpenVINO", self.go("--provider", "OpenVINO", **model))
                self.assert_runs_on("OpenVINO", self.go(**model), "NVIDIA CUDA: " + self.WHY, "AMD MIGraphX: " + self.WHY)
                self.place.script(providers=["CUDA"])
                self.assert_runs_on("CPU", self.go(**model), "Running on CPU instead. NVIDIA CUDA: " + self.WHY)
                self.place.script()

    def test_other_wishes(self):
        """For another file, or of nothing: no wish."""
        for number, wish in enumerate(({"other": ["cuda"]}, [], {}, {"model": []})):
            with self.subTest(wish):
                self.add_model("denoise-conv3", "wish%d" % number, task="denoise", attributes={"input_sizes": [64]},
                               cpu_only=wish)
                self.assert_runs_on("CUDA", self.go(model="wish%d" % number))


# --- 9. saying the truth

class Truth(FakeRuntimeTest):
    def test_nodes(self):
        for n, nodes in ((0, "CUDA 6"), (2, "CUDA 4, CPU 2"), (5, "CUDA 1, CPU 5")):
            with self.subTest(n):
                self.place.script("[CUDA]\nnodes_cpu=%d\n[CUDA relu]\nnodes_cpu=0\n" % n, providers=["CUDA"])
                said = self.assert_runs_on("CUDA", self.go()).json
                self.assertEqual((said["nodes"], said["device"]), (nodes, "Fake GeForce 100"))
                plain = self.assert_ok(self.denoise("--overwrite", "-o", self.out, self.picture))
                self.assertEqual(plain.out, self.out + "\n")
                self.assertIn("tiny on NVIDIA CUDA (Fake GeForce 100; nodes %s), " % nodes, plain.err.splitlines()[-1])

    def test_all_is_left_to_the_cpu(self):
        """A provider that takes no node of the model does not run it, whatever it claims."""
        self.place.script("[CUDA]\nnodes_cpu=6\n[CUDA relu]\nnodes_cpu=0\n", providers=["CUDA"])
        self.assert_refused("CUDA", self.go("--provider", "CUDA"), "it leaves everything to the CPU")
        self.assert_runs_on("CPU", self.go(), "it leaves everything to the CPU")

    def test_nobody_tells_the_device(self):
        plain = self.assert_ok(self.denoise("-o", self.out, self.picture, env=self.environment(FAKE_DEVICES="0")))
        self.assertIn("tiny on NVIDIA CUDA (nodes CUDA 6), ", plain.err)

    def test_cpu(self):
        self.place.script(providers=())
        said = self.assert_runs_on("CPU", self.go()).json
        self.assertEqual((said["nodes"], said["device"]), ("CPU 6", ""))
        plain = self.assert_ok(self.denoise("--overwrite", "-o", self.out, self.picture))
        self.assertIn("tiny on CPU, ", plain.err)

    def test_dry_run(self):
        """The plan names the provider that would really run."""
        self.place.script("[CUDA]\nattach=fail\n", providers=["CUDA", "OpenVINO"])
        result = self.assert_ok(self.denoise("--dry-run", "--json", self.picture))
        self.assertEqual(json.loads(result.out)["provider"], "OpenVINO")
        self.assertIn("Running on Intel OpenVINO instead. ", result.err)

    def test_said_once_for_a_batch(self):
        self.place.script("[CUDA]\nattach=fail\n", providers=["CUDA"])
        files = [self.make("%d.tif" % i, 16, 12) for i in range(3)]
        result = self.assert_ok(self.denoise("--json", *files))
        events = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual([e["provider"] for e in events if e["event"] == "done"], ["CPU"] * 3)
        self.assertEqual(len(result.messages), 1, result)


# --- 10. choosing one for good

class Prefs(FakeRuntimeTest):
    def choose(self, value):
        return self.run_cli("prefs", "set", "plugins/ai/provider", value)

    def chosen(self):
        return dict(line.split("=", 1) for line in self.read_airc().splitlines()).get("plugins/ai/provider")

    def test_works(self):
        result = self.assert_ok(self.choose("OpenVINO"))
        self.assertEqual((result.out, result.err, self.chosen()), ("", "", "OpenVINO"))
        self.assert_runs_on("OpenVINO", self.go())

    def test_does_not_work(self):
        self.place.script("[CUDA]\nattach=fail\nmessage=no driver 535\n", providers=["CUDA"])
        for value, words in (("CUDA", "NVIDIA CUDA does not work here and will fall back to the CPU: Attaching it failed: no "
                              "driver 535"), ("OpenVINO", "Intel OpenVINO does not work here"),
                             ("CoreML", "Apple CoreML does not work here")):
            with self.subTest(value):
                result = self.assert_ok(self.choose(value))
                self.assertEqual((result.out, len(result.messages), self.chosen()), ("", 1, value), result)
                self.assertIn(words, result.err)
                self.assert_runs_on("CPU", self.go(), "Running on CPU instead. ")

    def test_unknown(self):
        self.assert_ok(self.choose("OpenVINO"))
        self.assert_fails(self.choose("Vulcan"), 2, '"Vulcan"')
        self.assertEqual(self.chosen(), "OpenVINO", "what was chosen before stays")

    def test_nothing_is_started_while_off(self):
        self.write_airc("plugins/ai/enabled=FALSE\n")
        result = self.assert_ok(self.choose("CUDA"))
        self.assertEqual((result.err, self.chosen(), self.words()), ("", "CUDA", []))


# --- 11. a long job beside an idle GPU

class LongJob(FakeRuntimeTest):
    HINT = re.compile(r"this took \d+ s on the CPU, and there is a GPU here \(NVIDIA graphics processor 2236x? at "
                      r"0000:01:00\.0\)\. To use it: darktable-ai runtime install cuda1[23]")

    def setUp(self):
        super().setUp()
        self.place.script("[CPU]\nrun_ms=600\n", providers=())
        self.assert_ok(self.denoise("--dry-run", self.picture))  # measured before the clock runs
        self.place.script("[CPU]\nrun_ms=1200\n", providers=())
        self.add_gpu()

    def add_gpu(self):
        folder = self.place.at("sys", "bus", "pci", "devices", "0000:01:00.0")
        os.makedirs(folder)
        for name, text in (("class", "0x030000"), ("vendor", "0x10de"), ("device", "0x2236")):
            write(os.path.join(folder, name), text + "\n")

    def test_mentioned(self):
        result = self.go("--conf", "plugins/ai/long_job_seconds=1")
        self.assertEqual(len(result.messages), 1, result)
        self.assertRegex(result.err, self.HINT)

    def test_not_mentioned(self):
        self.place.script("[CPU]\nrun_ms=1200\n", providers=["OpenVINO"])
        for args in (("1", "--provider", "CPU"), ("1", "--provider", "OpenVINO"), ("0", "--conf", "plugins/ai/provider=CPU"),
                     ("60", "--conf", "plugins/ai/provider=CPU")):
            with self.subTest(args):
                result = self.assert_ok(self.go("--conf", "plugins/ai/long_job_seconds=" + args[0], *args[1:]))
                self.assertNotIn("GPU", result.err)
        shutil.rmtree(self.place.at("sys"))
        result = self.assert_ok(self.go("--conf", "plugins/ai/long_job_seconds=1", "--conf", "plugins/ai/provider=CPU"))
        self.assertNotIn("GPU", result.err)


# --- 12. runtimes of other ages

class Versions(FakeRuntimeTest):
    def test_too_old(self):
        """Then the one that came with the program runs, and that is said."""
        if not os.path.exists(os.path.join(harness.BUILD, "lib", "darktable-ai", "libonnxruntime.so.1")):
            self.skipTest("no runtime came with this build")
        for version in ("1.17.0", "1.4.0", "0.9"):
            with self.subTest(version):
                result = self.go(env={"DT_FAKE_ORT_VERSION": version})
                self.assert_runs_on("CPU", result, "cannot be used, so another one runs", "ONNX Runtime %s is too old" % version)
                self.assertEqual(self.words(), [], "it was not used at all")

    def test_oldest_and_newest(self):
        for version in ("1.18.0", "1.99.0"):
            with self.subTest(version):
                self.assert_runs_on("CUDA", self.go(env={"DT_FAKE_ORT_VERSION": version}))
                self.assert_runs_on("OpenVINO", self.go("--provider", "OpenVINO", env={"DT_FAKE_ORT_VERSION": version}))
                self.assertTrue(all(w.startswith("load " + version) for w in self.words() if w.startswith("load ")))


def _end(process):
    process.kill()
    process.communicate()


# --- masks

class Masks(FakeRuntimeTest):
    """The encoder of a mask model on a card that worked when it was tried, and fails today."""

    def setUp(self):
        super().setUp()
        self.add_model("mask-object-tiny")

    def mask(self, *args):
        result = self.run_cli("mask", "--json", "--no-cache", "--raw", "--model", "mask-object-tiny", "--point", "4,4",
                              "--overwrite", "-o", self.file("m.png"), *args, self.picture, env=self.environment())
        events = {row["event"]: row for row in map(json.loads, result.out.splitlines())}
        return result, events

    def assert_encoded_on(self, provider, *args):
        result, events = self.mask(*args)
        self.assert_ok(result)
        self.assertEqual(events["encoded"]["provider"], provider, result)
        self.assertEqual(events["encoded"]["fallback"] is None, provider == "CUDA", result)
        self.assert_picture(self.file("m.png"))
        return result

    def test_the_plan_says_where(self):
        for script, provider in (("", "CUDA"), ("[CUDA]\nsession=fail\nsession_message=no such luck\n", "CPU")):
            self.place.script(script, providers=("CUDA",))
            plan = self.mask("--dry-run")[1]["plan"]
            self.assertEqual(plan["provider"], provider, plan)
            self.assertEqual("no such luck" in (plan["fallback"] or ""), provider == "CPU", plan)
            self.cache = self.path("another")

    def test_what_fails_on_the_way_is_done_on_the_cpu(self):
        self.assertNotIn("instead", self.assert_encoded_on("CUDA").err)
        for script, reason in (("run=fail\nrun_message=CUDA failure 700: an illegal memory access", "illegal memory access"),
                               ("run_oom_at=1", "out of memory"), ("output=nan", "not numbers")):
            with self.subTest(script=script):
                self.place.script("[CUDA]\n%s\n" % script)  # what the trial said is remembered
                result = self.assert_encoded_on("CPU")
                self.assertIn("Running on CPU instead. NVIDIA CUDA: ", result.err)
                self.assertIn(reason, result.err)
                result, events = self.mask("--provider", "CUDA")
                self.assertEqual(result.code, events["error"]["exit_code"], result)
                self.assertNotEqual(result.code, 0, result)
                self.assertIn(reason, events["error"]["message"])
                self.assertNotIn("instead", result.err)
        self.place.script("[CUDA]\nrun=fail\n[CPU]\nrun=fail\n")
        self.assertEqual(self.mask()[0].code, 1)


if __name__ == "__main__":
    harness.main()
