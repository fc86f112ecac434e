# SPDX-License-Identifier: GPL-3.0-or-later
"""Many files: directories, patterns of names, shards, journals, and batches that are killed and gone on with."""
import hashlib
import json
import os
import random
import resource
import signal
import stat
import time
import unittest

import harness
from harness import CliTest, pattern, png

SEED = int(os.environ.get("DT_TEST_SEED", "20"))
FILES = 500 if harness.LONG else 40
KILLS = 20


class BatchTest(CliTest):
    models = ("denoise-conv3", "upscale-x2")

    def setUp(self):
        super().setUp()
        self.write_airc("plugins/ai/enabled=TRUE\nplugins/ai/models/active/denoise=denoise-conv3\n"
                        "plugins/ai/models/active/upscale=upscale-x2\n")

    def put(self, *names, size=(16, 12)):
        """Small pictures that all differ."""
        for name in names:
            path = self.file(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shift = int(hashlib.sha256(name.encode()).hexdigest()[:4], 16)
            samples = [(v + shift) % 256 for v in pattern(*size, 3, 255)]
            with open(path, "wb") as f:
                f.write(png(*size, samples=samples))

    def rows(self, result):
        return [json.loads(line) for line in result.out.splitlines()]

    def events(self, result, event):
        return [row for row in self.rows(result) if row["event"] == event]

    def below(self, directory):
        """The files below it, by their relative names."""
        return sorted(os.path.relpath(os.path.join(base, name), self.file(directory))
                      for base, _, names in os.walk(self.file(directory)) for name in names)

    def contents(self, directory):
        found = {}
        for name in self.below(directory):
            with open(self.file(directory, name), "rb") as f:
                found[name] = f.read()
        return found

    def outputs(self, result):
        return [os.path.normpath(line) for line in result.out.splitlines()]


class Directories(BatchTest):
    def test_its_pictures(self):
        self.put("p/b.png", "p/a.PNG", "p/c.Tif", "p/d.jPeG", "p/below/e.png", "p/.hidden.png", "p/.f.png.abcdef.part",
                 "p/g.part")
        self.write("p/notes.txt", b"no picture")
        result = self.assert_ok(self.denoise("p"))
        self.assertEqual(self.outputs(result), ["p/%s_denoise.tif" % n for n in "abcd"])

    def test_recursive(self):
        self.put("p/b.png", "p/b/a.png", "p/a/z/y.png", "p/.git/x.png", "q.png")
        result = self.assert_ok(self.denoise("--recursive", "--json", "q.png", "p"))
        done = [row["input"] for row in self.events(result, "done")]
        self.assertEqual(done, ["q.png", "p/a/z/y.png", "p/b.png", "p/b/a.png"])
        self.assertEqual(self.rows(result)[-1]["total"], 4)

    def test_links(self):
        """Each directory once, each file once, and no end in a loop."""
        self.put("p/a/one.png", "else/two.png")
        os.symlink("..", self.file("p", "a", "loop"))
        os.symlink("a", self.file("p", "z"))
        os.symlink(self.file("else"), self.file("p", "linked"))
        os.symlink("nowhere.png", self.file("p", "dangling.png"))
        os.symlink("one.png", self.file("p", "a", "twice.png"))
        os.mkfifo(self.file("p", "pipe.png"))
        result = self.assert_ok(self.denoise("-r", "p"))
        self.assertEqual(self.outputs(result), ["p/a/one_denoise.tif", "p/linked/two_denoise.tif"])
        self.assertIn("p/a/twice.png: the same file as p/a/one.png, taken once", result.err)

    def test_same_file_twice(self):
        self.put("p/a.png", "p/b.png", "p/c.png")
        os.link(self.file("p", "b.png"), self.file("p", "d.png"))
        result = self.assert_ok(self.denoise("p/a.png", "./p/a.png", "p"))
        self.assertEqual(self.outputs(result), ["p/%s_denoise.tif" % n for n in "abc"])
        self.assertIn("3 files came under a second name", result.err)

    def test_nothing_there(self):
        self.put("empty/below/a.png")
        self.assert_fails(self.denoise("empty"), 3, "empty: ", "no pictures", "--recursive")
        os.mkdir(self.file("none"))
        self.assert_fails(self.denoise("-r", "none"), 3, "none: ", "no pictures")
        result = self.denoise("none", "empty/below")
        self.assertEqual(result.code, 9, result)
        self.assertIn("1 of 2 files failed", result.messages[-1])

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_unreadable_directory(self):
        self.put("p/a.png", "p/locked/b.png")
        os.chmod(self.file("p", "locked"), 0)
        result = self.denoise("-r", "p")
        self.assertEqual(result.code, 9, result)
        self.assertIn("p/locked: the directory cannot be read", result.err)
        self.assertEqual(self.outputs(result), ["p/a_denoise.tif"])

    def test_results_are_left_out(self):
        self.put("p/a.png", "p/b.png", "p/c.png")
        self.assert_ok(self.denoise("p"))
        self.assert_ok(self.run_cli("upscale", "p"))
        result = self.assert_ok(self.denoise("--overwrite", "p"))
        self.assertIn("6 results of earlier runs left out", result.err)
        self.assertEqual(len(result.out.splitlines()), 3)
        # who names one wants it
        self.assert_ok(self.run_cli("upscale", "p/a_denoise.tif"))
        self.assert_fails(self.denoise("--shard=1/1", "-o", "{dir}/{name}_{task}.{ext}", "p/.."), 3, "no pictures")
        os.remove(self.file("p", "a.png"))
        os.remove(self.file("p", "b.png"))
        os.remove(self.file("p", "c.png"))
        result = self.denoise("p", "-o", "p")
        self.assertEqual(result.code, 3)
        self.assertIn("p: there are only results of earlier runs", result.err)

    def test_output_directory_inside(self):
        self.put("p/a.png", "p/b/c.png", "p/out/mine_denoise.png")
        for _ in range(2):
            result = self.assert_ok(self.denoise("-r", "--overwrite", "-o", "p/out", "p"))
            self.assertEqual(self.outputs(result), ["p/out/a_denoise.tif", "p/out/c_denoise.tif"])
        self.assertIn("3 results of earlier runs left out", result.err)
        # elsewhere it is a name like any other
        os.mkdir(self.file("elsewhere"))
        result = self.assert_ok(self.denoise("-o", "elsewhere", "p/out/mine_denoise.png"))
        self.assertEqual(len(result.out.splitlines()), 1)

    def test_results_under_other_names_are_in_the_journal(self):
        self.put("p/a.png", "p/b.png")
        args = ("--journal", "j", "--resume", "-o", "p/{name}-clean.{ext}", "p")
        self.assert_ok(self.denoise(*args))
        result = self.assert_ok(self.denoise(*args))
        self.assertIn("2 results of earlier runs left out", result.err)
        self.assertEqual(self.below("p"), ["a-clean.tif", "a.png", "b-clean.tif", "b.png"])

    def test_results_under_other_names_bear_a_stamp(self):
        self.put("p/a.png", "p/b.png")
        args = ("--overwrite", "-o", "{dir}/{name}-clean.{ext}", "p")
        self.assert_ok(self.denoise(*args))
        for extra in ([], ["--dry-run"]):
            result = self.assert_ok(self.denoise(*extra, *args))
            self.assertIn("p/a-clean.tif: a result of an earlier run, left out", result.err)
        self.assertEqual(self.below("p"), ["a-clean.tif", "a.png", "b-clean.tif", "b.png"])
        row = self.rows(self.denoise("--json", *args))[-1]
        self.assertEqual((row["done"], row["skipped"], row["failed"]), (2, 2, 0))
        # who names one, or insists, is told or obeyed
        self.assertEqual(self.denoise("p/a-clean.tif").code, 2)
        self.assertEqual(self.denoise("--force", *args).code, 9)  # for now they are pictures that must not be replaced
        self.assertIn("a-clean-clean.tif", self.below("p"))

    def test_upscale(self):
        self.put("p/a.png", "p/below/b.png")
        result = self.assert_ok(self.run_cli("upscale", "-r", "p"))
        self.assertEqual(self.outputs(result), ["p/a_upscale.tif", "p/below/b_upscale.tif"])
        self.assert_picture(self.file("p", "below", "b_upscale.tif"), (32, 24))


class Patterns(BatchTest):
    def name(self, pattern_, *operands, command="denoise"):
        """What a pattern makes of an input, by a dry run."""
        result = self.assert_ok(self.run_cli(command, "--json", "--dry-run", "-o", pattern_, *operands))
        return [row["output"] for row in self.events(result, "plan")]

    def test_placeholders(self):
        self.put("p/q/some.photo.png")
        one = "p/q/some.photo.png"
        for text, wanted in (("{dir}/{name}.{ext}", "p/q/some.photo.tif"), ("{name}_{task}.png", "some.photo_denoise.png"),
                             ("o/{parent}-{counter}.{ext}", "o/q-0001.tif"), ("{model}/{scale}/x.tif", "denoise-conv3/1/x.tif"),
                             ("o/{relative}/{name}.tif", "o/some.photo.tif"), ("{{{name}}}.tif", "{some.photo}.tif"),
                             ("a{{b.tif", "a{b.tif"), ("o/{parent}/", "o/q/some.photo_denoise.tif"), ("{relative}/x.tif", "./x.tif")):
            with self.subTest(pattern=text):
                self.assertEqual(self.name(text, one), [wanted])
        self.assertEqual(self.name("o/{relative}/{name}.tif", "-r", "p"), ["o/q/some.photo.tif"])
        self.assertEqual(self.name("{relative}/{name}.tif", "-r", "p"), ["q/some.photo.tif"])
        self.put("some.photo.png")
        self.assertEqual(self.name("{parent}.tif", "some.photo.png"), ["work.tif"])

    def test_scale(self):
        self.put("a.png")
        for args, wanted in ((["--scale", "1.5"], "1.5"), (["--scale=2"], "2"), ([], "2"), (["--long-edge", "20"], "2")):
            with self.subTest(args=args):
                self.assertEqual(self.name("{name}@{scale}x.{ext}", *args, "a.png", command="upscale"), ["a@%sx.tif" % wanted])

    def test_unknown(self):
        self.put("a.png")
        before = self.snapshot()
        for text, name in (("{foo}.tif", "{foo}"), ("{}.tif", "{}"), ("{Name}.tif", "{Name}"), ("x{{y{.tif", "{.tif}")):
            with self.subTest(pattern=text):
                self.assert_fails(self.denoise("-o", text, "a.png"), 2, name, "{dir}", "{name}", "{ext}", "{task}", "{model}",
                                  "{scale}", "{parent}", "{relative}", "{counter}")
        self.assertEqual(self.snapshot(), before)

    def test_several_files_need_several_names(self):
        self.put("p/a.png", "p/b.png")
        for operands in (["p"], ["p/a.png", "p/b.png"]):
            self.assert_fails(self.denoise("-o", "{dir}/x.{ext}", *operands), 2, "{name}", "{counter}")
            self.assert_fails(self.denoise("-o", "o.tif", *operands), 2, "directory", "o.tif")
        self.assertEqual(self.name("{counter}.tif", "p"), ["0001.tif", "0002.tif"])
        self.assertEqual(self.name("o/{task}/", "p"), ["o/denoise/a_denoise.tif", "o/denoise/b_denoise.tif"])

    def test_directories_are_made(self):
        self.put("p/a.png", "p/b/c.png")
        result = self.denoise("-r", "-o", "new/{relative}/deep/{name}.{ext}", "p", preexec_fn=lambda: os.umask(0o027))
        self.assert_ok(result)
        self.assertEqual(self.below("new"), ["b/deep/c.tif", "deep/a.tif"])
        self.assertEqual(stat.S_IMODE(os.stat(self.file("new", "b", "deep")).st_mode), 0o750)
        self.write("file", b"")
        self.assert_fails(self.denoise("-o", "file/{name}.{ext}", "p/a.png"), 4, "file/a.tif", "directory")
        # a plain name makes none
        self.assert_fails(self.denoise("-o", "missing/a.tif", "p/a.png"), 4, "create")

    def test_without_a_pattern_braces_are_text(self):
        self.put("a.png")
        self.assert_ok(self.denoise("-o", "a}b.tif", "a.png"))
        self.assertTrue(os.path.exists(self.file("a}b.tif")))


class DryRun(BatchTest):
    def check(self, code, *args, fragments=()):
        before = self.snapshot()
        result = self.denoise("--dry-run", *args)
        self.assertEqual(self.snapshot(), before, result)
        self.assertEqual(result.code, code, result)
        for fragment in fragments:
            self.assertIn(fragment, result.err)
        return result

    def test_shows_the_paths(self):
        self.put("p/a.png", "p/b/c.png")
        result = self.check(0, "-r", "-o", "o/{relative}/{name}.{ext}", "p")
        self.assertIn("p/a.png -> o/a.tif\n", result.out)
        self.assertIn("p/b/c.png -> o/b/c.tif\n", result.out)

    def test_existing_output(self):
        self.put("p/a.png", "p/b.png")
        self.write("p/a_denoise.tif", b"mine")
        self.assert_fails(self.check(4, "p/a.png"), 4, "would fail: p/a_denoise.tif", "exists", "--overwrite")
        result = self.check(9, "p", fragments=["would fail: p/a_denoise.tif", "1 of 2 files would fail"])
        self.assertIn("p/b.png -> p/b_denoise.tif", result.out)
        self.check(0, "--overwrite", "p")
        self.check(9, "--skip-existing", "p", fragments=["would fail: p/a_denoise.tif"])
        row = self.events(self.check(9, "--json", "p"), "error")[0]
        self.assertEqual((row["input"], row["exit_code"]), ("p/a.png", 4))
        self.assertTrue(row["message"].startswith("would fail: "))

    def test_what_a_format_cannot_hold(self):
        self.put("a.png")
        self.put("wide.png", size=(33000, 1))
        result = self.run_cli("upscale", "--dry-run", "-o", "a.jpg", "wide.png")
        self.assert_fails(result, 2, "would fail: a.jpg", "65500")
        self.check(2, "--bit-depth=32", "-o", "b.png", "a.png", fragments=["would fail: b.png", "8 or 16 bits"])

    def test_mask(self):
        self.put("a.png", "c.png")
        self.put("small.png", size=(5, 5))
        self.check(3, "--mask=gone.png", "a.png", fragments=["gone.png", "check the name"])
        for strength in ("0", "100"):
            words = ["would fail: a.png: the mask small.png has 5\u00d75 pixels"]
            self.check(3, "--mask=small.png", "--strength", strength, "a.png", fragments=words)
            result = self.denoise("--mask=small.png", "--strength", strength, "a.png")
            self.assert_fails(result, 3, "a.png: the mask small.png has 5\u00d75 pixels", "same size")

    def test_directory_missing(self):
        self.put("a.png")
        self.assert_fails(self.check(4, "-o", "gone/a.tif", "a.png"), 4, "would fail: gone/a.tif", "create")
        self.check(0, "-o", "gone/deep/{name}.tif", "a.png")

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_directory_unwritable(self):
        self.put("a.png")
        os.mkdir(self.file("ro"), 0o555)
        for out in ("ro/a.tif", "ro/x/{name}.tif", "ro"):
            self.assert_fails(self.check(4, "-o", out, "a.png"), 4, "would fail: ro", "permissions")

    def test_two_inputs_one_output(self):
        self.put("p/a.png", "q/a.png")
        os.mkdir(self.file("o"))
        result = self.check(9, "-o", "o", "p", "q", fragments=["would fail: o/a_denoise.tif", "{relative}"])
        self.assertIn("p/a.png -> o/a_denoise.tif", result.out)
        result = self.denoise("-o", "o", "p", "q")
        self.assertEqual((result.code, self.below("o")), (9, ["a_denoise.tif"]))

    def test_output_is_an_input(self):
        self.put("p/a.tif", "p/b.tif")
        for out in ("{dir}/{name}.tif", "p/{name}.{ext}"):
            result = self.check(9, "--overwrite", "-o", out, "p", fragments=["would fail: p/a.tif", "never touched"])
            self.assertEqual(self.denoise("--overwrite", "-o", out, "p").code, 9)
        # also that of another shard
        for shard in ("1/2", "2/2"):
            result = self.denoise("--overwrite", "--shard", shard, "-o", "{dir}/b.tif{{{name}}}", "p")
            self.assertEqual(self.below("p"), ["a.tif", "b.tif"], result)

    def test_unreadable_input(self):
        self.put("p/a.png")
        self.write("p/bad.png", b"no picture")
        self.check(9, "p", fragments=["would fail: p/bad.png"])

    def test_forecast(self):
        self.put("p/a.png", "p/b.png", size=(50, 40))
        self.cache = self.path("fresh-cache")
        result = self.check(0, "p")
        self.assertIn("result    50×40, at most 12.0\u00a0kB, time unknown until it has run once", result.out)
        self.assertRegex(result.out, r"\n2 files, [\d.]+ MP: at most 24\.0\u00a0kB, time unknown until it has run once\n\Z")
        row = self.rows(self.check(0, "--json", "p"))
        self.assertEqual((row[0]["output_width"], row[0]["output_height"], row[0]["output_bytes"]), (50, 40, 12000))
        self.assertIsNone(row[0]["expected_seconds"])
        self.assertEqual((row[2]["event"], row[2]["output_bytes"], row[2]["expected_seconds"]), ("summary", 24000, None))
        self.assert_ok(self.denoise("-o", "o.tif", "p/a.png"))
        row = self.rows(self.check(0, "--json", "p"))
        self.assertGreater(row[0]["expected_seconds"], 0)
        self.assertAlmostEqual(row[2]["expected_seconds"], 2 * row[0]["expected_seconds"], 2)
        self.assertRegex(self.check(0, "p").out, r"at most 12\.0\u00a0kB, about [\d.]+ s\n")
        for args, size, count in ((["--bit-depth=8"], (50, 40), 6000), (["--bit-depth=32"], (50, 40), 24000)):
            row = self.rows(self.check(0, "--json", *args, "p/a.png"))[0]
            self.assertEqual((row["output_width"], row["output_height"], row["output_bytes"]), (*size, count))
        row = self.rows(self.run_cli("upscale", "--dry-run", "--json", "--long-edge", "75", "p/a.png"))[0]
        self.assertEqual((row["output_width"], row["output_height"], row["output_bytes"]), (75, 60, 27000))

    def test_damaged_knowledge_of_speed(self):
        self.put("a.png")
        self.cache = self.path("fresh-cache")
        self.assert_ok(self.denoise("a.png"))
        path = os.path.join(self.cache, "ai_speed.conf")
        with open(path) as f:
            text = f.read()
        for damaged in ("", "[speed", text.replace("=", "=-"), text.replace("=", "=nan"), text.split("=")[0] + "=many"):
            with open(path, "w") as f:
                f.write(damaged)
            self.assertIn("time unknown", self.check(0, "-o", "x.tif", "a.png").out)
        self.assert_ok(self.denoise("--overwrite", "a.png"))
        self.assertIn("about", self.check(0, "-o", "x.tif", "a.png").out)


class Reports(BatchTest):
    def test_unreadable_files_in_the_middle(self):
        self.put("p/a.png", "p/c.png", "p/e.png")
        self.write("p/b.png", b"no picture")
        self.write("p/d.png", b"")
        result = self.denoise("p")
        self.assertEqual(result.code, 9)
        self.assertEqual(len(result.out.splitlines()), 3)
        self.assertIn("2 of 5 files failed; the others are done:\n  p/b.png: ", result.err)
        row = self.rows(self.denoise("--json", "--overwrite", "p"))[-1]
        self.assertEqual((row["schema_version"], row["event"], row["done"], row["skipped"], row["failed"], row["total"]),
                         (1, "summary", 3, 0, 2, 5))
        self.assertGreater(row["seconds"], 0)
        row = self.rows(self.denoise("--json", "--skip-existing", "p"))[-1]
        self.assertEqual((row["done"], row["skipped"], row["failed"]), (0, 3, 2))

    def test_many_failures_are_counted(self):
        os.mkdir(self.file("p"))
        for i in range(25):
            self.write("p/%02d.png" % i, b"no picture")
        result = self.denoise("p")
        self.assertEqual(result.code, 9)
        tail = result.err.split("25 of 25 files failed:\n")[1].splitlines()
        self.assertEqual(len(tail), 21)
        self.assertEqual(tail[-1], "  and 5 more")

    def test_fail_fast(self):
        self.put("p/a.png", "p/c.png", "p/d.png")
        self.write("p/b.png", b"no picture")
        result = self.denoise("--fail-fast", "p")
        self.assertEqual(result.code, 9)
        self.assertEqual(self.outputs(result), ["p/a_denoise.tif"])
        self.assertIn("1 of 4 files failed; 2 were not begun:", result.err)
        result = self.denoise("--keep-going", "--overwrite", "p")
        self.assertEqual((result.code, len(result.out.splitlines())), (9, 3))
        self.assert_fails(self.denoise("--keep-going", "--fail-fast", "p"), 2, "--keep-going", "--fail-fast")

    def test_one_file_has_its_own_code(self):
        os.mkdir(self.file("p"))
        self.write("p/b.png", b"no picture")
        self.assertEqual(self.denoise("p").code, 3)
        self.assertEqual(self.denoise("p/b.png").code, 3)

    def test_disk_full_in_the_middle(self):
        """One output is larger than may be; the others are done, and it is when there is room."""
        self.put("p/a.png", "p/c.png")
        self.put("p/b.png", size=(300, 200))
        args = ("--compression=none", "--resume", "--journal", "j", "-o", "o/{name}.{ext}", "p")

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))
        result = self.denoise(*args, preexec_fn=limit)
        self.assertEqual(result.code, 9, result)
        self.assertEqual(self.below("o"), ["a.tif", "c.tif"])
        self.assertIn("1 of 3 files failed", result.err)
        result = self.assert_ok(self.denoise(*args))
        self.assertEqual(self.outputs(result), ["o/b.tif"])
        self.assert_picture(self.file("o", "b.tif"), (300, 200))


