# SPDX-License-Identifier: GPL-3.0-or-later
"""models/eval/masks.py: simulated clicks on discs of a known place, through the command.

The script wants numpy and Pillow; without them there is nothing to test."""
import importlib.util
import json
import os
import sys
import unittest

import harness
from harness import CliTest, png
from test_cli_mask import exif

try:
    import numpy
    import PIL.Image  # noqa: F401
except ImportError as error:
    numpy = None
    missing = str(error)

WIDTH, HEIGHT = 96, 64
RED, GREEN, BLUE = (208, 40, 32), (40, 170, 60), (30, 60, 190)


def disc(x0, y0, radius):
    return [(x - x0) ** 2 + (y - y0) ** 2 <= radius ** 2 for y in range(HEIGHT) for x in range(WIDTH)]


def colours(inside, object_colour, background):
    return [value for i in inside for value in (object_colour if i else background)]


def grey(inside):
    return [255 * i for i in inside]


@unittest.skipUnless(numpy, "numpy or Pillow is missing for this Python")
class MaskEvalTest(CliTest):
    models = ("mask-object-colour",)

    def setUp(self):
        super().setUp()
        self.write_airc("plugins/ai/enabled=TRUE\nplugins/ai/models/active/mask=mask-object-colour\n")
        self.cache = self.path("cache")
        self.script = os.path.join(harness.SOURCE, "models", "eval", "masks.py")

    def evaluate(self, *args):
        return self.run_command([sys.executable, "-B", self.script, *args])

    def evaluate_folder(self, *args):
        return self.evaluate(self.work, "--program", harness.PROGRAM, "--configdir", self.config,
                             "--cachedir", self.cache, "--model", "mask-object-colour", *args)

    def load(self, with_scipy):
        """The script as a module, with scipy or on its own."""
        spec = importlib.util.spec_from_file_location("masks", self.script)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.ndimage = module.ndimage if with_scipy else None
        return module

    def put_mask(self, name, inside, **options):
        return self.write(name, png(WIDTH, HEIGHT, 1, samples=grey(inside), **options))

    def put_photo(self, name, inside, colour, **options):
        return self.write(name, png(WIDTH, HEIGHT, 3, samples=colours(inside, colour, BLUE), **options))

    def put_pairs(self):
        """One upright, and one that lies on its side, its mask likewise."""
        turned = dict(extra=[(b"eXIf", exif(6))])
        self.put_photo("a.png", disc(32, 28, 18), RED)
        self.put_mask("a_mask.png", disc(32, 28, 18))
        self.put_photo("b.png", disc(60, 30, 20), GREEN, **turned)
        self.put_mask("b_mask.png", disc(60, 30, 20), **turned)


class Folder(MaskEvalTest):
    def test_two_discs(self):
        self.put_pairs()
        before = self.snapshot()
        report = self.path("report.json")
        result = self.assert_ok(self.evaluate_folder("--clicks", "5", "--json", report))
        self.assertEqual(result.err, "")
        lines = result.out.splitlines()
        self.assertEqual(len(lines), 5, result)
        self.assertEqual({line.count("|") for line in lines}, {8}, result)
        with open(report) as f:
            told = json.load(f)
        self.assertEqual([p["name"] for p in told["photographs"]], ["a.png", "b.png"])
        # orientation 6: what is at (60, 30) in the file is seen at (63 - 30, 60)
        self.assertEqual([p["clicks"][0] for p in told["photographs"]], [[32, 28, "+"], [33, 60, "+"]])
        for photo in told["photographs"]:
            self.check_photo(photo)
        self.assertAlmostEqual(told["mean"]["iou_at_1"], sum(p["iou"][0] for p in told["photographs"]) / 2)
        self.assertEqual(told["mean"]["share_of_falls"], 0)
        self.assertEqual(self.snapshot(), before)

    def check_photo(self, photo):
        self.assertEqual(len(photo["clicks"]), len(photo["iou"]))
        self.assertGreater(photo["iou_at_1"], 0.9)
        self.assertLessEqual(max(photo["iou"]), 1)
        self.assertEqual(photo["clicks_to_0.85"], 1)
        self.assertTrue(photo["reached_0.90"])
        self.assertNotIn("iou_at_10", photo)

    def test_several_clicks(self):
        """The model goes by colour: an object of two takes a click on each."""
        whole = disc(40, 30, 24)
        left = [i and at % WIDTH < 48 for at, i in enumerate(whole)]
        pixels = [v for i, l in zip(whole, left) for v in (RED if l else GREEN if i else BLUE)]
        self.write("a.png", png(WIDTH, HEIGHT, 3, samples=pixels))
        self.put_mask("a_mask.png", whole)
        report = self.path("report.json")
        self.assert_ok(self.evaluate_folder("--json", report))
        with open(report) as f:
            photo = json.load(f)["photographs"][0]
        self.assertEqual(photo["clicks"][0], [40, 30, "+"])
        x, y, kind = photo["clicks"][1]
        self.assertTrue(kind == "+" and whole[y * WIDTH + x] and not left[y * WIDTH + x], photo)
        self.assertLess(photo["iou_at_1"], 0.85)
        self.assertGreater(photo["iou_at_10"], 0.9)
        self.assertGreater(photo["clicks_to_0.85"], 1)
        self.assertEqual(photo["further_clicks"], len(photo["iou"]) - 1)

    def test_the_same_again(self):
        self.put_pairs()
        told = [self.assert_ok(self.evaluate_folder("--clicks", "2", "--raw")).out for _ in range(2)]
        self.assertEqual(told[0], told[1])

    def test_what_cannot_be_measured(self):
        for mask, words in ((png(64, 96, 1, samples=[255] * 6144), "sizes must agree"),
                            (png(96, 64, 1, samples=[0] * 6144), "no object"), (b"no picture", "cannot be read")):
            self.put_photo("a.png", disc(32, 28, 18), RED)
            self.write("a_mask.png", mask)
            result = self.evaluate_folder()
            self.assertEqual(result.code, 1, result)
            self.assertIn(words, result.err)
        os.remove(self.file("a_mask.png"))
        result = self.evaluate_folder()
        self.assertIn("no photograph with a mask", result.err)
        self.assertNotIn("Traceback", result.err)

    def test_the_program_fails(self):
        self.put_pairs()
        result = self.evaluate_folder("--model", "no-such-model")
        self.assertEqual(result.code, 1, result)
        self.assertIn("no-such-model", result.err)


