# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing, updating and removing a model ends suddenly, at every point where it touches the disk and at random
moments: afterwards the old model or the new one is whole, and the next change sweeps what was left.

    test_fault_models.py SOURCE_DIR BUILD_DIR
"""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE, BUILD = sys.argv[1], sys.argv[2]
PROGRAM = BUILD + "/bin/darktable-ai"
SHIM = BUILD + "/tests/fail_io.so"
LONG = bool(os.environ.get("DT_TEST_LONG"))
MODEL = "denoise-tried"


def contents(directory):
    """Relative names and digests of the files of a model, as a set; None when there is no directory."""
    if not os.path.isdir(directory):
        return None
    found = set()
    for base, _, files in os.walk(directory):
        for name in files:
            with open(os.path.join(base, name), "rb") as f:
                found.add((os.path.relpath(os.path.join(base, name), directory), hashlib.sha256(f.read()).hexdigest()))
    return frozenset(found)


class FaultModels(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.d = temporary.name
        self.models = self.d + "/config/models"
        os.makedirs(self.d + "/config")
        with open(self.d + "/config/darktable-airc", "w") as f:
            f.write("plugins/ai/enabled=TRUE\n")
        self.packages = {v: self.pack(v) for v in ("1.0", "2.0")}
        self.whole = {}
        for version, package in self.packages.items():
            self.good("install", package)
            self.whole[version] = contents(self.models + "/" + MODEL)
        self.assertEqual(len(set(self.whole.values())), 2)

    def pack(self, version):
        folder = self.d + "/source-" + version
        shutil.copytree(SOURCE + "/tests/fixtures/models/denoise-conv3", folder)
        with open(folder + "/config.json") as f:
            config = json.load(f)
        config.update(id=MODEL, name="tried", version=version)
        with open(folder + "/config.json", "w") as f:
            json.dump(config, f)
        package = self.d + "/" + version + ".dtmodel"
        self.good("pack", folder, "-o", package)
        return package

    def models_command(self, *args):
        return [PROGRAM, "--configdir", self.d + "/config", "--cachedir", self.d + "/cache", "models", *args]

    def run_models(self, *args, **environment):
        return subprocess.run(self.models_command(*args), env=dict(os.environ, **environment), capture_output=True,
                              text=True, timeout=60)

    def good(self, *args):
        result = self.run_models(*args)
        self.assertEqual(result.returncode, 0, (args, result.stdout, result.stderr))
        return result

    def set_old(self, version):
        shutil.rmtree(self.models, ignore_errors=True)
        if version:
            self.good("install", self.packages[version])

    def check(self, allowed, what):
        """One of the allowed versions is there, whole, and nothing else once the next change has swept."""
        state = contents(self.models + "/" + MODEL)
        self.assertIn(state, [self.whole.get(v) for v in allowed], what)
        self.good("rescan")
        left = set(os.listdir(self.models)) if os.path.isdir(self.models) else set()
        self.assertEqual(left - {".lock"}, {MODEL} if state else set(), what)
        self.assertEqual(contents(self.models + "/" + MODEL), state, what)
        if state:
            self.good("verify", MODEL)

    def count(self, old, *verb, **environment):
        self.set_old(old)
        result = self.run_models(*verb, LD_PRELOAD=SHIM, DT_COUNT=self.d + "/count", **environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(self.d + "/count") as f:
            return int(f.read())

    def kill_at_each_point(self, old, new, *verb, **environment):
        points = self.count(old, *verb, DT_KILL_AT="0", **environment)
        self.assertGreater(points, 3)
        for n in range(1, points + 1):
            self.set_old(old)
            result = self.run_models(*verb, LD_PRELOAD=SHIM, DT_KILL_AT=str(n), **environment)
            what = f"{verb}, killed at point {n} of {points}"
            self.assertEqual(result.returncode, -signal.SIGKILL, what)
            if environment:  # between the two renames no folder bears the name; the next change puts it back
                self.good("rescan")
            self.check((old, new), what)
        return points

    def fail_at_each_point(self, old, new, *verb):
        """Exit 4: nothing has changed; exit 0: it was done."""
        for n in range(1, self.count(old, *verb) + 1):
            self.set_old(old)
            result = self.run_models(*verb, LD_PRELOAD=SHIM, DT_FAIL_AT=str(n))
            what = f"{verb}, failure {n}: {result.returncode} {result.stderr}"
            self.assertIn(result.returncode, (0, 4), what)
            if result.returncode == 4:
                self.assertEqual(result.stdout, "", what)
            self.check((new if result.returncode == 0 else old,), what)

    def test_killed_while_installing(self):
        print(self.kill_at_each_point(None, "1.0", "install", self.packages["1.0"]), "points")

    def test_killed_while_updating(self):
        print(self.kill_at_each_point("1.0", "2.0", "install", self.packages["2.0"]), "points")

    def test_killed_while_removing(self):
        print(self.kill_at_each_point("1.0", None, "remove", MODEL), "points")

    def test_file_systems_that_cannot_exchange_names(self):
        print(self.kill_at_each_point("1.0", "2.0", "install", self.packages["2.0"], DT_NO_EXCHANGE="1"), "points")

    def test_the_last_copy_is_never_swept(self):
        self.set_old("1.0")
        home, aside = self.models + "/" + MODEL, self.models + "/.outgoing-" + MODEL
        os.rename(home, aside)
        self.run_models("rescan", LD_PRELOAD=SHIM, DT_FAIL_AT="1")
        self.assertIn(self.whole["1.0"], (contents(home), contents(aside)))
        self.good("rescan")
        self.check(("1.0",), "after the second rescan")

    def test_failing_disk(self):
        self.fail_at_each_point(None, "1.0", "install", self.packages["1.0"])
        self.fail_at_each_point("1.0", "2.0", "install", self.packages["2.0"])
        self.fail_at_each_point("1.0", None, "remove", MODEL)

    def test_killed_at_random_moments(self):
        rng = random.Random(int(os.environ.get("DT_TEST_SEED", "3")))
        began = time.monotonic()
        self.set_old("1.0")
        usual = time.monotonic() - began
        for old, new in ((None, "1.0"), ("1.0", "2.0")):
            for _ in range(60 if LONG else 20):
                self.set_old(old)
                process = subprocess.Popen(self.models_command("install", self.packages[new]),
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                moment = rng.random() * usual * 1.2
                time.sleep(moment)
                process.kill()
                process.wait()
                self.check((old, new), f"{old} -> {new}, killed after {moment * 1000:.0f} ms")

    def test_two_at_once(self):
        """Whoever comes second waits; both versions arrive whole, one after the other."""
        self.set_old(None)
        both = [subprocess.Popen(self.models_command("install", package), stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True) for package in self.packages.values()]
        for process in both:
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, (out, err))
        self.check(("1.0", "2.0"), "two at once")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
