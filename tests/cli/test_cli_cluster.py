# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts for clusters, on one machine: a job array by its environment, GNU parallel, and a node that dies."""
import json
import os
import shutil
import subprocess
import time
import unittest

import harness
from harness import CliTest, pattern, png

FILES = 12
SHARDS = 3


class ClusterTest(CliTest):
    def setUp(self):
        super().setUp()
        self.scripts = os.path.join(harness.SOURCE, "tools", "cluster")
        for i in range(FILES):
            name = self.file("p", "%d" % (i % 2), "%02d pic.png" % i)
            os.makedirs(os.path.dirname(name), exist_ok=True)
            with open(name, "wb") as f:
                f.write(png(20, 16, samples=[(v + i) % 256 for v in pattern(20, 16, 3, 255)]))
        self.args = ["denoise", "--configdir", self.config, "--cachedir", self.cache, "-r", "-o", "o/{relative}/{name}.{ext}", "p"]
        self.assert_ok(self.denoise("-r", "-o", "good/{relative}/{name}.{ext}", "p"))
        self.good = self.contents("good")
        self.assertEqual(len(self.good), FILES)

    def contents(self, directory):
        found = {}
        for base, _, names in os.walk(self.file(directory)):
            for name in names:
                with open(os.path.join(base, name), "rb") as f:
                    found[os.path.relpath(os.path.join(base, name), self.file(directory))] = f.read()
        return found

    def task_environment(self, task, **more):
        """What Slurm tells the task of an array."""
        env = self.environment(DARKTABLE_AI=harness.PROGRAM, SLURM_ARRAY_TASK_ID=str(task), SLURM_ARRAY_TASK_COUNT=str(SHARDS),
                               SLURM_ARRAY_TASK_MIN="1", SLURM_ARRAY_TASK_MAX=str(SHARDS), SLURM_CPUS_PER_TASK="1")
        env.update(more)
        return {name: value for name, value in env.items() if value is not None}

    def slurm(self, task, *args, **more):
        return self.run_command([os.path.join(self.scripts, "slurm.sh"), "journals", *(args or self.args)],
                                env=self.task_environment(task, **more))


class Slurm(ClusterTest):
    def test_an_array(self):
        for task in range(1, SHARDS + 1):
            self.assert_ok(self.slurm(task))
        self.assertEqual(self.contents("o"), self.good)
        self.assertEqual(sorted(os.listdir(self.file("journals"))), ["%d-of-%d.journal" % (i, SHARDS) for i in (1, 2, 3)])
        # submitted again: nothing to do
        for task in range(1, SHARDS + 1):
            self.assertEqual(self.assert_ok(self.slurm(task)).out, "")

    def test_a_node_that_dies(self):
        """Killed in the middle of its shard, requeued: the result is that of a run that nobody disturbed."""
        task = max(range(1, SHARDS + 1), key=lambda t: len(self.shard(t)))
        process = self.start(command=[os.path.join(self.scripts, "slurm.sh"), "journals", *self.args],
                             env=self.task_environment(task))
        deadline = time.monotonic() + 30 * harness.SLOWER
        while not self.contents("o") and time.monotonic() < deadline:
            time.sleep(0.0005)
        process.kill()  # the script has become the program
        process.communicate()
        before = self.contents("o")
        self.assertTrue(before)
        for other in range(1, SHARDS + 1):
            if other != task:
                self.assert_ok(self.slurm(other))
        times = {n: os.stat(self.file("o", n)).st_mtime_ns for n in before if not n.endswith(".part")}
        self.assert_ok(self.slurm(task))
        self.assertEqual(self.contents("o"), self.good)
        again = [n for n, t in times.items() if os.stat(self.file("o", n)).st_mtime_ns != t]
        self.assertLessEqual(len(again), 1, "only the one at work is made again")

    def shard(self, task):
        result = self.run_cli(*self.args, "--dry-run", "--json", "--shard=%d/%d" % (task, SHARDS))
        return [line for line in result.out.splitlines() if '"plan"' in line]

    def test_single_tasks_again(self):
        for task in range(1, SHARDS + 1):
            self.assert_ok(self.slurm(task))
        name = sorted(self.good)[0]
        os.remove(self.file("o", name))
        for task in range(1, SHARDS + 1):
            self.assert_ok(self.slurm(task, DT_SHARDS=str(SHARDS), SLURM_ARRAY_TASK_COUNT="1", SLURM_ARRAY_TASK_MIN=str(task),
                                      SLURM_ARRAY_TASK_MAX=str(task)))
        self.assertEqual(self.contents("o"), self.good)

    def test_memory_of_the_job(self):
        result = self.slurm(1, SLURM_MEM_PER_NODE="1")
        self.assertEqual(result.code, 2, result)  # three quarters of one MiB round to no size
        self.assertIn("--memory", result.err)
        self.assert_ok(self.slurm(1, SLURM_MEM_PER_NODE="8192"))

    def test_refused(self):
        for more in ({"SLURM_ARRAY_TASK_ID": None}, {"SLURM_ARRAY_TASK_COUNT": None}, {"SLURM_ARRAY_TASK_MIN": "0"},
                     {"SLURM_ARRAY_TASK_MAX": "7"}, {"SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_COUNT": "1"}):
            with self.subTest(more=more):
                result = self.slurm(3, **more)
                self.assertEqual(result.code, 2, result)
                self.assertRegex(result.err, r"\Aslurm\.sh: .*(sbatch|DT_SHARDS)")
        self.assertEqual(self.slurm(1, "denoise").code, 2)
        self.assertFalse(os.path.exists(self.file("o")))

    def test_one_report(self):
        """The journals together, as the manual reads them."""
        with open(self.file("p", "0", "bad.png"), "wb") as f:
            f.write(b"no picture")
        codes = [self.slurm(task).code for task in range(1, SHARDS + 1)]
        self.assertEqual(sorted(codes), [0, 0, 9])
        last = {}
        for name in sorted(os.listdir(self.file("journals"))):
            with open(self.file("journals", name)) as f:
                for row in map(json.loads, f):
                    if "input" in row:
                        last[row["input"]] = row["state"]
        self.assertEqual(sorted(last.values()), ["done"] * FILES + ["failed"])
        if not shutil.which("jq"):
            return
        with open(os.path.join(harness.SOURCE, "doc", "cluster.md")) as f:
            command = next(line for line in f if line.startswith("jq "))
        out = subprocess.run(command, shell=True, cwd=self.work, capture_output=True, text=True, check=True).stdout
        self.assertEqual(sorted(out.splitlines()), ["1 failed", "%d done" % FILES])


