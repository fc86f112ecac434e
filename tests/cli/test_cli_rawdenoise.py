# SPDX-License-Identifier: GPL-3.0-or-later
"""rawdenoise as a photographer works with it: raws in, DNGs out that every raw developer opens; names, options, batches,
metadata, refusals.

The network of most tests, rawdenoise-nearest, gives each site's value times -3.5 (of sensors other than Bayer's the
demosaicked pixel times 2). Its manifest is changed here to say that these are meant, so that what is to come out is known."""
import glob
import hashlib
import json
import os
import random
import re
import shutil
import signal
import statistics
import struct
import subprocess
import time
import unittest

import harness
import raws
from harness import CliTest
from raws import BAYER, XTRANS, Dng

FACTOR = -3.5         # of rawdenoise-nearest for Bayer
LINEAR_FACTOR = 2.0   # and for everything else
PLAIN = ("--compression", "none")
HALF = ("--bit-depth", "half") + PLAIN
SIZE = (64, 48)
SEED = int(os.environ.get("DT_TEST_SEED", "20"))
FLIPS = 2000 if harness.LONG else 60


class RawTest(CliTest):
    models = ("rawdenoise-tiny", "rawdenoise-unet", "denoise-conv3", "upscale-x2")

    def setUp(self):
        super().setUp()
        self.add_model("rawdenoise-nearest", attributes={
            "model_bayer": {"input_kind": "bayer_v1", "wb_norm": "as_shot", "output_scale": "absolute"},
            "model_linear": {"input_kind": "linear_v1", "wb_norm": "as_shot", "output_scale": "absolute"}})
        self.write_airc("plugins/ai/enabled=TRUE\n" + "".join(
            "plugins/ai/models/active/%s=%s\n" % pair for pair in (
                ("rawdenoise", "rawdenoise-nearest"), ("denoise", "denoise-conv3"), ("upscale", "upscale-x2"))))

    def put(self, name="a.dng", pattern="RGGB", size=SIZE, **more):
        path = self.file(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return self.write(name, raws.dng(*size, pattern, **more))

    def rawdenoise(self, *args, **options):
        return self.run_cli("rawdenoise", *args, **options)

    def develop(self, source, *args, out="out.dng"):
        """Runs it and reads the DNG that comes out."""
        path = self.file(out)
        self.assert_ok(self.rawdenoise(*args, "--overwrite", "-o", path, source))
        return Dng(path)

    def rows(self, result):
        return [json.loads(line) for line in result.out.splitlines()]

    def assert_near(self, got, expected, tolerance, what=None):
        self.assertEqual(len(got), len(expected), what)
        worst = max(range(len(got)), key=lambda i: abs(got[i] - expected[i]))
        self.assertLessEqual(abs(got[worst] - expected[worst]), tolerance,
                             "%s: at %d %g, not %g" % (what, worst, got[worst], expected[worst]))


# --- what comes out

class Outputs(RawTest):
    def test_a_dng_beside_the_raw(self):
        source = self.put()
        before = harness.read_bytes(source)
        result = self.assert_ok(self.rawdenoise(source))
        self.assertEqual(result.out, self.file("a_rawdenoise.dng") + "\n")
        self.assertEqual(len(result.messages), 1, result)
        self.assertEqual(sorted(os.listdir(self.work)), ["a.dng", "a_rawdenoise.dng"])
        self.assertEqual(harness.read_bytes(source), before)
        dng = Dng(self.file("a_rawdenoise.dng"))
        self.assertEqual((dng.kind, dng.size, dng.raw[258], dng.raw[259][0]), ("linear", SIZE, (16, 16, 16), 7))
        self.assertEqual(dng.main[50706][:2], b"\x01\x04")
        self.assertIsNotNone(dng.preview)

    def test_names(self):
        source = self.put("x.y.NEF")
        os.mkdir(self.file("out"))
        for given, expected in (((), "x.y_rawdenoise.dng"), (("-o", "n.dng"), "n.dng"), (("-o", "N.DNG"), "N.DNG"),
                                (("-o", "out"), "out/x.y_rawdenoise.dng"), (("-o", "out/"), "out/x.y_rawdenoise.dng"),
                                (("-o", "new/{name}-{model}.{ext}"), "new/x.y-rawdenoise-nearest.dng"),
                                (("-o", "{dir}/{name}_{task}.{ext}", "--format", "tiff"), "x.y_rawdenoise.tif"),
                                (("--format", "dng"), "x.y_rawdenoise.dng"), (("--format", "tiff"), "x.y_rawdenoise.tif"),
                                (("--format", "exr"), "x.y_rawdenoise.exr"), (("-o", "p.tiff"), "p.tiff"),
                                (("-o", "q.exr"), "q.exr")):
            with self.subTest(given=given):
                result = self.assert_ok(self.rawdenoise("--overwrite", *given, source))
                self.assertEqual(os.path.realpath(self.file(result.out.strip())), os.path.realpath(self.file(expected)))
                head = harness.read_bytes(self.file(expected))[:4]
                self.assertEqual(head, b"\x76\x2f\x31\x01" if expected.endswith("exr") else b"II*\0")
        self.assertEqual(self.parts(), [])

    def test_kinds_depths_compressions(self):
        source = self.put(samples=raws.mosaic("RGGB", *SIZE, 512, 4095), white=4095)
        for kind, samples in (("linear", 3), ("cfa", 1)):
            sizes = {}
            for args, bits, compression, form in (((), 16, 7, None), (("--compression", "lj92"), 16, 7, None), (PLAIN, 16, 1, None),
                                                  (HALF, 16, 1, 3), (HALF[:2], 16, 8, 3), (HALF[:2] + ("--compression", "deflate"), 16, 8, 3), (("--bit-depth", "16"), 16, 7, None)):
                with self.subTest(kind=kind, args=args):
                    dng = self.develop(source, "--output-kind", kind, "--strength", 0, *args)
                    raw = dng.raw
                    self.assertEqual((dng.kind, dng.size, raw[258], raw[259][0]), (kind, SIZE, (bits,) * samples, compression))
                    self.assertEqual(raw.get(339, (None,))[0] if form else raw.get(339, (1,))[0], form or 1)
                    self.assertEqual(raw.get(33422), b"\0\1\1\2" if kind == "cfa" else None)
                    sizes[args] = len(dng.data)
            self.assertLess(sizes[()], sizes[PLAIN])

    def test_pictures(self):
        """TIFF and OpenEXR are developed as far as linear Rec. 2020."""
        source = self.put()
        self.assert_ok(self.rawdenoise("-o", self.file("o.tif"), source))
        info = self.assert_picture(self.file("o.tif"), SIZE)
        self.assertEqual((info["bits"], info["channels"], info["tags"][339][0]), (32, 3, 3))
        self.assertIn(b"2020", info["tags"][34675].replace(b"\0", b""))
        self.assert_ok(self.rawdenoise("--bit-depth", 16, "--compression", "deflate", "--overwrite", "-o", self.file("o.tif"), source))
        info = self.assert_picture(self.file("o.tif"), SIZE)
        self.assertEqual((info["bits"], info["compression"]), (16, 8))
        sizes = []
        for depth in ("32", "16", "half"):
            self.assert_ok(self.rawdenoise("--bit-depth", depth, "--overwrite", "-o", self.file("o.exr"), source))
            sizes.append(os.path.getsize(self.file("o.exr")))
        self.assertEqual(sizes[1], sizes[2], "whole numbers of 16 bits are not what OpenEXR has")
        self.assertLess(sizes[1], sizes[0])

    def test_developed_colours(self):
        """The camera of these raws sees sRGB's primaries: a white wall is white in any light, and red is red in D65."""
        for light, neutral, expected in (((0.4, 0.4, 0.4), (0.5, 1.0, 0.7), (0.4, 0.4, 0.4)),
                                         ((0.6, 0.1, 0.1), (1.0, 1.0, 1.0), (0.4137, 0.1346, 0.1082))):
            samples = raws.mosaic("GBRG", *SIZE, light=lambda x, y: [v * n for v, n in zip(light, neutral)])
            source = self.put("c.dng", "GBRG", samples=samples, tags={raws.NEUTRAL: (raws.RATIONAL, neutral)})
            self.assert_ok(self.rawdenoise("--strength", 0, *PLAIN, "--overwrite", "-o", self.file("o.tif"), source))
            data = harness.read_bytes(self.file("o.tif"))
            tags = harness.tiff_tags(data)
            values = struct.unpack("<%df" % (3 * SIZE[0] * SIZE[1]), b"".join(
                data[at:at + n] for at, n in zip(tags[273], tags[279])))
            self.assert_near([statistics.mean(values[c::3]) for c in range(3)], expected, 0.005, light)

    def test_streams(self):
        source = self.put()
        self.assert_ok(self.rawdenoise("-o", self.file("o.dng"), source))
        expected = harness.read_bytes(self.file("o.dng"))
        with open(self.file("p.dng"), "wb") as f:
            with self.start("rawdenoise", "-o", "-", source, stdout=f) as process:
                err = process.communicate()[1]
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(harness.read_bytes(self.file("p.dng")), expected)
        for name, extra in (("q.dng", ()), ("q.tif", ("--format", "tiff")), ("q.exr", ("--format", "exr"))):
            with open(source, "rb") as i, open(self.file(name), "wb") as o:
                with self.start("rawdenoise", *extra, "-o", "-", "-", stdin=i, stdout=o) as process:
                    err = process.communicate()[1]
            self.assertEqual(process.returncode, 0, err)
            self.assertGreater(os.path.getsize(self.file(name)), 1000)
        # what came through a pipe had no name
        self.assertNotIn(raws.ORIGINAL_NAME, Dng(self.file("q.dng")).main)
        with open(source, "rb") as i:
            self.assert_fails(self.rawdenoise("-", stdin=i), 2, "-o FILE")

    def test_runs_are_identical(self):
        """Threads, memory and the time of day change no byte."""
        source = self.put(size=(300, 220), samples=raws.mosaic("RGGB", 300, 220))
        contents = set()
        small = "600M" if harness.SANITIZED else "170M"
        for args in ((), (), ("--threads", 1), ("--memory", small)):
            for model in ("rawdenoise-tiny",):
                self.assert_ok(self.rawdenoise("--model", model, *args, "--overwrite", "-o", self.file("o.dng"), source))
            contents.add(harness.read_bytes(self.file("o.dng")))
        self.assertEqual(len(contents), 1)

    def test_dry_run_writes_nothing(self):
        source = self.put()
        before = self.snapshot()
        result = self.assert_ok(self.rawdenoise("--dry-run", source))
        for words in ("64×48", "Bayer RGGB", "Testmaker Model 1", "rawdenoise-nearest", "CPU", "cells of 2×2 pixels", "memory",
                      "a_rawdenoise.dng"):
            self.assertIn(words, result.out)
        self.assertEqual(self.snapshot(), before)

    def test_json(self):
        for name, pattern, words, cell in (("b.dng", "GRBG", "Bayer GRBG", 2), ("x.dng", XTRANS, "X-Trans", 1),
                                           ("l.dng", "LINEAR", "linear RGB", 1)):
            source = self.put(name, pattern)
            row, = self.rows(self.assert_ok(self.rawdenoise("--json", "--dry-run", source)))
            self.assertEqual((row["schema_version"], row["event"], row["cell"]), (1, "plan", cell))
            self.assertIn(words, row["sensor"])
            self.assertEqual((row["width"], row["height"], row["output_width"], row["output_height"]), SIZE + SIZE)
            row, = self.rows(self.assert_ok(self.rawdenoise("--json", source)))
            self.assertEqual((row["event"], row["input"], row["model"]), ("done", source, "rawdenoise-nearest"))
            self.assertEqual(row["output"], source.replace(".dng", "_rawdenoise.dng"))
        row, = self.rows(self.rawdenoise("--json", self.write("bad.nef", b"x" * 999)))
        self.assertEqual((row["event"], row["exit_code"]), ("error", 3))

    def test_progress(self):
        source = self.put(size=(300, 220), samples=raws.mosaic("RGGB", 300, 220))
        lines = self.assert_ok(self.rawdenoise("--json", "--progress=json", source)).err.splitlines()
        fractions = [json.loads(line)["fraction"] for line in lines]
        self.assertEqual(fractions, sorted(fractions))
        self.assertEqual(fractions[-1], 1)


# --- samples

class Samples(RawTest):
    def test_strength_zero_gives_them_back(self):
        """Behind the filter array: the source's samples, as they were, in steps of a whole number."""
        for pattern in BAYER + (XTRANS,):
            for size, big, black, white in ((SIZE, False, 512, 16383), ((67, 51), True, 0, 4095), ((36, 30), False, 1024, 65535)):
                with self.subTest(pattern=pattern, size=size, white=white):
                    source = self.put("s.dng", pattern, size, big=big, black=black, white=white)
                    dng = self.develop(source, "--strength", 0, "--output-kind", "cfa", *PLAIN)
                    before, after = Dng(source).samples(), dng.samples()
                    low, high = dng.raw[raws.BLACK][0], dng.raw[raws.WHITE][0]
                    if white < 65535:
                        step = (high - low) / (white - black)
                        self.assertEqual(step, int(step))
                        self.assertEqual(after, [low + int(step) * (v - black) for v in before])
                    else:  # no room for that: to the nearest code
                        self.assert_near(dng.light(), Dng(source).light(), 0.51 / (high - low))
                    self.assertEqual(dng.raw[33422], Dng(source).main[33422])

    def test_nothing_is_cut(self):
        """Samples below black and above white come back as well."""
        samples = [(i * 2311) % 65536 for i in range(SIZE[0] * SIZE[1])]
        source = self.put(samples=samples, black=2000, white=12000)
        dng = self.develop(source, "--strength", 0, "--output-kind", "cfa", *PLAIN)
        self.assert_near(dng.light(), [(v - 2000) / 10000 for v in samples], 1e-4)

    def test_the_network_is_asked(self):
        source = self.put()
        light = Dng(source).light()
        for strength, factor in ((100, FACTOR), (50, 0.5 + 0.5 * FACTOR), (0, 1), (12.5, 0.875 + 0.125 * FACTOR)):
            dng = self.develop(source, "--strength", strength, "--output-kind", "cfa", *HALF)
            self.assert_near(dng.light(), [factor * v for v in light], 0.003, strength)

    def test_the_gain(self):
        """Of a network whose results are only proportional, the factor is found: here nothing is left of it."""
        self.add_model("rawdenoise-nearest", "proportional")
        for pattern in ("GBRG", XTRANS):
            source = self.put("g.dng", pattern, (200, 150), samples=raws.mosaic(pattern, 200, 150, light=lambda x, y: [
                0.4 * v for v in raws.scene(x, y)]))
            light = self.develop(source, "--model", "proportional", "--output-kind", "cfa", *HALF).light()
            if pattern != XTRANS:
                self.assert_near(light, Dng(source).light(), 0.003)
            before = Dng(source).light()
            self.assertAlmostEqual(statistics.mean(light), statistics.mean(before), delta=0.01 * statistics.mean(before))

    def test_the_mask(self):
        width, height = SIZE
        source = self.put(size=SIZE)
        mask = self.write("mask.png", harness.png(width, height, 1, 8, [255 * (x // (width // 2)) for _ in range(height)
                                                                        for x in range(width)]))
        light = Dng(source).light()
        got = self.develop(source, "--mask", mask, "--output-kind", "cfa", *HALF).light()
        expected = [v * (FACTOR if i % width >= width // 2 else 1) for i, v in enumerate(light)]
        self.assert_near(got, expected, 0.003)
        self.assert_fails(self.rawdenoise("--mask", self.make("small.tif", 10, 10), source), 3, "10×10", "64×48", "one of these sizes")
        self.assert_fails(self.rawdenoise("--mask", self.file("no.png"), source), 3, "no.png")

    def test_a_mask_of_what_the_camera_shows(self):
        source = self.put("s.dng", tags={raws.CROP_ORIGIN: (raws.LONG, [3, 2]), raws.CROP_SIZE: (raws.LONG, [50, 40])})
        mask = self.write("mask.png", harness.png(50, 40, 1, 8, [255 * (x >= 25) for _ in range(40) for x in range(50)]))
        got = self.develop(source, "--mask", mask, "--output-kind", "cfa", *HALF).light()
        light, width = Dng(source).light(), SIZE[0]
        inside = [i for i in range(len(light)) if 3 <= i % width < 53 and 2 <= i // width < 42]
        self.assert_near([got[i] for i in inside], [light[i] * (FACTOR if i % width >= 28 else 1) for i in inside], 0.003)

    def test_other_sensors(self):
        """The linear network sees what was demosaicked."""
        for pattern in (XTRANS, "LINEAR"):
            with self.subTest(pattern=pattern):
                source = self.put("s.dng", pattern, (96, 72))
                light = self.develop(source, "--strength", 100, *HALF).light()
                expected = raws.linear(96, 72, 0, 1 << 20)
                for c in range(3):
                    mean = LINEAR_FACTOR * statistics.mean(expected[c::3]) / (1 << 20)
                    self.assertAlmostEqual(statistics.mean(light[c::3]), mean, delta=0.02 * mean)
        got = self.develop(source, "--strength", 0, *HALF).light()
        self.assert_near(got, [v / (1 << 20) for v in expected], 0.002, "linear raws come back as well")

    def test_phases_agree(self):
        """The same scene, the filter array moved by one site: the same result, moved by one."""
        width, height = 66, 50
        for model, tolerance in (("rawdenoise-nearest", 0.004), ("rawdenoise-tiny", 0.01)):
            whole = None
            for pattern in BAYER:
                left, top = BAYER.index(pattern) % 2, BAYER.index(pattern) // 2
                source = self.put("%s.dng" % pattern, pattern, (width, height),
                                  samples=raws.mosaic(pattern, width, height, left=left, top=top))
                # what does not depend on the whole picture: the gain is of the white level alone
                light = self.develop(source, "--model", model, *HALF).light()
                inside = [light[3 * ((y - top) * width + x - left) + c] for y in range(6, height - 6)
                          for x in range(6, width - 6) for c in range(3)]
                whole = whole or inside
                with self.subTest(model=model, pattern=pattern):
                    self.assert_near(inside, whole, tolerance * max(map(abs, whole)))

    def test_odd_sizes(self):
        for width, height in ((33, 31), (64, 35), (47, 64), (130, 23), (23, 130)):
            for pattern in ("GBRG", XTRANS, "LINEAR"):
                for kind in ("linear", "cfa")[:1 if pattern == "LINEAR" else 2]:
                    with self.subTest(size=(width, height), pattern=pattern, kind=kind):
                        source = self.put("s.dng", pattern, (width, height))
                        dng = self.develop(source, "--output-kind", kind, *PLAIN)
                        self.assertEqual(dng.size, (width, height))
                        dng.samples()

    def test_tiny_raws(self):
        """Whatever a raw's size, a result or words."""
        for width, height in ((1, 1), (2, 2), (1, 9), (9, 1), (3, 5), (7, 7), (16, 16), (21, 22)):
            with self.subTest(size=(width, height)):
                source = self.put("s.dng", "RGGB", (width, height))
                result = self.rawdenoise("--overwrite", *HALF, source)
                if result.code:
                    self.assert_fails(result, 3, "s.dng")
                else:
                    self.assertEqual(Dng(self.file("s_rawdenoise.dng")).size, (width, height))

    def test_crops(self):
        width, height = 70, 54
        for x, y, w, h in ((1, 1, 60, 50), (3, 2, 61, 47), (0, 0, 70, 54), (69, 53, 1, 1)):
            with self.subTest(crop=(x, y, w, h)):
                source = self.put("s.dng", "GRBG", (width, height), tags={
                    raws.CROP_ORIGIN: (raws.LONG, [x, y]), raws.CROP_SIZE: (raws.LONG, [w, h])})
                dng = self.develop(source, "--strength", 0, "--output-kind", "cfa", *PLAIN)
                self.assertEqual((dng.raw[raws.CROP_ORIGIN], dng.raw[raws.CROP_SIZE]), ((x, y), (w, h)))
                self.assert_near(dng.light(), Dng(source).light(), 1e-6)
                self.assert_ok(self.rawdenoise("--overwrite", "-o", self.file("o.tif"), source))
                self.assert_picture(self.file("o.tif"), (w, h))

    def test_active_areas(self):
        """What lies outside is masked, and the filter array begins with the area."""
        width, height = 70, 54
        for top, left, bottom, right in ((0, 0, 54, 70), (1, 0, 54, 70), (0, 1, 54, 70), (3, 5, 50, 68), (2, 4, 53, 69)):
            with self.subTest(area=(top, left, bottom, right)):
                inner = raws.mosaic("RGGB", right - left, bottom - top)
                samples = [512] * (width * height)
                for y in range(bottom - top):
                    at = (top + y) * width + left
                    samples[at:at + right - left] = inner[y * (right - left):(y + 1) * (right - left)]
                source = self.put("s.dng", "RGGB", (width, height), samples=samples,
                                  tags={raws.ACTIVE_AREA: (raws.LONG, [top, left, bottom, right])})
                dng = self.develop(source, "--strength", 0, "--output-kind", "cfa", *PLAIN)
                self.assertEqual((dng.size, dng.raw[33422]), ((right - left, bottom - top), b"\0\1\1\2"))
                self.assert_near(dng.light(), [(v - 512) / (16383 - 512) for v in inner], 1e-6)

    def test_black_of_each_site(self):
        black = (100, 164, 228, 36)
        light = [0.3 + 0.1 * ((x // 8 + y // 8) % 2) for y in range(SIZE[1]) for x in range(SIZE[0])]
        samples = [round(black[i // SIZE[0] % 2 * 2 + i % SIZE[0] % 2] + v * 4000) for i, v in enumerate(light)]
        source = self.put(samples=samples, white=4100, tags={50713: (raws.SHORT, [2, 2]), raws.BLACK: (raws.SHORT, black)})
        dng = self.develop(source, "--strength", 0, "--output-kind", "cfa", *HALF)
        expected = [(v - black[i // SIZE[0] % 2 * 2 + i % SIZE[0] % 2]) / (4100 - black[i // SIZE[0] % 2 * 2 + i % SIZE[0] % 2])
                    for i, v in enumerate(samples)]
        self.assert_near(dng.light(), expected, 0.001)


# --- words

class Options(RawTest):
    def setUp(self):
        super().setUp()
        self.source = self.put()
        self.before = self.snapshot()

    def refuse(self, code, fragments, *args):
        with self.subTest(args=args):
            result = self.rawdenoise(*args, self.source)
            after = self.snapshot()
            for name in set(after) - set(self.before):
                os.remove(self.file(name))
            self.assert_fails(result, code, *fragments)
            self.assertEqual(after, self.before)

    def test_wrong_values(self):
        for option, values in (("--output-kind", ("both", "CFA", "")), ("--bit-depth", ("8", "12", "0", "-16", "16 ", "float")),
                               ("--compression", ("zip", "lzw", "LJ92", "")), ("--format", ("png", "jpeg", "nef", "")),
                               ("--strength", ("-1", "101", "nan", "inf")), ("--threads", ("0", "-3")),
                               ("--memory", ("much", "0", "-1G")), ("--progress", ("fancy",)), ("--shard", ("5/4",))):
            for value in values:
                self.refuse(2, [option + " takes"], "%s=%s" % (option, value))
        for option in ("--strength", "--threads"):
            self.refuse(2, [option], option + "=word")

    def test_options_of_other_commands(self):
        for option in ("--sigma=3", "--quality=90", "--scale=2", "--long-edge=100", "--assume-profile=srgb", "--intent=relative",
                       "--no-dither"):
            self.refuse(2, [option.split("=")[0], "darktable-ai rawdenoise --help"], option)

    def test_what_the_format_does_not_have(self):
        for fragments, args in (
                (["--bit-depth 32", "16 or half"], ["--bit-depth=32"]),
                (["--bit-depth 32", "16 or half"], ["--bit-depth=32", "-o", "{name}.dng"]),
                (["--bit-depth half", "TIFF"], ["--bit-depth=half", "-o", "o.tif"]),
                (["--bit-depth half", "TIFF"], ["--bit-depth=half", "--format=tiff"]),
                (["--compression deflate", "lj92 or none"], ["--compression=deflate"]),
                (["--compression deflate-predictor", "lj92 or none"], ["--compression=deflate-predictor", "-o", "o.dng"]),
                (["--compression lj92", "half floats", "deflate or none"], ["--compression=lj92", "--bit-depth=half"]),
                (["--compression lj92", "TIFF"], ["--compression=lj92", "-o", "o.tif"]),
                (["--compression lj92"], ["--compression=lj92", "--format=exr"]),
                (["--output-kind cfa", "DNG"], ["--output-kind=cfa", "-o", "o.tif"]),
                (["--output-kind cfa", "DNG"], ["--output-kind=cfa", "--format=exr"]),
                (["--icc", "DNG"], ["--icc=srgb"]),
                (["--format tiff", "o.dng"], ["--format=tiff", "-o", "o.dng"]),
                (["--format dng", "o.tif"], ["--format=dng", "-o", "o.tif"]),
                (["--format exr", "{name}.DNG"], ["--format=exr", "-o", "{name}.DNG"])):
            self.refuse(2, fragments, *args)

    def test_contradictions(self):
        self.refuse(2, ["--skip-existing", "--overwrite"], "--skip-existing", "--overwrite")
        self.refuse(2, ["--keep-going", "--fail-fast"], "--keep-going", "--fail-fast")
        self.refuse(2, ["--json", "-o -"], "--json", "-o", "-")
        self.refuse(2, ["o.dng", "pattern"], "-o", "o.dng", self.source + "x")

    def test_names_of_other_formats(self):
        for name in ("o.png", "o.jpg", "o.nef", "o", "o.", "dng"):
            self.refuse(2, [name, ".dng, .tif or .exr"], "-o", self.file(name))
        self.refuse(2, [], "-o", "")

    def test_icc(self):
        self.assert_ok(self.rawdenoise("--icc", "srgb", "-o", self.file("o.tif"), self.source))
        self.assertIn(b"sRGB", harness.tiff_tags(harness.read_bytes(self.file("o.tif")))[34675].replace(b"\0", b""))

    def test_nothing_to_do(self):
        self.assert_fails(self.rawdenoise(), 2, "darktable-ai rawdenoise photo.nef")

    def test_help(self):
        result = self.assert_ok(self.rawdenoise("--help"))
        for words in ("--output-kind", "--strength", "--mask", "lj92", "half", "IMG_1234_rawdenoise.dng"):
            self.assertIn(words, result.out)
        self.assertIn("rawdenoise", self.assert_ok(self.run_cli("--help")).out)


class Refusals(RawTest):
    def refuse(self, code, fragments, *args, command="rawdenoise", **options):
        before = self.snapshot()
        result = self.run_cli(command, *args, **options)
        self.assert_fails(result, code, *fragments)
        self.assertEqual(self.snapshot(), before)
        return result

    def test_cut_off(self):
        """Wherever a raw ends too early, words, and never half a picture."""
        whole = raws.dng(*SIZE)
        front = raws.dng(*SIZE, front=True)
        for data in (whole, front):
            for size in list(range(1, 200, 37)) + [len(data) * k // 8 for k in range(1, 8)] + [len(data) - 200]:
                with self.subTest(size=size, front=data is front):
                    source = self.write("cut.dng", data[:size])
                    self.refuse(3, ["cut.dng"], source)
        source = self.write("cut.dng", front[:len(front) // 2])
        self.refuse(3, ["cut.dng: this raw is cut off", "copy it again"], source)

    def test_damaged_tags(self):
        """Bytes of the directories changed at random: a DNG that can be read, or words."""
        whole = rich(front=True)
        samples = len(whole) - 2 * SIZE[0] * SIZE[1]
        for i in range(FLIPS):
            random.seed(SEED + i)
            data = bytearray(whole)
            for _ in range(random.choice((1, 1, 2, 8))):
                data[random.randrange(8, samples)] = random.choice((0, 1, 2, 0x7f, 0xff, random.randrange(256)))
            kind, depth = random.choice(("linear", "cfa")), random.choice(("16", "half"))
            with self.subTest(seed=SEED + i, kind=kind, depth=depth):
                source = self.write("damaged.dng", bytes(data))
                result = self.rawdenoise("--overwrite", "--output-kind", kind, "--bit-depth", depth, "-o", self.file("o.dng"), source)
                if result.code == 0:
                    self.assertEqual(Dng(self.file("o.dng")).kind, kind)
                else:
                    self.assertIn(result.code, (2, 3), result)
                    self.assertEqual(len(result.messages), 1, result)
        self.assertEqual(self.parts(), [])

    def test_no_raws(self):
        jpeg, tiff = self.make("p.jpg"), self.make("p.tif")
        for path, kind in ((jpeg, "JPEG"), (tiff, "TIFF"), (self.make("p.png"), "PNG")):
            self.refuse(3, [path, "this is a " + kind, "not a raw", "denoise"], path)
        fake = self.file("fake.nef")
        shutil.copy(jpeg, fake)
        self.refuse(3, ["fake.nef: this is a JPEG, not a raw"], fake)
        shutil.copy(tiff, fake)
        self.refuse(3, ["fake.nef"], fake)
        self.refuse(3, ["noise.nef"], self.write("noise.nef", hashlib.sha512(b"x").digest() * 99))
        self.refuse(3, ["t.txt"], self.write("t.txt", b"some words\n" * 99))
        self.refuse(3, ["e.cr2", "empty"], self.write("e.cr2", b""))

    def test_places(self):
        self.refuse(3, ["gone.nef", "No such file", "check the name"], self.file("gone.nef"))
        os.mkdir(self.file("d"))
        self.make("d/a.jpg")
        self.refuse(3, ["no camera raws in this directory", "--recursive"], self.file("d"))
        self.refuse(3, ["no camera raws in this directory or below it"], "-r", self.file("d"))
        self.refuse(3, ["regular file"], "/dev/null")

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_not_readable(self):
        source = self.put()
        os.chmod(source, 0)
        self.refuse(3, ["Permission denied"], source)

    def test_monochrome(self):
        self.refuse(3, ["mono.dng", "monochrome", "denoise"], self.put("mono.dng", "MONO"))

    def test_unusual_arrays(self):
        for pattern in ("RRGB", "RGBG" "GRGB" "BGRG" "GBGR", "RGRB"):
            with self.subTest(pattern=pattern):
                self.refuse(3, ["odd.dng"], self.put("odd.dng", pattern))

    def test_unsupported_compression(self):
        source = self.put(tags={259: (raws.SHORT, [9999])})
        self.refuse(3, ["a.dng", "LibRaw"], source)

    def test_levels(self):
        for black, white in ((512, 512), (70000, 100000), (65535, 65535)):
            with self.subTest(black=black, white=white):
                result = self.rawdenoise("--overwrite", self.put(black=black, white=white, samples=[600] * (64 * 48)))
                if result.code:
                    self.assert_fails(result, 3, "a.dng", "levels")
        # a white level of nothing is not believed
        dng = self.develop(self.put(black=0, white=0, samples=[600] * (64 * 48)), "--strength", 0, *HALF)
        self.assertTrue(all(0 < v < 1 for v in dng.light()))

    def test_deflated_half_floats(self):
        """Not every LibRaw is built with what reads them: then it is said."""
        self.assert_ok(self.rawdenoise(*HALF[:2], "-o", self.file("o.dng"), self.put()))
        result = self.rawdenoise("--force", "-o", self.file("p.dng"), self.file("o.dng"))
        if result.code:
            self.assert_fails(result, 3, "o.dng: this raw is compressed with deflate", "uncompressed DNG")

    def test_no_filter_array_to_write_behind(self):
        for name, pattern in (("l.dng", "LINEAR"), ("f.dng", raws.CMYG)):
            source = self.put(name, pattern)
            self.refuse(2, [name.replace(".", "_rawdenoise."), "--output-kind linear"], "--output-kind=cfa", source)
            self.assert_ok(self.rawdenoise(source))

    def test_outputs(self):
        source = self.put()
        self.refuse(4, ["nowhere/o.dng", "create it first"], "-o", self.file("nowhere", "o.dng"), source)
        self.write("o.dng", b"mine")
        self.refuse(4, ["o.dng", "exists", "--overwrite"], "-o", self.file("o.dng"), source)
        self.refuse(4, ["o.dng", "exists"], "--dry-run", "-o", self.file("o.dng"), source)

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_unwritable(self):
        source = self.put()
        os.mkdir(self.file("d"), 0o500)
        self.refuse(4, ["Permission denied"], "-o", self.file("d"), source)

    def test_originals_are_never_replaced(self):
        source = self.put()
        os.symlink("a.dng", self.file("link.dng"))
        os.link(source, self.file("hard.dng"))
        for name in ("a.dng", "link.dng", "hard.dng", "../work/a.dng"):
            with self.subTest(name=name):
                self.refuse(4, ["replace an input", "never touched"], "--overwrite", "-o", name, source)
        self.refuse(4, ["replace an input"], "--overwrite", "-o", "a.dng", self.file("link.dng"))

    def test_a_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        source = self.put()
        with open("/dev/full", "wb") as full:
            result = self.rawdenoise("-o", "-", source, stdout=full)
        self.assertEqual(result.code, 4, result)
        self.assertIn("No space left", result.err)

    def test_models(self):
        source = self.put()
        self.refuse(5, ['"nobody"', "models list"], "--model", "nobody", source)
        self.refuse(5, ["denoise-conv3", "rawdenoise"], "--model", "denoise-conv3", source)
        self.refuse(5, ["rawdenoise-nearest", "denoise"], "--model", "rawdenoise-nearest", self.make("p.tif"), command="denoise")
        for pattern in (XTRANS, "LINEAR"):
            self.refuse(5, ["rawdenoise-unet", "X-Trans", "model_linear.onnx", "--model"], "--model", "rawdenoise-unet",
                        self.put("x.dng", pattern))
        shutil.rmtree(os.path.join(self.config, "models", "rawdenoise-nearest"))
        self.refuse(5, ["rawdenoise-nearest"], source)

    def test_switched_off(self):
        result = self.run_cli("--conf", "plugins/ai/enabled=FALSE", "rawdenoise", self.put())
        self.assert_fails(result, 10, "switched off", "darktable-ai enable")

    def test_memory(self):
        self.refuse(7, ["a.dng: ", "memory", "--memory"], "--memory=1M", self.put())

    def test_providers(self):
        source = self.put()
        self.refuse(2, ['"GPU9000"', "darktable-ai providers"], "--provider=GPU9000", source)
        self.refuse(6, ["CUDA", "CPU"], "--provider=CUDA", source)

    def test_denoise_develops(self):
        """denoise works on developed pictures: a raw goes through the pixelpipe first, upright, with its sidecar."""
        for name in ("a.dng", "b.NEF"):
            source = self.put(name)
            result = self.assert_ok(self.run_cli("denoise", "--json", source))
            self.assertIn("_denoise.tif", result.out)
        with open(source + ".dtai.xmp", "w") as f:
            f.write("no XMP")
        self.refuse(3, [".dtai.xmp"], source, command="denoise")


class Camera(RawTest):
    def test_no_matrix(self):
        source = self.put(without=(raws.MATRIX,))
        result = self.assert_ok(self.rawdenoise(source))
        self.assertIn("colours of this camera are not known", result.err)
        dng = Dng(self.file("a_rawdenoise.dng"))
        self.assertEqual(len(dng.main[raws.MATRIX]), 9)
        self.assert_near(dng.main[raws.NEUTRAL], (0.5, 1, 0.7), 1e-4)
        self.assert_ok(self.rawdenoise("-o", self.file("o.tif"), source))

    def test_no_white_balance(self):
        """Then daylight is assumed."""
        source = self.put(without=(raws.NEUTRAL,))
        dng = self.develop(source)
        self.assert_near(dng.main[raws.NEUTRAL], (1, 1, 1), 0.01, "sRGB's white is D65's")
        self.develop(self.put("n.dng", without=(raws.MATRIX, raws.NEUTRAL)))

    def test_absurd_white_balance(self):
        for neutral in ([0, 1, 1], [(0, 0), (1, 1), (1, 1)], [1e5, 1, 1], [0.00001, 1, 1]):
            with self.subTest(neutral=neutral):
                dng = self.develop(self.put(tags={raws.NEUTRAL: (raws.RATIONAL, neutral)}))
                self.assertTrue(all(0.001 < v < 1000 for v in dng.main[raws.NEUTRAL]), dng.main[raws.NEUTRAL])

    def test_absurd_matrix(self):
        for matrix in ([0] * 9, [1] * 9, [(1, 0)] * 9, [1, 0, 0, 0, 1, 0, 0, 0, 0]):
            with self.subTest(matrix=matrix):
                self.develop(self.put(tags={raws.MATRIX: (raws.SRATIONAL, matrix)}))
                self.assert_ok(self.rawdenoise("--overwrite", "-o", self.file("o.tif"), self.file("a.dng")))

    def test_colours_are_the_sources(self):
        source = self.put(tags={raws.BASELINE_EXPOSURE: (raws.SRATIONAL, [0.35]), 50708: (raws.ASCII, "Testmaker Model 1 mk II")})
        for kind in ("linear", "cfa"):
            dng = self.develop(source, "--output-kind", kind)
            before = Dng(source).main
            for tag in (raws.MATRIX, raws.NEUTRAL, raws.BASELINE_EXPOSURE, 50708, 50778):
                self.assertEqual(dng.main[tag], before[tag], tag)


# --- metadata

PACKET = (b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
          b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
          b'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"><dc:title>'
          b'<rdf:Alt><rdf:li xml:lang="x-default">Harbour at night</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF>'
          b'</x:xmpmeta><?xpacket end="w"?>')


def rich(**more):
    """A raw with all that a camera and a photographer write down."""
    exif = {33434: (raws.RATIONAL, [(1, 125)]), 33437: (raws.RATIONAL, [(28, 10)]), 34855: (raws.SHORT, [6400]),
            36864: (raws.UNDEFINED, b"0231"), 36867: (raws.ASCII, "2024:05:06 07:08:09"),
            36868: (raws.ASCII, "2024:05:06 07:08:09"), 37386: (raws.RATIONAL, [(50, 1)]),
            37500: (raws.UNDEFINED, b"Testmaker\0" + bytes(range(200))), 42036: (raws.ASCII, "Testlens 50mm F2.8"),
            42033: (raws.ASCII, "0123456789")}
    gps = {0: (raws.BYTE, [2, 3, 0, 0]), 1: (raws.ASCII, "N"), 2: (raws.RATIONAL, [(53, 1), (32, 1), (24, 1)]),
           3: (raws.ASCII, "E"), 4: (raws.RATIONAL, [(9, 1), (59, 1), (0, 1)])}
    tags = {raws.ORIENTATION: (raws.SHORT, [6]), 315: (raws.ASCII, "A photographer"), 33432: (raws.ASCII, "(c) the photographer"),
            raws.SOFTWARE: (raws.ASCII, "Firmware 1.02"), 306: (raws.ASCII, "2024:05:06 07:08:09")}
    tags.update(more.pop("tags", {}))
    return raws.dng(*SIZE, exif=exif, gps=gps, tags=tags, xmp=more.pop("xmp", PACKET), **more)


class Metadata(RawTest):
    def test_everything_goes_along(self):
        for big in (False, True):
            source = self.write("IMG_0001.DNG", rich(big=big))
            for kind in ("linear", "cfa"):
                with self.subTest(kind=kind, big=big):
                    before, dng = Dng(source), self.develop(source, "--output-kind", kind)
                    for tag in (33434, 33437, 34855, 36867, 36868, 37386, 42036, 42033):
                        self.assertEqual(dng.exif[tag], before.exif[tag], tag)
                    self.assertEqual(dict(dng.gps), dict(before.gps))
                    for tag in (271, 272, 315, 33432, 306, raws.ORIENTATION):
                        self.assertEqual(dng.main[tag], before.main[tag], tag)
                    self.assertIn(37500, dng.exif) if not big else None
                    self.assertEqual(dng.main.text(raws.ORIGINAL_NAME), "IMG_0001.DNG")
                    self.assertTrue(dng.main.text(raws.SOFTWARE).startswith("darktable-ai "))
                    self.assertIn("Harbour at night", dng.xmp)
                    self.assertRegex(dng.xmp, r"Rating(=|>)\W*4")

    def test_the_name_it_had_before(self):
        """A DNG that was made from another raw knows that one's name."""
        source = self.write("converted.dng", rich(tags={raws.ORIGINAL_NAME: (raws.ASCII, "IMG_0001.CR2")}))
        self.assertEqual(self.develop(source).main.text(raws.ORIGINAL_NAME), "IMG_0001.CR2")

    def test_odd_names(self):
        """A name that is no UTF-8 is no reason to write a text that is none."""
        source = os.path.join(os.fsencode(self.work), b"n\xff\xc3\xa4 b.NEF")
        with open(source, "wb") as f:
            f.write(raws.dng(*SIZE))
        self.assert_ok(self.rawdenoise(source))
        dng = Dng(source.replace(b".NEF", b"_rawdenoise.dng"))
        self.assertEqual(dng.main[raws.ORIGINAL_NAME].rstrip(b"\0").decode(), "n\ufffd\u00e4 b.NEF")

    def test_pictures_carry_them_too(self):
        source = self.write("a.dng", rich())
        self.assert_ok(self.rawdenoise("-o", self.file("o.tif"), source))
        tags = harness.tiff_tags(harness.read_bytes(self.file("o.tif")))
        self.assertEqual(tags["exif"][34855], [6400])
        self.assertIn(b"Harbour at night", tags[700])

    def test_previews_show_the_result(self):
        """The embedded pictures are of what was made and not of the source."""
        width, height = 320, 200
        source = self.put(size=(width, height), samples=[8000] * (width * height))
        mask = self.write("m.png", harness.png(width, height, 1, 8, [255 * (x < width // 2) for _ in range(height) for x in range(width)]))
        for kind in ("linear", "cfa"):
            dng = self.develop(source, "--mask", mask, "--output-kind", kind)  # times -3.5 on the left
            self.assertEqual(dng.main[254][0], 1)
            at, size, across = dng.main[273][0], dng.main[279][0], dng.main[256][0]
            self.assertEqual(size, 3 * across * dng.main[257][0])
            row = dng.data[at + size // 2 // (3 * across) * 3 * across:][:3 * across]
            middle = 3 * (across // 2)
            self.assertLess(max(row[:middle - 15]), 5, kind)
            self.assertGreater(min(row[middle + 15:]), 40, kind)
            self.assertEqual(dng.data[dng.preview[273][0]:][:3], b"\xff\xd8\xff")

    def test_noise_profile(self):
        """It is the result's: not to be taken away a second time."""
        random.seed(5)
        width, height, black, white = 800, 600, 512, 16383
        levels = [1000 + 10000 * (y * width + x) / (width * height) for y in range(height) for x in range(width)]
        noise = [round(black + v + random.gauss(0, 3 * v ** 0.5)) for v in levels]  # a variance of 9 times the level
        source = self.put("n.dng", size=(width, height), samples=noise, tags={raws.NOISE_PROFILE: (raws.DOUBLE, [0.5, 0.5])})
        slope = 9 / (white - black)
        for kind, strength in (("cfa", 0), ("linear", 0), ("cfa", 25)):
            dng = self.develop(source, "--strength", strength, "--output-kind", kind)
            profile = dng.raw.get(raws.NOISE_PROFILE, dng.main.get(raws.NOISE_PROFILE, (0,) * 6))
            self.assertEqual(len(profile), 6)
            factor = 1 + strength / 100 * (FACTOR - 1)  # what the mixture leaves of each sample
            for a, b in zip(profile[::2], profile[1::2]):
                self.assertGreaterEqual(min(a, b), 0)
                ratio = (a * 0.35 * abs(factor) + b) / (slope * 0.35 * factor * factor)
                self.assertLess(ratio, 1.2, (kind, strength, profile))
                if (kind, strength) == ("cfa", 0):
                    self.assertGreater(ratio, 0.8, (kind, strength, profile))


class Stamp(RawTest):
    def step(self, path):
        found = re.findall(r'dtai:(\w+)(?:="([^"]*)"|>([^<]*)</dtai)', Dng(path).xmp)
        return {k: a or b for k, a, b in found}

    def test_what_it_says(self):
        for name, pattern, network in (("b.dng", "RGGB", "model_bayer.onnx"), ("x.dng", XTRANS, "model_linear.onnx")):
            out = self.file("o_" + name)
            self.assert_ok(self.rawdenoise("--strength", 40, "-o", out, self.put(name, pattern)))
            step = self.step(out)
            self.assertEqual((step["task"], step["model"], step["strength"]), ("rawdenoise", "rawdenoise-nearest", "40"))
            digest = hashlib.sha256(harness.read_bytes(harness.FIXTURES, "rawdenoise-nearest", network)).hexdigest()
            self.assertEqual(step["modelHash"], digest)

    def test_not_twice(self):
        source = self.put()
        for kind in ("linear", "cfa"):
            out = self.file("%s.dng" % kind)
            self.assert_ok(self.rawdenoise("--output-kind", kind, "-o", out, source))
            for more in ((), ("--dry-run",)):
                result = self.rawdenoise(*more, "-o", self.file("twice.dng"), out)
                self.assert_fails(result, 2, "%s.dng has been denoised already (rawdenoise-nearest, strength 100)" % kind, "--force")
            self.assert_ok(self.rawdenoise("--force", "--overwrite", "-o", self.file("twice.dng"), out))
            self.assertEqual(Dng(self.file("twice.dng")).xmp.count("dtai:task"), 2 * Dng(out).xmp.count("dtai:task"))

    def test_denoise_and_upscale_take_the_picture(self):
        self.assert_ok(self.rawdenoise("-o", self.file("o.tif"), self.put()))
        self.assert_ok(self.run_cli("upscale", "-o", self.file("u.tif"), self.file("o.tif")))


# --- many

class Batches(RawTest):
    def fill(self, directory="p"):
        """Raws of all kinds, finished pictures, and what else lies about."""
        os.makedirs(self.file(directory, "sub"), exist_ok=True)
        for name, pattern in (("a.dng", "RGGB"), ("b.NEF", "GBRG"), ("x.raf", XTRANS), ("sub/c.dng", "LINEAR")):
            self.put(os.path.join(directory, name), pattern)
        self.make(os.path.join(directory, "a.jpg"))
        self.make(os.path.join(directory, "t.tif"))
        self.write(os.path.join(directory, "a.xmp"), b"<x/>")
        self.write(os.path.join(directory, "notes.txt"), b"words")

    def outputs(self, result):
        return sorted(os.path.normpath(line) for line in result.out.splitlines())

    def test_directories_give_their_raws(self):
        self.fill()
        result = self.assert_ok(self.rawdenoise("p"))
        self.assertEqual(self.outputs(result), ["p/%s_rawdenoise.dng" % n for n in "abx"])
        # what lies there now are results
        result = self.assert_ok(self.rawdenoise("--overwrite", "-r", "p"))
        self.assertEqual(self.outputs(result), ["p/%s_rawdenoise.dng" % n for n in ("a", "b", "sub/c", "x")])
        self.assertIn("3 results of earlier runs left out", result.err)
        # and denoise takes the others
        result = self.assert_ok(self.run_cli("denoise", "p"))
        self.assertEqual(self.outputs(result), ["p/a_denoise.tif", "p/t_denoise.tif"])

    def test_results_under_other_names_bear_a_stamp(self):
        self.fill()
        self.assert_ok(self.rawdenoise("-o", "p/{name}-clean.{ext}", "p"))
        result = self.assert_ok(self.rawdenoise("--overwrite", "-o", "p/{name}-clean.{ext}", "p"))
        self.assertEqual(self.outputs(result), ["p/%s-clean.dng" % n for n in "abx"])
        self.assertIn("a-clean.dng: a result of an earlier run, left out", result.err)

    def test_a_raw_and_its_jpeg(self):
        """Named one by one, each is told what it is."""
        self.fill()
        result = self.rawdenoise("p/a.dng", "p/a.jpg", "p/b.NEF")
        self.assertEqual(result.code, 9, result)
        self.assertEqual(len(self.outputs(result)), 2)
        self.assertIn("p/a.jpg: this is a JPEG, not a raw", result.err)
        self.assertIn("1 of 3 files failed", result.messages[-1])

    def test_of_two_kinds_and_one_name(self):
        """A camera's raw and JPEG share their name, and a wildcard gives both: neither takes the other's place."""
        self.put("IMG_1.nef")
        self.make("IMG_1.jpg")
        for files in (("IMG_1.jpg", "IMG_1.nef"), ("IMG_1.nef", "IMG_1.jpg")):
            for command, done, failed in (("rawdenoise", "IMG_1_rawdenoise.dng", "IMG_1.jpg: this is a JPEG, not a raw"),
                                          ("denoise", "IMG_1_denoise.tif", "another file of this batch goes there")):
                with self.subTest(files=files, command=command):
                    result = self.run_cli(command, "--overwrite", *files)
                    self.assertEqual(result.code, 9, result)
                    self.assertEqual(self.outputs(result), [done])
                    self.assertIn(failed, result.err)

    def test_fail_fast(self):
        self.fill()
        result = self.rawdenoise("--fail-fast", "p/a.jpg", "p/a.dng")
        self.assertEqual(self.outputs(result), [])
        self.assertIn("1 were not begun", result.err)

    def test_patterns(self):
        self.fill()
        result = self.assert_ok(self.rawdenoise("-r", "--output-kind=linear", "-o", "out/{relative}/{name}_{counter}.{ext}", "p"))
        self.assertEqual(len(self.outputs(result)), 4)
        self.assertTrue(os.path.exists(self.file("out", "sub", "c_0003.dng")) or os.path.exists(self.file("out", "sub", "c_0004.dng")),
                        result)
        self.assert_fails(self.rawdenoise("-o", "one.dng", "p"), 2, "one.dng", "pattern")

    def test_sensors_in_turn(self):
        """Both networks of a model in one run; a model with one does what it can."""
        self.fill()
        result = self.rawdenoise("-r", "--model", "rawdenoise-unet", "-o", "o/{name}.{ext}", "p")
        self.assertEqual(result.code, 9, result)
        self.assertEqual(self.outputs(result), ["o/a.dng", "o/b.dng"])
        self.assertEqual(len(re.findall("no network for sensors other than Bayer's", "\n".join(result.messages[:-1]))), 2, result)

    def test_resume(self):
        self.fill()
        args = ("-r", "--resume", "--journal", self.file("j"), "-o", "o/{name}.{ext}")
        self.write("p/bad.cr2", b"II*\0rubbish" * 9)
        self.assertEqual(self.rawdenoise(*args, "p").code, 9)
        os.remove(self.file("p", "bad.cr2"))
        os.remove(self.file("o", "b.dng"))
        result = self.assert_ok(self.rawdenoise(*args, "p"))
        self.assertEqual(self.outputs(result), ["o/b.dng"])
        self.assertIn("3 of 4 files had been done by an earlier run", result.err)
        # another kind of output is another batch
        result = self.rawdenoise(*args, "--output-kind=cfa", "p")
        self.assert_fails(result, 2, "output-kind was not given, and now it is cfa")

    def test_skip_existing(self):
        self.fill()
        for form in ("dng", "tiff", "exr"):
            with self.subTest(format=form):
                first = self.assert_ok(self.rawdenoise("-r", "--format", form, "p"))
                before = self.snapshot()
                result = self.assert_ok(self.rawdenoise("-r", "--format", form, "--skip-existing", "p"))
                self.assertEqual(result.out, "", result)
                self.assertEqual(result.err.count("exists, skipped"), len(first.out.splitlines()), result)
                self.assertEqual(self.snapshot(), before)
                result = self.rawdenoise("-r", "--format", form, "--skip-existing", "--strength", 30, "p")
                self.assertEqual(result.code, 9, result)
                self.assertEqual(result.err.count("exists with other settings"), 2 * len(first.out.splitlines()), result)

    def test_shards(self):
        self.fill()
        seen = []
        for i in (1, 2, 3):
            result = self.assert_ok(self.rawdenoise("-r", "--shard", "%d/3" % i, "-o", "o/{name}.{ext}", "p"))
            seen += self.outputs(result)
        self.assertEqual(sorted(seen), ["o/a.dng", "o/b.dng", "o/c.dng", "o/x.dng"])

    def test_two_raws_one_name(self):
        for name in ("p/a.dng", "p/a.nef"):
            self.put(name)
        result = self.rawdenoise("p")
        self.assertEqual(result.code, 9, result)
        self.assertEqual(self.outputs(result), ["p/a_rawdenoise.dng"])
        self.assertIn("another file of this batch goes there as well", result.err)

    def test_dry_run(self):
        self.fill()
        before = self.snapshot()
        result = self.assert_ok(self.rawdenoise("-r", "--dry-run", "p"))
        self.assertIn("4 files", result.out)
        for words in ("Bayer RGGB", "Bayer GBRG", "X-Trans", "linear RGB"):
            self.assertIn(words, result.out)
        self.assertEqual(self.snapshot(), before)


class Interrupted(RawTest):
    def setUp(self):
        super().setUp()
        # ninety-six wide convolutions as the network for demosaicked pictures
        folder = os.path.join(self.config, "models", "slow")
        os.makedirs(folder)
        os.symlink(os.path.join(harness.FIXTURES, "test-slow", "model.onnx"), os.path.join(folder, "model_linear.onnx"))
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump({"id": "slow", "name": "slow", "task": "rawdenoise", "backend": "onnx", "version": "1.0",
                       "attributes": {"input_sizes": [64], "model_linear": {"input_kind": "linear_v1"}}}, f)
        self.source = self.put("a.dng", "LINEAR", (400, 300))
        self.assert_ok(self.rawdenoise("--model", "slow", "--dry-run", self.source))

    def test_leaves_nothing(self):
        before = self.snapshot()
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start("rawdenoise", "--model", "slow", self.source)
            deadline = time.monotonic() + 20 * harness.SLOWER
            while not self.parts() and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.005)
            self.assertTrue(self.parts(), "it did not begin")
            time.sleep(0.2)
            process.send_signal(number)
            out, err = process.communicate(timeout=60 * harness.SLOWER)
            self.assertEqual((process.returncode, out), (128 + number, b""), err)
            self.assertEqual(len(err.splitlines()), 1, err)
            self.assertEqual(self.snapshot(), before)


# --- other programs

def program(name):
    return unittest.skipUnless(shutil.which(name), name + " is not installed")


class OtherPrograms(RawTest):
    """What others make of the files."""

    def outputs(self):
        """A result of each kind and depth from a raw with rich metadata."""
        source = self.write("IMG_0001.dng", rich())
        for kind in ("linear", "cfa"):
            for name, args in (("lj92", ()), ("none", PLAIN), ("half", HALF[:2]), ("half-none", HALF)):
                out = self.file("%s-%s.dng" % (kind, name))
                self.assert_ok(self.rawdenoise("--strength", 0, "--output-kind", kind, *args, "-o", out, source))
                yield out, kind, name

    def tool(self, *command):
        return self.run_command([str(c) for c in command])

    @program("exiftool")
    def test_exiftool_finds_nothing_wrong(self):
        paths = [path for path, _, _ in self.outputs()]
        for pattern in BAYER + (XTRANS, "LINEAR", raws.CMYG):
            out = self.file("of-%s.dng" % pattern[:6])
            self.assert_ok(self.rawdenoise("-o", out, self.put("s.dng", pattern)))
            paths.append(out)
        rows = json.loads(self.tool("exiftool", "-j", "-validate", "-warning", "-error", "-a", *paths).out)
        for row in rows:
            warnings = row.get("Warning", [])
            warnings = [warnings] if isinstance(warnings, str) else warnings
            # its camera is not one that exiftool knows
            self.assertEqual([w for w in warnings if w != "[minor] Unrecognized MakerNotes"], [], row)
            self.assertNotIn("Error", row)

    @program("exiftool")
    def test_exiftool_reads_the_metadata(self):
        for path, kind, _ in self.outputs():
            row, = json.loads(self.tool("exiftool", "-j", "-n", path).out)
            expected = dict(Make="Testmaker", Model="Testmaker Model 1", DateTimeOriginal="2024:05:06 07:08:09", ISO=6400,
                            FNumber=2.8, LensModel="Testlens 50mm F2.8", Orientation=6, Copyright="(c) the photographer",
                            Artist="A photographer", OriginalRawFileName="IMG_0001.dng", Title="Harbour at night", Rating=4)
            self.assertEqual({k: row.get(k) for k in expected}, expected)
            self.assertAlmostEqual(row["GPSLatitude"], 53.54, places=5)
            self.assertAlmostEqual(row["GPSLongitude"], 9 + 59 / 60, places=5)
            self.assertEqual(row["NoiseReductionApplied"], 0)

    @program("dcraw")
    def test_dcraw(self):
        """The same colours as from the source, to a code in 16 bits."""
        def mean_colours(path):
            data = subprocess.run(["dcraw", "-c", "-4", "-o", "0", "-r", "1", "1", "1", "1", "-j", "-t", "0", path],
                                  check=True, stdout=subprocess.PIPE).stdout
            head = re.match(rb"P6\n(\d+) (\d+)\n65535\n", data)
            self.assertEqual((int(head[1]), int(head[2])), SIZE)
            values = struct.unpack(">%dH" % (3 * SIZE[0] * SIZE[1]), data[head.end():])
            return [statistics.mean(values[c::3]) for c in range(3)]
        found = {}
        for path, kind, name in self.outputs():
            if "half" not in name:  # which dcraw does not read
                self.assertIn("Testmaker", self.assert_ok(self.tool("dcraw", "-i", path)).out, path)
                found[path] = mean_colours(path)
        expected = mean_colours(self.file("IMG_0001.dng"))
        for path, colours in found.items():
            self.assert_near(colours, expected, 0.02 * max(expected), path)

    @program("raw-identify")
    def test_libraw_identifies(self):
        for path, _, _ in self.outputs():
            result = self.tool("raw-identify", "-v", path)
            self.assertIn("Testmaker", result.out, path)

    @program("unprocessed_raw")
    def test_libraw_unpacks(self):
        """Its decoder and ours agree about every sample."""
        for path, kind, name in self.outputs():
            if kind == "cfa" and "half" not in name:
                self.tool("unprocessed_raw", "-T", path)
                data = harness.read_bytes(path + ".tiff")
                tags = harness.tiff_tags(data)
                got = struct.unpack("<%dH" % (SIZE[0] * SIZE[1]), data[tags[273][0]:tags[273][0] + 2 * SIZE[0] * SIZE[1]])
                expected = self.develop(self.file("IMG_0001.dng"), "--strength", 0, "--output-kind", "cfa", *PLAIN)
                self.assertEqual(list(got), expected.samples())

    @program("dcraw_emu")
    def test_libraw_develops(self):
        for path, kind, name in self.outputs():
            if name == "half":  # deflated, for which not every LibRaw is built
                continue
            self.tool("dcraw_emu", "-T", "-4", "-o", "0", "-r", "1", "1", "1", "1", path)
            info = self.assert_picture(path + ".tiff")
            self.assertEqual({info["width"], info["height"]}, set(SIZE), path)


@unittest.skipUnless(harness.LONG, "DT_TEST_LONG is not set")
class Developers(RawTest):
    """Raw developers show of each kind what they show of the source: no cast, no half that is dark."""

    def setUp(self):
        super().setUp()
        self.chart = os.path.join(harness.SOURCE, "..", "shared", "data", "raw", "colorchart.dng")
        if not os.path.exists(self.chart):
            self.skipTest("no colorchart.dng")

    def results(self):
        """A raw that was passed on unchanged and, where the project's own model is there, one that was denoised."""
        runs = [("passed", ("--strength", 0))]
        if os.path.isdir(os.path.join(harness.BUILD, "data", "models", "rawdenoise-leaves")):
            runs.append(("denoised", ("--model", "rawdenoise-leaves")))
        for name, args in runs:
            for kind in ("linear", "cfa"):
                for depth, more in (("16", ()), ("half", HALF[:2])):
                    out = self.file("%s-%s-%s.dng" % (name, kind, depth))
                    self.assert_ok(self.rawdenoise(*args, *more, "--output-kind", kind, "-o", out, self.chart))
                    yield out, kind, depth

    def environment(self, **more):
        homes = {"XDG_%s_HOME" % name: self.path("home", name.lower()) for name in ("CONFIG", "CACHE", "DATA")}
        return super().environment(**homes, **more)

    def assert_same_colours(self, got, expected, name):
        """Means of 5 x 5 areas in codes of 8 bits."""
        self.assertEqual(len(got), len(expected))
        for i, (a, b) in enumerate(zip(got, expected)):
            self.assertLessEqual(abs(a - b), max(2.0, 0.03 * b), "%s: area %d, channel %d" % (name, i // 3, i % 3))

    @staticmethod
    def areas(samples, width, height):
        found = []
        for y in range(5):
            for x in range(5):
                rows = [samples[3 * (r * width + width * x // 5):3 * (r * width + width * (x + 1) // 5)]
                        for r in range(height * y // 5, height * (y + 1) // 5)]
                for c in range(3):
                    found.append(sum(sum(row[c::3]) for row in rows) / sum(len(row) // 3 for row in rows))
        return found

    def develop_darktable(self, path):
        out = path + ".png"
        # its default look depends on whether there is a mosaic
        self.run_command(["darktable-cli", path, out, "--width", "300", "--core", "--configdir", self.path("dt-config"), "--cachedir",
                          self.path("dt-cache"), "--library", ":memory:", "--conf", "plugins/darkroom/workflow=none"])
        data = harness.read_bytes(out)
        info = harness.picture_info(data)
        return self.areas(harness.png_samples(data), info["width"], info["height"])

    @program("darktable-cli")
    def test_darktable(self):
        expected = self.develop_darktable(shutil.copy(self.chart, self.file("source.dng")))
        self.assertGreater(max(expected), 40)
        for path, _, _ in self.results():
            self.assert_same_colours(self.develop_darktable(path), expected, path)

    def develop_rawtherapee(self, path):
        out = path + ".tif"
        self.run_command(["rawtherapee-cli", "-n", "-t", "-b8", "-Y", "-o", out, "-c", path])
        data = harness.read_bytes(out)
        tags = harness.tiff_tags(data)
        samples = b"".join(data[at:at + n] for at, n in zip(tags[273], tags[279]))
        return self.areas(samples, tags[256][0], tags[257][0])

    @program("rawtherapee-cli")
    def test_rawtherapee(self):
        expected = self.develop_rawtherapee(shutil.copy(self.chart, self.file("source.dng")))
        self.assertGreater(max(expected), 40)
        for path, kind, depth in self.results():
            if (kind, depth) != ("linear", "half"):  # which it says it does not support
                self.assert_same_colours(self.develop_rawtherapee(path), expected, path)


class Chart(RawTest):
    """export shows of a LinearRaw DNG what it shows of the source, with the source's history."""
    corners = ((716, 626), (1250, 614)), ((703, 930), (1261, 922))  # of the middles of 6 x 4 patches
    half = 26
    # of its grey patches, and in linear light: through a tone curve the mean of noise is another one
    history = ("temperature.mode=user", "temperature.red=1.485", "temperature.blue=2.269", "rawprepare.black=-7", "sigmoid=off")

    def setUp(self):
        super().setUp()
        chart = os.path.join(harness.SOURCE, "..", "shared", "data", "raw", "colorchart.dng")
        if not os.path.exists(chart):
            self.skipTest("no colorchart.dng")
        self.chart = shutil.copy(chart, self.file("chart.dng"))
        self.assert_ok(self.run_cli("history", "set", self.chart, *(a for h in self.history for a in ("--module", h))))

    def luminance_of_patches(self, raw):
        out = raw + ".pfm"
        self.assert_ok(self.run_cli("export", raw, "-o", out))
        _, size, _, samples = harness.read_bytes(out).split(b"\n", 3)
        width, height = map(int, size.split())
        rows = [struct.unpack_from("<%df" % (3 * width), samples, 12 * width * (height - 1 - y)) for y in range(height)]
        return [self.luminance(rows, *self.middle(x / 5, y / 3)) for y in range(4) for x in range(6)]

    def middle(self, right, down):
        across = [[a * (1 - right) + b * right for a, b in zip(*pair)] for pair in self.corners]
        return [int(a * (1 - down) + b * down) for a, b in zip(*across)]

    def luminance(self, rows, x, y):
        patch = [row[3 * (x - self.half):3 * (x + self.half)] for row in rows[y - self.half:y + self.half]]
        return sum(weight * statistics.fmean(statistics.fmean(row[c::3]) for row in patch)
                   for c, weight in enumerate((0.2126, 0.7152, 0.0722)))

    def test_same_as_the_source(self):
        runs = [("passed", ("--strength", 0, "--model", "rawdenoise-nearest"))]
        if os.path.isdir(os.path.join(harness.BUILD, "data", "models", "rawdenoise-leaves")):
            runs.append(("denoised", ("--model", "rawdenoise-leaves")))
        expected = self.luminance_of_patches(self.chart)
        self.assertGreater(expected[18], 15 * expected[23], "white is far from black")
        for name, args in runs:
            out = self.file(name + ".dng")
            self.assert_ok(self.rawdenoise(*args, "--output-kind", "linear", "-o", out, self.chart))
            shutil.copy(self.chart + ".dtai.xmp", out + ".dtai.xmp")
            for i, (a, b) in enumerate(zip(self.luminance_of_patches(out), expected)):
                self.assertAlmostEqual(a, b, delta=0.01 * b, msg="%s, patch %d" % (name, i + 1))


class Developed(RawTest):
    """denoise and upscale develop raws on OpenCL devices, where there are any; nothing else here looks for them."""

    def setUp(self):
        super().setUp()
        self.cache = self.path("own cache")
        self.fake = ["--conf", "opencl_library=" + os.path.join(harness.BUILD, "tests", "libfake_opencl.so")]

    def run_broken(self, *args):
        """With a driver that does not survive to be asked."""
        env = self.environment(FAKE_OPENCL="name=A\ncrash=GetPlatformIDs")
        return self.assert_ok(self.run_cli(*self.fake, *args, env=env))

    def test_only_where_a_raw_is_developed(self):
        raw, picture = self.put(), self.make("it.png")
        for args in (["denoise", picture], ["rawdenoise", raw], ["denoise", "--dry-run", raw]):
            with self.subTest(args=args):
                self.assertNotIn("OpenCL", self.run_broken(*args).err)
        result = self.run_broken("denoise", raw, "-o", self.file("broken.tif"))
        self.assertIn("crashes when it is asked for its devices", result.err)
        self.assert_picture(self.file("broken.tif"), SIZE)

    def test_a_device_that_fails(self):
        """The CPU does it all over, with the same result."""
        raw = self.put()
        outs = [self.file("cpu.tif"), self.file("lost.tif")]
        self.assert_ok(self.run_cli("--conf", "opencl=FALSE", "denoise", raw, "-o", outs[0]))
        env = self.environment(FAKE_OPENCL="name=A;lost=1")
        result = self.assert_ok(self.run_cli(*self.fake, "-d", "opencl", "denoise", raw, "-o", outs[1], env=env))
        self.assertRegex(result.err, r"\[export\] .*a\.dng")
        self.assertEqual(harness.read_bytes(outs[0]), harness.read_bytes(outs[1]))

    def test_on_a_device(self):
        if not glob.glob("/etc/OpenCL/vendors/*pocl*.icd"):
            self.skipTest("PoCL is not installed (pocl-opencl-icd)")
        raw = self.put(size=(96, 80))
        os.makedirs(self.path("pocl"))
        env = self.environment(POCL_DEVICES="pthread", POCL_CACHE_DIR=self.path("pocl"))
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        for command in ("denoise", "upscale"):
            samples = []
            for use in ("FALSE", "TRUE"):
                out = self.file(command + use + ".png")
                result = self.assert_ok(self.run_cli("--conf", "opencl_use_cpu_devices=" + use, "-d", "opencl", command, raw, "-o",
                                                     out, "--bit-depth", "16", env=env))
                self.assertEqual("[export] %s on device 0" % raw in result.err, use == "TRUE", result)
                samples.append(harness.png_samples(harness.read_bytes(out)))
            self.assert_near(samples[1], samples[0], 257, command)


if __name__ == "__main__":
    harness.main()