class Parts(MaskEvalTest):
    def test_score(self):
        a, b = self.put_mask("a.png", disc(32, 28, 18)), self.put_mask("b.png", disc(70, 28, 10))
        none = self.put_mask("none.png", [False] * (WIDTH * HEIGHT))
        for first, second, expected in ((a, a, "1.000000\n"), (a, b, "0.000000\n"), (none, none, "1.000000\n"),
                                        (none, a, "0.000000\n")):
            self.assertEqual(self.assert_ok(self.evaluate("--score-only", first, second)).out, expected)

    def test_distance(self):
        """Against the definition, on random spots."""
        random = numpy.random.default_rng(1)
        for with_scipy in (False, True):
            module = self.load(with_scipy)
            for density in (0.5, 0.9, 1.0):
                inside = random.random((9, 14)) < density
                outside = numpy.argwhere(~numpy.pad(inside, 1)) - 1
                for (y, x), squared in numpy.ndenumerate(module.squared_distance(inside)):
                    self.assertEqual(squared, ((outside - (y, x)) ** 2).sum(1).min())

    def test_components(self):
        """With scipy and without the same, and each is whole."""
        own, other = self.load(False), self.load(True)
        random = numpy.random.default_rng(2)
        for density in (0.0, 0.1, 0.3, 0.4, 0.5, 0.8, 1.0):
            for _ in range(20):
                marked = random.random((13, 17)) < density
                found, size = own.largest_component(marked)
                expected, expected_size = other.largest_component(marked)
                self.assertEqual(size, expected_size)
                self.assertTrue(size == 0 or (found.sum() == size and (found == expected).all()))

    def test_clicks(self):
        module = self.load(False)
        truth, mask = numpy.zeros((20, 30), bool), numpy.zeros((20, 30), bool)
        valid = numpy.ones_like(truth)
        self.assertIsNone(module.next_click(truth, mask, valid, []))
        truth[0:5, 0:5] = True  # in the corner: the border is an edge as well
        self.assertEqual(module.next_click(truth, mask, valid, []), (2, 2, True))
        self.assertNotEqual(module.next_click(truth, mask, valid, [(2, 2, True)])[:2], (2, 2))
        mask[10:15, 20:25] = True  # as large: what is missed goes first
        self.assertEqual(module.next_click(truth, mask, valid, []), (2, 2, True))
        mask[15, 22] = True
        self.assertEqual(module.next_click(truth, mask, valid, []), (22, 12, False))
        valid[10:16] = False
        self.assertEqual(module.next_click(truth, mask, valid, []), (2, 2, True))

    def test_figures(self):
        told = self.load(False).figures_of([0.5, 0.86, 0.8, 0.88], 20)
        self.assertEqual((told["iou_at_1"], told["iou_at_3"], told["iou_at_10"]), (0.5, 0.8, 0.88))
        self.assertEqual((told["clicks_to_0.85"], told["clicks_to_0.90"], told["reached_0.90"]), (2, 20, False))
        self.assertEqual((told["falls"], told["further_clicks"]), (1, 3))

    def test_pairs(self):
        for name in ("a.jpg", "a.png", "b.JPG", "b_mask.png", "c.png", "c_mask.png", "d.png", "notes.txt"):
            self.write(name, b"")
        pairs, lone = self.load(False).find_pairs(self.work)
        self.assertEqual([tuple(map(os.path.basename, p)) for p in pairs],
                         [("a.jpg", "a.png"), ("b.JPG", "b_mask.png"), ("c.png", "c_mask.png")])
        self.assertEqual(lone, ["d.png"])


if __name__ == "__main__":
    harness.main()