class SkipExisting(BatchTest):
    def setUp(self):
        super().setUp()
        self.add_model("denoise-conv3", "other")
        self.add_model("denoise-sigma")
        self.put("p/a.png", "p/b.png", size=(30, 20))
        self.assert_ok(self.denoise("p/a.png"))
        self.before = self.snapshot()

    def test_same_settings(self):
        for args in ([], ["--threads=1"], ["--strength=100"], ["--model", "denoise-conv3"]):
            result = self.assert_ok(self.denoise("--skip-existing", *args, "p/a.png"))
            self.assertIn("p/a_denoise.tif exists, skipped", result.err)
        self.assertEqual(self.snapshot(), self.before)
        result = self.assert_ok(self.denoise("--skip-existing", "p"))
        self.assertEqual(self.outputs(result), ["p/b_denoise.tif"])

    def test_other_settings(self):
        for args in (["--strength=50"], ["--model", "other"], ["--model", "denoise-sigma"]):
            with self.subTest(args=args):
                result = self.denoise("--skip-existing", *args, "p/a.png")
                self.assert_fails(result, 4, "p/a_denoise.tif: exists with other settings", "--overwrite")
                self.assert_fails(self.denoise("--dry-run", "--skip-existing", *args, "p/a.png"), 4, "would fail: ")
                self.assertEqual(self.snapshot(), self.before)
        self.assertEqual(self.denoise("--skip-existing", "--strength=50", "p").code, 9)
        self.assert_ok(self.denoise("--overwrite", "--strength=50", "p/a.png"))
        self.assert_ok(self.denoise("--skip-existing", "--strength=50", "p/a.png"))

    def test_noise_level(self):
        args = ("--model", "denoise-sigma", "-o", "s.tif", "p/a.png")
        self.assert_ok(self.denoise("--sigma=30", *args))
        self.assert_ok(self.denoise("--skip-existing", "--sigma=30", *args))
        self.assertEqual(self.denoise("--skip-existing", *args).code, 4)

    def test_scale(self):
        for made, same, other in ((["--scale=1.5"], ["--long-edge=45"], []), ([], ["--size=60x60"], ["--scale=3"])):
            self.assert_ok(self.run_cli("upscale", "--overwrite", *made, "p/a.png"))
            self.assert_ok(self.run_cli("upscale", "--skip-existing", *same, "p/a.png"))
            self.assertEqual(self.run_cli("upscale", "--skip-existing", *other, "p/a.png").code, 5 if other == ["--scale=3"] else 4)

    def test_another_mask_is_another_setting(self):
        self.put("a.png")
        for name, value in (("white.png", 255), ("black.png", 0)):
            info = harness.picture_info(harness.read_bytes(self.file("a.png")))
            size = info["width"], info["height"]
            self.write(name, harness.png(*size, channels=1, samples=[value] * (size[0] * size[1])))
        self.assert_ok(self.denoise("-o", "o.tif", "--mask=white.png", "a.png"))
        self.assert_ok(self.denoise("--skip-existing", "-o", "o.tif", "--mask=white.png", "a.png"))
        self.assertEqual(self.denoise("--skip-existing", "-o", "o.tif", "--mask=black.png", "a.png").code, 4)
        self.assertEqual(self.denoise("--skip-existing", "-o", "o.tif", "a.png").code, 4)

    def test_without_a_stamp_it_is_not_ours(self):
        """Damaged, cut off or made by something else: a photograph must not be missing in silence."""
        self.put("q/b.png")
        for content in (b"", b"mine", self.result_bytes("q/b.png")[:200]):
            self.write("p/a_denoise.tif", content)
            result = self.denoise("--skip-existing", "--strength=50", "p/a.png")
            self.assertEqual(result.code, 4, result)
            with open(self.file("p", "a_denoise.tif"), "rb") as f:
                self.assertEqual(f.read(), content)

    def result_bytes(self, name):
        self.assert_ok(self.denoise("--overwrite", "-o", "some.tif", name))
        with open(self.file("some.tif"), "rb") as f:
            return f.read()