class Parallel(ClusterTest):
    def parallel(self, *args, **more):
        return self.run_command([os.path.join(self.scripts, "parallel.sh"), *args],
                                env=self.environment(DARKTABLE_AI=harness.PROGRAM, **more))

    def test_usage(self):
        for args in ((), ("-x",), ("journals",), ("journals", "denoise")):
            result = self.parallel(*args)
            self.assertEqual(result.code, 2, result)
            self.assertIn("parallel.sh [-n SHARDS]", result.err)
        os.mkdir(self.path("bin"))
        for tool in ("sh", "sed"):
            os.symlink(shutil.which(tool), self.path("bin", tool))
        result = self.parallel("journals", "denoise", "p", PATH=self.path("bin"))
        self.assertEqual(result.code, 2, result)
        self.assertIn("Install", result.err)

    @unittest.skipUnless(shutil.which("parallel"), "GNU parallel is not installed")
    def test_two_jobs(self):
        result = self.assert_ok(self.parallel("-n", str(SHARDS), "-j2", "the journals", *self.args))
        self.assertEqual(len(result.out.splitlines()), FILES)
        self.assertEqual(self.contents("o"), self.good)
        self.assertEqual(self.assert_ok(self.parallel("-n", str(SHARDS), "the journals", *self.args)).out, "")

    @unittest.skipUnless(shutil.which("parallel"), "GNU parallel is not installed")
    def test_a_job_that_is_killed(self):
        """The first try of each shard dies; the next goes on."""
        wrapper = self.write("flaky", ('#!/bin/sh\n"%s" "$@" & child=$!\ncase $* in *--shard=2/*)\n'
                                       '  if mkdir "%s" 2>/dev/null; then sleep 0.1; kill -9 $child; exit 137; fi;;\nesac\n'
                                       'wait $child\n' % (harness.PROGRAM, self.file("died"))).encode())
        os.chmod(wrapper, 0o755)
        self.assert_ok(self.run_command([os.path.join(self.scripts, "parallel.sh"), "-n", str(SHARDS), "journals", *self.args],
                                        env=self.environment(DARKTABLE_AI=wrapper)))
        self.assertTrue(os.path.isdir(self.file("died")))
        self.assertEqual(self.contents("o"), self.good)


class Scripts(CliTest):
    @unittest.skipUnless(shutil.which("shellcheck"), "shellcheck is not installed")
    def test_shellcheck(self):
        folder = os.path.join(harness.SOURCE, "tools", "cluster")
        for name in sorted(os.listdir(folder)):
            subprocess.run(["shellcheck", os.path.join(folder, name)], check=True)

    def test_can_be_run(self):
        folder = os.path.join(harness.SOURCE, "tools", "cluster")
        for name in ("parallel.sh", "slurm.sh"):
            self.assertTrue(os.access(os.path.join(folder, name), os.X_OK), name)
            with open(os.path.join(folder, name)) as f:
                self.assertEqual(f.readline(), "#!/bin/sh\n")


if __name__ == "__main__":
    harness.main()