class Shards(BatchTest):
    def test_all_of_them_are_everything(self):
        names = ["p/%s/%02d.png" % (d, i) for d in ("x", "y") for i in range(15)]
        self.put(*names)
        for count in (1, 3, 7):
            seen = []
            for shard in range(1, count + 1):
                result = self.assert_ok(self.denoise("-r", "--json", "--dry-run", "--shard", "%d/%d" % (shard, count), "p"))
                mine = [row["input"] for row in self.events(result, "plan")]
                for name in mine:  # the rule in the manual
                    digest = hashlib.sha256(name[len("p/"):].encode()).digest()
                    self.assertEqual(int.from_bytes(digest[:8], "big") % count + 1, shard)
                seen += mine
            self.assertEqual(sorted(seen), sorted(names))

    def test_more_files_move_none(self):
        self.put(*("p/%d.png" % i for i in range(10)))
        before = set(self.outputs(self.assert_ok(self.denoise("--shard=2/3", "-o", "o/{name}.tif", "p"))))
        self.put(*("p/%d.png" % i for i in range(10, 20)))
        result = self.assert_ok(self.denoise("--shard=2/3", "--overwrite", "-o", "o/{name}.tif", "p"))
        self.assertTrue(before < set(self.outputs(result)) or before == set(self.outputs(result)))

    def test_counters_differ_between_shards(self):
        self.put(*("p/%d.png" % i for i in range(9)))
        for shard in (1, 2, 3):
            self.assert_ok(self.denoise("--shard=%d/3" % shard, "-o", "o/{counter}.{ext}", "p"))
        self.assertEqual(self.below("o"), ["%04d.tif" % i for i in range(1, 10)])

    def test_empty(self):
        self.put("p/a.png")
        codes = [self.denoise("--shard=%d/20" % i, "--overwrite", "p") for i in range(1, 21)]
        self.assertEqual({r.code for r in codes}, {0})
        self.assertEqual(sum(len(r.out.splitlines()) for r in codes), 1)
        self.assertEqual(sum("none of the 1 files is in shard" in r.err for r in codes), 19)

    def test_nonsense(self):
        self.put("a.png")
        for text in ("", "1", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/2/3", "1/", "/2", "1.5/2", " 1/2"):
            with self.subTest(shard=text):
                self.assert_fails(self.denoise("--shard=" + text, "a.png"), 2, "--shard takes")


class Journal(BatchTest):
    def setUp(self):
        super().setUp()
        self.journal = self.file("j.journal")
        self.put(*("p/%d.png" % i for i in range(5)))

    def args(self, *more):
        return ("--journal", self.journal, "--resume", "-o", "o/{name}.{ext}", *more, "p")

    def go(self, *more, code=0, **options):
        result = self.denoise(*self.args(*more), **options)
        self.assertEqual(result.code, code, result)
        return result

    def lines(self):
        with open(self.journal, "rb") as f:
            return f.read().split(b"\n")

    def write_journal(self, lines):
        with open(self.journal, "wb") as f:
            f.write(b"\n".join(lines))

    def test_what_is_in_it(self):
        self.write("p/bad.png", b"no picture")
        self.go(code=9)
        lines = self.lines()
        self.assertEqual(lines[-1], b"")
        rows = [json.loads(line) for line in lines[:-1]]
        self.assertEqual((rows[0]["journal"], rows[0]["version"]), ("darktable-ai batch", 1))
        self.assertEqual(rows[0]["settings"]["model"], "denoise-conv3")
        self.assertEqual((rows[1]["state"], rows[1]["host"]), ("run", os.uname().nodename))
        done = [row for row in rows if row.get("state") == "done"]
        self.assertEqual([row["input"] for row in done], [self.file("p", "%d.png" % i) for i in range(5)])
        for row in done:
            self.assertEqual(row["size"], os.path.getsize(row["input"]))
            self.assertEqual(row["mtime"], os.stat(row["input"]).st_mtime_ns)
            self.assertEqual(row["output_size"], os.path.getsize(row["output"]))
        failed = [row for row in rows if row.get("state") == "failed"]
        self.assertEqual([(row["input"], row["exit_code"]) for row in failed], [(self.file("p", "bad.png"), 3)])
        # what failed is tried again
        self.put("p/bad.png")
        self.assertEqual(self.outputs(self.go()), ["o/bad.tif"])
        result = self.go()
        self.assertEqual(result.out, "")
        self.assertIn("6 of 6 files had been done by an earlier run", result.err)
        rows = self.rows(self.go("--json"))
        self.assertEqual([row["event"] for row in rows], ["skipped"] * 6 + ["summary"])

    def test_the_default_one(self):
        self.cache = self.path("fresh-cache")
        args = ("--resume", "-o", "o/{name}.{ext}")
        self.assert_ok(self.denoise(*args, "p"))
        journals = os.listdir(os.path.join(self.cache, "batches"))
        self.assertEqual(len(journals), 1)
        self.assertRegex(journals[0], r"\A[0-9a-f]{32}\.journal\Z")
        # the same operands, however they are written
        self.assertEqual(self.assert_ok(self.denoise(*args, self.file("p"))).out, "")
        # other settings are another batch
        result = self.denoise(*args, "--bit-depth=8", "p")
        self.assertEqual(result.code, 9)
        self.assertEqual(len(os.listdir(os.path.join(self.cache, "batches"))), 2)

    def test_existing_without_resume(self):
        args = ("--journal", self.journal, "-o", "o/{name}.{ext}", "p")
        self.assert_ok(self.denoise(*args))
        before = self.snapshot()
        for extra in ([], ["--dry-run"]):
            self.assert_fails(self.denoise(*extra, *args), 4, "j.journal", "exists already", "--resume")
        self.assertEqual(self.snapshot(), before)

    def test_dry_run_only_looks(self):
        before = self.snapshot()
        self.assertEqual(len(self.events(self.go("--dry-run", "--json"), "plan")), 5)
        self.assertEqual(self.snapshot(), before)
        self.go()
        os.remove(self.file("o", "3.tif"))
        before = self.snapshot()
        result = self.go("--dry-run", "--json")
        self.assertEqual([row["input"] for row in self.events(result, "plan")], ["p/3.png"])
        self.assertEqual(self.snapshot(), before)

    def test_done_means_that_it_is_there(self):
        self.go()
        os.remove(self.file("o", "1.tif"))
        self.assertEqual(self.outputs(self.go()), ["o/1.tif"])
        # emptied by a crash of the file system: ours
        with open(self.file("o", "2.tif"), "w"):
            pass
        self.assertEqual(self.outputs(self.go()), ["o/2.tif"])
        self.assert_picture(self.file("o", "2.tif"))
        # changed by somebody: not ours any more
        with open(self.file("o", "3.tif"), "ab") as f:
            f.write(b"a word of mine")
        self.assertIn("o/3.tif", self.go(code=9).err)
        # another picture under the old name
        os.remove(self.file("o", "3.tif"))
        self.put("p/0.png", size=(20, 20))
        self.assertEqual(self.outputs(self.go("--overwrite")), ["o/0.tif", "o/3.tif"])
        self.assert_picture(self.file("o", "0.tif"), (20, 20))

    def test_half_a_line_at_the_end(self):
        self.go()
        whole = self.contents("o")
        lines = self.lines()[:-1]
        for cut in (1, 20, len(lines[-1]) - 1):
            with self.subTest(cut=cut):
                self.write_journal(lines[:-1] + [lines[-1][:cut]])
                result = self.go()
                self.assertEqual(self.outputs(result), ["o/4.tif"])
                self.assertNotIn("damaged", result.err)
                self.assertEqual(self.contents("o"), whole)
                for line in self.lines()[:-1]:
                    json.loads(line)
        # the very first line, before anything was done
        self.write_journal([lines[0][:30]])
        for name in self.below("o"):
            os.remove(self.file("o", name))
        self.assertEqual(len(self.go().out.splitlines()), 5)
        self.assertEqual(self.contents("o"), whole)

    def test_a_failure_after_a_crash(self):
        """The output is there, the line about it is not, and making it again fails at first."""
        self.go()
        whole = self.contents("o")
        lines = self.lines()
        self.write_journal(lines[:-2] + [b""])
        size = os.path.getsize(self.journal) + 1000

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        self.assertLess(size, len(whole["4.tif"]))
        self.go(code=9, preexec_fn=limit)
        self.assertEqual(json.loads(self.lines()[-2])["state"], "failed")
        self.assertEqual(self.contents("o"), whole)
        self.assertEqual(self.outputs(self.go()), ["o/4.tif"])
        self.assertEqual(self.contents("o"), whole)

    def test_garbage_in_the_middle(self):
        self.go()
        whole = self.contents("o")
        good = self.lines()
        random.seed(SEED)
        for kind in ("bytes", "zeros", "swallowed", "json"):
            with self.subTest(kind=kind, seed=SEED):
                lines = list(good)
                times = {n: os.stat(self.file("o", n)).st_mtime_ns for n in whole}
                junk = {"bytes": bytes(random.randrange(256) for _ in range(300)).replace(b"\n", b"x"), "zeros": b"\0" * 500,
                        "swallowed": lines[7][30:], "json": b"[1, 2]"}[kind]
                lines[4:8] = [junk]  # the end of 1 and the beginning of 2, or both of one
                self.write_journal(lines)
                result = self.go()
                self.assertIn("j.journal is damaged: 1 of its lines cannot be read, the first is line 5", result.err)
                self.assertEqual(self.contents("o"), whole)
                same = [n for n in whole if os.stat(self.file("o", n)).st_mtime_ns == times[n]]
                self.assertGreaterEqual(len(same), 3, "what could be read counts")

    def test_no_journal_of_ours(self):
        for content in (b"this is no journal\n", b"\x89PNG\r\n\x1a\n", b"{}\n", b"[]\n", b'{"journal":"another"}\n',
                        b'{"journal":"darktable-ai batch","version":1}\n', b"\n", b"\0" * 100):
            with self.subTest(content=content):
                self.write("j.journal", content)
                self.assert_fails(self.go(code=2), 2, "j.journal", "no journal", "Choose another")
                with open(self.journal, "rb") as f:
                    self.assertEqual(f.read(), content)
        self.write("j.journal", b'{"journal":"darktable-ai batch","version":2,"settings":{}}\n')
        self.assert_fails(self.go(code=2), 2, "another version")
        self.assertFalse(os.path.exists(self.file("o")))
        os.remove(self.journal)
        os.mkdir(self.journal)
        self.assertIn(self.denoise(*self.args()).code, (2, 4))
        os.rmdir(self.journal)
        os.mkfifo(self.journal)
        self.assert_fails(self.go(code=2), 2, "regular")

    def test_another_command(self):
        self.go()
        before = self.snapshot()
        mask = self.make("mask.png", 16, 12)
        for args, name in ((["--bit-depth=8"], "bit-depth was not given, and now it is 8"), (["--strength=50"], "strength"),
                           (["-o", "o2/{name}.{ext}"], "output"), (["--shard=1/2"], "shard"), (["--icc=srgb"], "icc"),
                           (["--mask", mask], "mask")):
            with self.subTest(args=args):
                result = self.denoise(*self.args()[:-1], *args, "p")
                self.assert_fails(result, 2, "j.journal", "belongs to another command", name, "remove")
        result = self.run_cli("upscale", *self.args())
        self.assert_fails(result, 2, "its task was denoise, and now it is upscale")
        os.remove(mask)
        self.assertEqual({k: v for k, v in self.snapshot().items()}, {k: v for k, v in before.items()})
        # what changes no pixel may differ
        self.assertEqual(self.go("--threads=1", "--memory=1G", "--progress=none", "--keep-going", "--provider=CPU").out, "")

    def test_another_model(self):
        self.add_model("denoise-conv3", "changing", version="1")
        self.go("--model", "changing")
        manifest = os.path.join(self.config, "models", "changing", "config.json")
        with open(manifest) as f:
            text = f.read()
        with open(manifest, "w") as f:
            f.write(text.replace('"version": "1"', '"version": "2"'))
        self.assert_fails(self.go("--model", "changing", code=2), 2, "digest of the model")
        self.assert_fails(self.go(code=2), 2, "its model was changing, and now it is denoise-conv3")
        self.assert_fails(self.go("--model", "nobody", code=5), 5, "nobody")
        self.assert_fails(self.go("--model", "upscale-x2", code=5), 5, "upscale-x2")

    def test_a_mask_with_other_content(self):
        mask = self.make("mask.png", 16, 12, 1)
        self.go("--mask", mask)
        self.make("mask.png", 16, 12, 2)
        self.assert_fails(self.go("--mask", mask, code=2), 2, "mask was", "sha256")

    def test_two_runs(self):
        """The second says who is at work, and changes nothing."""
        self.add_model("test-slow", "slow", task="denoise", attributes={"input_sizes": [64]})
        os.mkdir(self.file("q"))
        self.make("q/a.png", 400, 300)
        self.assert_ok(self.denoise("--model", "slow", "--dry-run", "q"))
        args = ["denoise", "--model", "slow", "--journal", self.journal, "--resume", "-o", "o/{name}.{ext}", "q"]
        first = self.start(*args)
        self.addCleanup(first.communicate)
        self.addCleanup(first.kill)
        deadline = time.monotonic() + 30 * harness.SLOWER
        while not self.parts(self.file("o")) and time.monotonic() < deadline:
            time.sleep(0.01)
        before = self.lines()
        self.assert_fails(self.run_cli(*args), 4, "j.journal", "process %d on %s" % (first.pid, os.uname().nodename))
        self.assertEqual(self.lines(), before)
        # to look is allowed
        self.assert_ok(self.run_cli(*args, "--dry-run", "--overwrite"))
        first.kill()
        first.wait()
        # its lock is gone with it
        self.assertEqual(self.run_cli(*args, "--dry-run").code, 0)

    def test_that_cannot_be_written(self):
        result = self.denoise("--journal", "missing/j", "-o", "o/{name}.{ext}", "p")
        self.assert_fails(result, 4, "missing/j", "cannot be written", "No such file")
        self.assertFalse(os.path.exists(self.file("o")))
        # full in the middle: what cannot be written down is not begun
        self.go()
        size = os.path.getsize(self.journal) + 700
        for name in self.below("o"):
            os.remove(self.file("o", name))

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        os.makedirs(self.file("o"), exist_ok=True)
        result = self.denoise(*self.args(), preexec_fn=limit)
        self.assertEqual(result.code, 9, result)
        self.assertIn("j.journal cannot be written", result.err)
        for line in self.lines()[:-1]:
            json.loads(line)
        self.go()
        self.assertEqual(self.below("o"), ["%d.tif" % i for i in range(5)])

    def test_odd_names(self):
        names = ["new\nline.png", "quote'\".png", "Grüße.png", "tab\t.png", "back\\slash.png"]
        self.put(*("p/" + n for n in names))
        os.rename(self.file("p", "0.png"), os.path.join(os.fsencode(self.file("p")), b"latin\xe4\xff.png"))
        self.assertEqual(self.go().code, 0)
        self.assertIn("10 of 10 files had been done", self.go().err)

    def test_cancelled(self):
        """Ctrl-C is no failure of the file at work: it is done next time."""
        self.add_model("test-slow", "slow", task="denoise", attributes={"input_sizes": [64]})
        os.mkdir(self.file("q"))
        self.make("q/a.png", 400, 300)
        self.assert_ok(self.denoise("--model", "slow", "--dry-run", "q"))
        args = ["denoise", "--model", "slow", "--journal", self.journal, "--resume", "-o", "o/{name}.{ext}", "q"]
        process = self.start(*args)
        deadline = time.monotonic() + 30 * harness.SLOWER
        while not self.parts(self.file("o")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 143, err)
        self.assertEqual(self.below("o"), [])
        self.assertEqual(json.loads(self.lines()[-2])["state"], "begun")


class Killed(BatchTest):
    def test_killed_at_random_moments(self):
        """Killed again and again and gone on with each time: the files are those of a run that nobody disturbed."""
        print("  %d files, %d kills, seed %d" % (FILES, KILLS, SEED))
        random.seed(SEED)
        self.put(*("p/%d/%03d.png" % (i % 3, i) for i in range(FILES)), size=(40, 30))
        args = ["denoise", "-r", "p", "--resume"]
        result = self.assert_ok(self.run_cli(*args, "--journal", "whole", "-o", "whole.out/{relative}/{name}.{ext}", timeout=600))
        good = self.contents("whole.out")
        self.assertEqual(len(good), FILES)
        args += ["--journal", "torn", "-o", "o/{relative}/{name}.{ext}"]
        before = self.snapshot(self.file("p"))
        killed = sum(self.kill_one(args) for _ in range(KILLS))
        last = self.assert_ok(self.run_cli(*args, timeout=600))
        self.assertEqual(self.contents("o"), good)
        self.assertEqual(self.snapshot(self.file("p")), before)
        done = len(last.out.splitlines())
        print("  %d were killed at work, %d files were left for the last run; undisturbed it takes %.1f s"
              % (killed, done, result.seconds))
        self.assertGreaterEqual(killed, KILLS * 3 // 4)
        self.assertIn("%d of %d files had been done" % (FILES - done, FILES), last.err)

    def kill_one(self, args):
        """Kills a run a moment after some number of lines in the journal. @return 1 when it was at work, not done"""
        journal = self.file("torn")
        size = os.path.getsize(journal) if os.path.exists(journal) else 0
        # about 750 bytes for each file
        wanted = size + random.random() * FILES / KILLS * 750 if random.random() < 0.9 else 0
        moment = random.random() * 0.01
        process = self.start(*args)
        deadline = time.monotonic() + 60 * harness.SLOWER
        while process.poll() is None and time.monotonic() < deadline:
            if (os.path.getsize(journal) if os.path.exists(journal) else 0) >= wanted:
                break
            time.sleep(0.0005)
        time.sleep(moment)
        at_work = process.poll() is None
        process.kill()
        process.communicate()
        return int(at_work)


if __name__ == "__main__":
    harness.main()
