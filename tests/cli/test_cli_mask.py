# SPDX-License-Identifier: GPL-3.0-or-later
"""mask as a photographer works with it: clicks in, masks, cut-outs, outlines and overlays out.

The model, mask-object-colour, finds what has the colour of the clicks and is near them: on a red square before a blue wall
it is known what is to come out."""
import json
import os
import re
import signal
import struct
import time
import xml.etree.ElementTree as ElementTree

import harness
import raws
from harness import CliTest, png, png_samples, picture_info, read_bytes

WIDTH, HEIGHT = 96, 64
LEFT, TOP, RIGHT, BOTTOM = 16, 12, 48, 44  # the square: RIGHT and BOTTOM are outside
RED, BLUE = (208, 40, 32), (30, 60, 190)
CENTRE = ("--point", "32,28")


def exif(orientation):
    """A TIFF structure with one tag."""
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 274, 3, 1, orientation, 0, 0)


def is_inside(x, y):
    return LEFT <= x < RIGHT and TOP <= y < BOTTOM


def samples(channels=3):
    out = []
    for y in range(HEIGHT):
        for x in range(WIDTH):
            out.extend((RED if is_inside(x, y) else BLUE) + (255,) * (channels - 3))
    return out


class MaskTest(CliTest):
    models = ("mask-object-colour", "denoise-conv3")

    def setUp(self):
        super().setUp()
        self.write_airc("plugins/ai/enabled=TRUE\nplugins/ai/models/active/mask=mask-object-colour\n"
                        "plugins/ai/models/active/denoise=denoise-conv3\n")
        # what is encoded is kept for one test only
        self.cache = self.path("cache")
        self.photo = self.put("photo.png")

    def put(self, name, orientation=1, channels=3):
        extra = [(b"eXIf", exif(orientation))] if orientation > 1 else []
        return self.write(name, png(WIDTH, HEIGHT, channels, samples=samples(channels), extra=extra))

    def mask(self, *args, photo=None, **options):
        return self.run_cli("mask", photo or self.photo, *args, **options)

    def make_mask(self, *args, out="m.png", photo=None):
        """Runs it and returns the grey samples."""
        path = self.file(out)
        self.assert_ok(self.mask(*args, "-o", path, "--overwrite", photo=photo))
        return png_samples(read_bytes(path))

    def assert_square(self, grey, top=255, inverted=False):
        """All but what is near the edge, where pixels may go either way."""
        wrong = 0
        for y in range(HEIGHT):
            for x in range(WIDTH):
                near = min(abs(x + 0.5 - LEFT), abs(x + 0.5 - RIGHT), abs(y + 0.5 - TOP), abs(y + 0.5 - BOTTOM)) < 2.5
                wrong += not near and (grey[y * WIDTH + x] > top / 2) != (is_inside(x, y) != inverted)
        self.assertEqual(wrong, 0, "%d pixels on the wrong side" % wrong)

    def rows(self, result):
        rows = [json.loads(line) for line in result.out.splitlines()]
        for row in rows:
            self.assertEqual(row["schema_version"], 1)
            self.assertEqual(row["input"], self.photo)
        return rows


class Masks(MaskTest):
    def test_a_click(self):
        before = read_bytes(self.photo)
        result = self.assert_ok(self.mask(*CENTRE))
        path = self.file("photo_mask.png")
        self.assertEqual(result.out, path + "\n")
        self.assertEqual(len(result.messages), 1, result)
        for words in ("mask-object-colour on CPU", "candidate", "of 3", "IoU 0.", "guided by the photograph",
                      "holes filled", "specks removed", "% of the picture", "decoded"):
            self.assertIn(words, result.err)
        info = self.assert_picture(path, (WIDTH, HEIGHT))
        self.assertEqual((info["channels"], info["bits"]), (1, 8))
        self.assert_square(png_samples(read_bytes(path)))
        self.assertEqual(read_bytes(self.photo), before)
        self.assertEqual(sorted(os.listdir(self.work)), ["photo.png", "photo_mask.png"])

    def test_percent_and_pixels(self):
        pixels = self.make_mask("--point", "31.9,27.5")
        self.assertEqual(self.make_mask("--point", "33.75%,43.75%"), pixels)
        self.assertEqual(self.make_mask("--point=31.9,43.75%"), pixels)
        self.assertEqual(self.make_mask("-p", "31.9,27.5,+"), pixels)

    def test_what_does_not_belong(self):
        """A click on the wall alone means the wall, and one beside it keeps it out."""
        wall = self.make_mask("--point", "70,30")
        self.assertGreater(wall[30 * WIDTH + 72], 128)
        self.assertLess(wall[28 * WIDTH + 32], 128)
        both = self.make_mask(*CENTRE, "--point", "70,30")
        self.assertGreater(both[30 * WIDTH + 70], 128)
        without = self.make_mask(*CENTRE, "--point", "70,30,-")
        self.assertLess(without[30 * WIDTH + 70], 128)
        self.assertGreater(without[28 * WIDTH + 32], 128)

    def test_a_box(self):
        grey = self.make_mask("--box", "16,12,47,43")
        self.assertGreater(grey[28 * WIDTH + 32], 128)
        self.assertEqual(self.make_mask("-b", "47,43,16,12"), grey)

    def test_several_outputs_of_one_run(self):
        names = ("m8.png", "m16.tif", "m.pfm", "m.exr", "m.svg", "m.json")
        args = [a for name in names for a in ("-o", self.file(name))]
        result = self.assert_ok(self.mask(*CENTRE, *args, "--json"))
        done = [row for row in self.rows(result) if row["event"] == "done"]
        self.assertEqual([os.path.basename(row["output"]) for row in done], list(names))
        self.assertEqual([row["kind"] for row in done], ["mask"] * 4 + ["svg", "paths"])
        self.assertEqual(self.parts(), [])
        grey = png_samples(read_bytes(self.file("m8.png")))
        self.assert_square(grey)
        info = self.assert_picture(self.file("m16.tif"), (WIDTH, HEIGHT))
        self.assertEqual((info["bits"], info["channels"]), (16, 1))
        # the float file has the same numbers: 0 to 1, from the bottom up
        head, size, scale, data = read_bytes(self.file("m.pfm")).split(b"\n", 3)
        self.assertEqual((head, size, float(scale) < 0), (b"Pf", b"96 64", True))
        floats = struct.unpack("<%df" % (WIDTH * HEIGHT), data)
        for y in range(HEIGHT):
            for x in range(WIDTH):
                self.assertAlmostEqual(floats[(HEIGHT - 1 - y) * WIDTH + x], grey[y * WIDTH + x] / 255, delta=0.0021)

    def test_outlines(self):
        result = self.assert_ok(self.mask(*CENTRE, "-o", self.file("m.svg"), "-o", self.file("m.json"), "--json"))
        for row in self.rows(result):
            if row["event"] == "done":
                self.assertGreater(row["outline_iou"], 0.97)
        root = ElementTree.parse(self.file("m.svg")).getroot()
        self.assertTrue(root.tag.endswith("svg"))
        self.assertEqual(root.get("viewBox"), "0 0 96 64")
        with open(self.file("m.json")) as f:
            paths = json.load(f)
        self.assertEqual((paths["width"], paths["height"], len(paths["paths"])), (WIDTH, HEIGHT, 1))
        result = self.assert_ok(self.mask(*CENTRE, "-o", self.file("n.svg")))
        self.assertRegex(result.err, r"n\.svg: the outline fits the mask with an IoU of 0\.9|IoU of 1\.0")

    def test_depths(self):
        self.make_mask(*CENTRE, "--bit-depth", "16")
        self.assertEqual(self.assert_picture(self.file("m.png"))["bits"], 16)
        self.assert_square(png_samples(read_bytes(self.file("m.png"))), 65535)
        self.assert_fails(self.mask(*CENTRE, "--bit-depth", "32", "-o", self.file("n.png")), 2, "PNG")
        self.assert_fails(self.mask(*CENTRE, "--bit-depth", "12"), 2, "--bit-depth")

    def test_edges(self):
        plain = self.make_mask(*CENTRE, "--raw")
        off = self.make_mask(*CENTRE, "--no-guided", "--holes", "none", "--specks", "none")
        self.assertEqual(plain, off)
        guided = self.make_mask(*CENTRE)
        self.assertNotEqual(guided, plain)
        # the photograph's edges are sharp, the network's are not
        blurred = [sum(20 < v < 235 for v in grey) for grey in (guided, plain)]
        self.assertLess(blurred[0], blurred[1])
        grown = self.make_mask(*CENTRE, "--no-guided", "--grow", "4")
        self.assertGreater(sum(grown), sum(off) + 255 * 300)
        self.assertLess(sum(self.make_mask(*CENTRE, "--no-guided", "--grow", "-4")), sum(off) - 255 * 300)
        soft = self.make_mask(*CENTRE, "--feather", "3")
        self.assertGreater(sum(20 < v < 235 for v in soft), blurred[0] + 200)

    def test_holes_and_specks(self):
        """Two squares, and one with a window."""
        picture = samples()
        for y in range(24, 32):
            for x in range(28, 36):
                at = 3 * (y * WIDTH + x)
                picture[at:at + 3] = BLUE
        for y in range(30, 36):
            for x in range(52, 58):
                at = 3 * (y * WIDTH + x)
                picture[at:at + 3] = RED
        photo = self.write("holes.png", png(WIDTH, HEIGHT, samples=picture))
        where = ("--point", "22,28")
        none = self.make_mask(*where, "--holes", "none", "--specks", "none", photo=photo)
        self.assertLess(none[28 * WIDTH + 32], 128)
        filled = self.make_mask(*where, "--holes", "all", "--specks", "none", photo=photo)
        self.assertGreater(filled[28 * WIDTH + 32], 128)
        self.assertEqual(self.make_mask(*where, "--holes", "2%", "--specks", "none", photo=photo), filled)
        self.assertEqual(self.make_mask(*where, "--holes", "2", "--specks", "none", photo=photo), none)
        self.assertGreater(none[33 * WIDTH + 55], 128)
        alone = self.make_mask(*where, "--holes", "none", "--specks", "all", photo=photo)
        self.assertLess(alone[33 * WIDTH + 55], 128)

    def test_invert(self):
        grey, inverted = self.make_mask(*CENTRE), self.make_mask(*CENTRE, "--invert")
        self.assert_square(inverted, inverted=True)
        for a, b in zip(grey, inverted):
            self.assertAlmostEqual(a + b, 255, delta=1)

    def test_candidates(self):
        before = self.snapshot()
        result = self.assert_ok(self.mask(*CENTRE, "--list-candidates", "-o", self.file("m.png")))
        self.assertEqual(self.snapshot(), before)
        lines = result.out.splitlines()
        self.assertEqual([line[0] for line in lines], ["1", "2", "3"])
        self.assertEqual(sum("*" in line for line in lines), 1, result.out)
        rows = [r for r in self.rows(self.mask(*CENTRE, "--list-candidates", "--json")) if r["event"] == "candidate"]
        self.assertEqual([r["candidate"] for r in rows], [1, 2, 3])
        best = max(rows, key=lambda r: r["iou_predicted"])
        self.assertTrue(best["best"])
        for r in rows:
            self.assertTrue(0 <= r["stability"] <= 1, r)
        masks = [self.make_mask(*CENTRE, "--raw", "--candidate", str(i)) for i in (1, 2, 3)]
        self.assertEqual(self.make_mask(*CENTRE, "--raw"), masks[best["candidate"] - 1])
        self.assertNotEqual(masks[0], masks[2])
        self.assert_fails(self.mask(*CENTRE, "--candidate", "4"), 2, "3 candidates", "--list-candidates")
        for bad in ("0", "-1", "9"):
            self.assert_fails(self.mask(*CENTRE, "--candidate", bad), 2, "--candidate takes")

    def test_rough_mask(self):
        scribble = [255 if is_inside(2 * x, 2 * y) else 0 for y in range(HEIGHT // 2) for x in range(WIDTH // 2)]
        rough = self.write("rough.png", png(WIDTH // 2, HEIGHT // 2, 1, samples=scribble))
        self.make_mask("--rough", rough)
        with_click = self.make_mask("--rough", rough, *CENTRE)
        self.assert_square(with_click)
        self.assert_fails(self.mask("--rough", self.file("none.png")), 3, "none.png")
        tall = self.write("tall.png", png(32, 48, 1, samples=[0] * 32 * 48))
        self.assert_fails(self.mask("--rough", tall), 3, "32×48", "96×64")
        # of a photograph that lies on its side the scribble is upright, or says how it lies
        turned = self.put("turned.png", 6)
        self.assert_fails(self.mask("--rough", rough, photo=turned), 3, "64×96")
        lying = self.write("lying.png", png(WIDTH // 2, HEIGHT // 2, 1, samples=scribble,
                                            extra=[(b"eXIf", exif(6))]))
        self.make_mask("--rough", lying, photo=turned)


class Files(MaskTest):
    def test_turned_photographs(self):
        """Clicks are on what is seen; the mask lies as the file does, and fits it."""
        clicks = {1: "32,28", 2: "63,28", 3: "63,35", 4: "32,35", 5: "28,32", 6: "35,32", 7: "35,63", 8: "28,63"}
        for orientation, click in clicks.items():
            with self.subTest(orientation=orientation):
                photo = self.put("o%d.png" % orientation, orientation)
                grey = self.make_mask("--point", click, out="o%d_m.png" % orientation, photo=photo)
                self.assert_square(grey)
                info = self.assert_picture(self.file("o%d_m.png" % orientation), (WIDTH, HEIGHT))
                told = dict(info["chunks"]).get(b"eXIf", exif(1))
                self.assertEqual(harness.tiff_tags(told).get(274, [1]), [orientation])
                self.assert_ok(self.denoise("--mask", self.file("o%d_m.png" % orientation), "-o",
                                            self.file("o%d_d.png" % orientation), photo))

    def test_mask_of_denoise(self):
        """0.5 of a mask is half the strength in every format, and the code value 128 as well."""
        self.make_mask(*CENTRE, "--bit-depth", "16")
        self.assertNotIn(b"iCCP", dict(picture_info(read_bytes(self.file("m.png")))["chunks"]))
        self.assert_ok(self.mask(*CENTRE, "-o", self.file("m.pfm"), "-o", self.file("m.exr"), "-o", self.file("m.tif")))
        results = []
        for name in ("m.png", "m.pfm", "m.exr", "m.tif"):
            out = self.file(name + ".out.png")
            self.assert_ok(self.denoise("--bit-depth", "16", "--mask", self.file(name), "-o", out, self.photo))
            results.append(png_samples(read_bytes(out)))
        for other in results[1:]:
            self.assertLess(max(abs(a - b) for a, b in zip(results[0], other)), 30)
        self.assertNotEqual(results[0], [v * 257 for v in samples()])

    def test_cutout(self):
        for channels in (3, 4):
            with self.subTest(channels=channels):
                photo = self.put("c.png", 8, channels)
                self.assert_ok(self.mask("--point", "28,63", "--cutout", self.file("alone.png"), "--overwrite",
                                         photo=photo))
                info = self.assert_picture(self.file("alone.png"), (WIDTH, HEIGHT))
                self.assertEqual((info["channels"], info["bits"]), (4, 8))
                self.assertEqual(harness.tiff_tags(dict(info["chunks"])[b"eXIf"])[274], [8])
                rgba = png_samples(read_bytes(self.file("alone.png")))
                self.assert_square(rgba[3::4])
                self.assertEqual(tuple(rgba[4 * (28 * WIDTH + 32):][:3]), RED)
                for i in range(0, len(rgba), 4):
                    self.assertTrue(rgba[i + 3] or not any(rgba[i:i + 3]), "colour where nothing is to be seen")
        self.assert_fails(self.mask(*CENTRE, "--cutout", self.file("alone.jpg")), 2, "alone.jpg", ".png")
        self.assert_ok(self.mask(*CENTRE, "--cutout", self.file("alone.tif")))
        self.assertEqual(self.assert_picture(self.file("alone.tif"))["channels"], 4)
        self.assertFalse(os.path.exists(self.file("photo_mask.png")))

    def test_overlay(self):
        for name in ("over.png", "over.jpg"):
            self.assert_ok(self.mask(*CENTRE, "--box", "10,8,60,50", "--point", "80,50,-", "--overlay", self.file(name)))
            self.assert_picture(self.file(name), (WIDTH, HEIGHT))
        rgb = png_samples(read_bytes(self.file("over.png")))
        wall, thing = rgb[3 * (4 * WIDTH + 90):][:3], rgb[3 * (36 * WIDTH + 38):][:3]
        self.assertLess(wall[2], 120)
        self.assertGreater(thing[0], 150)
        self.assert_ok(self.mask(*CENTRE, "--overlay", self.file("s.png"), "--overlay-size", "30"))
        self.assert_picture(self.file("s.png"), (30, 20))
        turned = self.put("t.png", 6)
        self.assert_ok(self.mask("--point", "35,32", "--overlay", self.file("t_over.png"), photo=turned))
        self.assert_picture(self.file("t_over.png"), (HEIGHT, WIDTH))
        self.assertFalse(os.path.exists(self.file("photo_mask.png")))
        self.assert_fails(self.mask(*CENTRE, "--overlay-size", "-3"), 2, "--overlay-size")

    def test_names(self):
        os.mkdir(self.file("out"))
        self.assert_ok(self.mask(*CENTRE, "-o", self.file("out")))
        self.assertTrue(os.path.exists(self.file("out", "photo_mask.png")))
        self.assert_ok(self.mask(*CENTRE, "-o", self.file("out", "{name}-{task}.tif")))
        self.assertTrue(os.path.exists(self.file("out", "photo-mask.tif")))
        self.assert_fails(self.mask(*CENTRE, "-o", self.file("{nonsense}.png")), 2, "nonsense")

    def test_stdin(self):
        with open(self.photo, "rb") as f:
            self.assert_ok(self.run_cli("mask", "-", *CENTRE, "-o", self.file("m.png"), "--cutout",
                                        self.file("c.png"), stdin=f))
        self.assert_square(png_samples(read_bytes(self.file("m.png"))))
        self.assert_picture(self.file("c.png"), (WIDTH, HEIGHT))

    def stream(self, *args, **options):
        """What comes out of the standard output, and the run."""
        with open(self.file("stream"), "wb") as f:
            result = self.mask(*args, stdout=f, **options)
        return read_bytes(self.file("stream")), result

    def test_stdout(self):
        grey = self.make_mask(*CENTRE)
        data, result = self.stream(*CENTRE, "-o", "-", "-o", self.file("m.svg"))
        self.assert_ok(result)
        self.assertEqual(png_samples(data), grey)
        self.assertIn("m.svg", result.err)
        self.assertTrue(os.path.exists(self.file("m.svg")))
        self.assertFalse(os.path.exists(self.file("-")))
        data, result = self.stream(*CENTRE, "-o", "-", "--bit-depth", "32")
        self.assert_ok(result)
        self.assertEqual(data[:4], b"II*\0")
        data, result = self.stream(*CENTRE, "--cutout", "-")
        self.assert_ok(result)
        self.assertEqual(picture_info(data)["channels"], 4)
        self.assertIn("plan", self.assert_ok(self.mask(*CENTRE, "-o", "-", "--dry-run", "--json")).out)
        self.assert_fails(self.mask(*CENTRE, "-o", "-", "--json"), 2, "--json")
        self.assert_fails(self.mask(*CENTRE, "-o", "-", "--cutout", "-"), 2, "two outputs")
        with open("/dev/full", "wb") as full:
            self.assertEqual(self.mask(*CENTRE, "-o", "-", stdout=full).code, 4)

    def test_stdin_is_no_file(self):
        """Whatever lies there under the name -, what was encoded of it is not taken for what comes in."""
        self.write("-", png(WIDTH, HEIGHT, samples=[90, 200, 60] * WIDTH * HEIGHT))
        os.utime(self.file("-"), (1, 1))
        for name in ("./-", "-"):
            with open(self.photo, "rb") as f:
                self.assert_ok(self.run_cli("mask", name, *CENTRE, "-o", "m.png", "--overwrite", stdin=f, cwd=self.work))
        self.assert_square(png_samples(read_bytes(self.file("m.png"))))

    def test_raws(self):
        raw = self.write("a.dng", raws.dng(64, 48, "RGGB"))
        result = self.assert_ok(self.mask("--point", "20,20", "-o", self.file("m.png"), "--cutout", self.file("c.tif"),
                                          "--overlay", self.file("o.jpg"), photo=raw))
        self.assertIn("m.png", result.out)
        size = self.assert_picture(self.file("m.png"))
        self.assert_picture(self.file("c.tif"), (size["width"], size["height"]))
        self.assert_picture(self.file("o.jpg"))
        self.add_model("rawdenoise-tiny")
        self.assert_ok(self.run_cli("rawdenoise", "--model", "rawdenoise-tiny", "--mask", self.file("m.png"), raw))

    def test_odd_sizes(self):
        for width, height in ((1, 1), (1, 2000), (3000, 2)):
            photo = self.write("odd.png", png(width, height, samples=[120, 90, 60] * width * height))
            self.assert_ok(self.mask("--point", "50%,50%", "-o", self.file("m.png"), "--cutout", self.file("c.png"),
                                     "--overlay", self.file("o.png"), "-o", self.file("m.svg"), "--overwrite",
                                     photo=photo))
            self.assert_picture(self.file("m.png"), (width, height))

    def test_record(self):
        """The mask says where it comes from."""
        self.make_mask(*CENTRE)
        packet = b"".join(d for k, d in picture_info(read_bytes(self.file("m.png")))["chunks"] if k == b"iTXt")
        self.assertIn(b"mask-object-colour", packet)


    def test_masks_are_no_photographs(self):
        self.assert_ok(self.mask(*CENTRE))
        os.mkdir(self.file("out"))
        self.assert_ok(self.denoise("-o", self.file("out"), self.work))
        self.assertEqual(os.listdir(self.file("out")), ["photo_denoise.tif"])


class Prompts(MaskTest):
    def prompts(self, text, name="p.json"):
        return self.write(name, text.encode() if isinstance(text, str) else json.dumps(text).encode())

    def test_several_objects(self):
        os.mkdir(self.file("sub"))
        path = self.prompts({"objects": [
            {"name": "square", "points": [[32, 28]], "outputs": ["square.png", "square.svg"],
             "cutouts": ["square-alone.png"], "overlays": ["square.jpg"]},
            {"name": "wall", "points": [["73%", "47%"], [32, 28, "-"]], "candidate": 1, "invert": True},
            {"name": "both", "boxes": [[10, 10, "60%", "80%"]], "points": [[70, 30, "+"], [32, 28]]}]}, "sub/p.json")
        result = self.assert_ok(self.mask("--prompts", path, "--overlay", self.file("all.png"), "-o", self.work, "--json"))
        rows = self.rows(result)
        self.assertEqual([r["event"] for r in rows].count("encoded"), 1)
        self.assertEqual([r["object"] for r in rows if r["event"] == "mask"], ["square", "wall", "both"])
        self.assert_square(png_samples(read_bytes(self.file("sub", "square.png"))))
        for name in ("sub/square.svg", "sub/square-alone.png", "sub/square.jpg", "photo_wall_mask.png",
                     "photo_both_mask.png", "all.png"):
            self.assertTrue(os.path.exists(self.file(name)), name)
        wall = next(r for r in rows if r["event"] == "mask" and r["object"] == "wall")
        self.assertEqual((wall["candidate"], wall["inverted"]), (1, True))

    def test_beside_the_photograph(self):
        path = self.prompts({"objects": [{"name": "a", "points": [[32, 28]]}]})
        self.assert_ok(self.mask("--prompts", path))
        self.assert_square(png_samples(read_bytes(self.file("photo_a_mask.png"))))

    def test_what_is_not_understood(self):
        point = '"points":[[1,2]]'
        cases = [
            ("nonsense", "is not JSON"), ("[]", "$.objects"), ("{}", "$.objects"), ('{"objects":{}}', "$.objects"),
            ('{"objects":[]}', "0 objects"), ('{"objects":[7]}', "$.objects[0]"),
            ('{"objects":[{"name":"a",%s}],"more":1}' % point, "$ has members"),
            ('{"objects":[{%s}]}' % point, '$.objects[0] has no "name"'),
            ('{"objects":[{"name":"a"}]}', '$.objects[0] has none of "points"'),
            ('{"objects":[{"name":"a","points":[]}]}', "has none of"),
            ('{"objects":[{"name":"a",%s},{"name":"a",%s}]}' % (point, point), "$.objects[1].name"),
            ('{"objects":[{"name":"","points":[[1,2]]}]}', "$.objects[0].name"),
            ('{"objects":[{"name":"../x",%s}]}' % point, "$.objects[0].name"),
            ('{"objects":[{"name":"a","point":[[1,2]]}]}', "$.objects[0].point is not known"),
            ('{"objects":[{"name":"a","points":[1,2]}]}', "$.objects[0].points[0]"),
            ('{"objects":[{"name":"a","points":[[1,2],[1]]}]}', "$.objects[0].points[1]"),
            ('{"objects":[{"name":"a","points":[[1,"2"]]}]}', "$.objects[0].points[0]"),
            ('{"objects":[{"name":"a","points":[[1,true]]}]}', "$.objects[0].points[0]"),
            ('{"objects":[{"name":"a","points":[[1,1e99]]}]}', "$.objects[0].points[0]"),
            ('{"objects":[{"name":"a","points":[[1,2,"x"]]}]}', "$.objects[0].points[0]"),
            ('{"objects":[{"name":"a","points":{}}]}', "$.objects[0].points is not a list"),
            ('{"objects":[{"name":"a","boxes":[[1,2,3]]}]}', "$.objects[0].boxes[0]"),
            ('{"objects":[{"name":"a",%s,"rough":3}]}' % point, "$.objects[0].rough"),
            ('{"objects":[{"name":"a",%s,"candidate":0}]}' % point, "$.objects[0].candidate"),
            ('{"objects":[{"name":"a",%s,"candidate":1.5}]}' % point, "$.objects[0].candidate"),
            ('{"objects":[{"name":"a",%s,"invert":1}]}' % point, "$.objects[0].invert"),
            ('{"objects":[{"name":"a",%s,"outputs":"x.png"}]}' % point, "$.objects[0].outputs"),
            ('{"objects":[{"name":"a",%s,"outputs":["x.png",""]}]}' % point, "$.objects[0].outputs[1]"),
            ("[" * 100000, "nested"), ("", "is not JSON|is missing"), ("\xff", "is not JSON"),
        ]
        before = None
        for text, words in cases:
            with self.subTest(text=text[:80]):
                path = self.prompts(text)
                before = self.snapshot()
                result = self.assert_fails(self.mask("--prompts", path), 3, "p.json")
                self.assertRegex(result.err, "|".join(re.escape(w) for w in words.split("|")))
                self.assertEqual(self.snapshot(), before)
        self.assert_fails(self.mask("--prompts", self.file("none.json")), 3, "none.json")
        self.assert_fails(self.mask("--prompts", self.work), 3)
        self.write("latin.json", b'{"objects":[{"name":"\xe9","points":[[1,2]]}]}')
        self.assert_fails(self.mask("--prompts", self.file("latin.json")), 3, "latin.json")

    def test_outside(self):
        path = self.prompts({"objects": [{"name": "a", "points": [[3, 3]]}, {"name": "far", "points": [[32, 280]]}]})
        self.assert_fails(self.mask("--prompts", path), 3, "far: ", "96×64")
        self.assertEqual(sorted(os.listdir(self.work)), ["p.json", "photo.png"])

    def test_how_many(self):
        """A model takes 1024 points; more are refused before anything is encoded."""
        def run(points, boxes, *args):
            return self.mask(*args, "--prompts", self.prompts({"objects": [
                {"name": "a", "points": [[30, 30]] * points, "boxes": [[5, 5, 20, 20]] * boxes}]}), "--json", "--overwrite")
        for points, boxes in ((1025, 0), (1023, 1), (0, 513)):
            row, = self.rows(run(points, boxes))
            self.assertEqual((row["event"], row["exit_code"]), ("error", 3))
            self.assertIn("too many", row["message"])
        for points, boxes in ((1024, 0), (0, 512)):
            self.assert_ok(run(points, boxes, "--dry-run"))

    def test_pipe(self):
        os.mkfifo(self.file("pipe"))
        self.assert_fails(self.mask("--prompts", self.file("pipe")), 3, "ordinary file")
        self.assert_fails(self.mask("--prompts", self.file("none.json")), 3, "no such file")

    def test_not_with_other_prompts(self):
        path = self.prompts({"objects": [{"name": "a", "points": [[3, 3]]}]})
        for args in (CENTRE, ("--box", "1,1,5,5"), ("--rough", self.photo), ("--candidate", "1"), ("--invert",),
                     ("--cutout", self.file("c.png"))):
            with self.subTest(args=args):
                self.assert_fails(self.mask("--prompts", path, *args), 2, "--prompts")
        self.assert_fails(self.mask("--prompts", path, "-o", self.file("m.png")), 2, "directory")


class Reports(MaskTest):
    def test_events(self):
        result = self.assert_ok(self.mask(*CENTRE, "--json", "-o", self.file("m.png"), "--overlay", self.file("o.png")))
        self.assertEqual(result.err, "")
        encoded, mask, picture, overlay = self.rows(result)
        self.assertEqual([r["event"] for r in (encoded, mask, picture, overlay)], ["encoded", "mask", "done", "done"])
        self.assertEqual((encoded["width"], encoded["height"], encoded["orientation"]), (WIDTH, HEIGHT, 1))
        self.assertEqual((encoded["model"], encoded["provider"], encoded["cached"]), ("mask-object-colour", "CPU", False))
        self.assertGreater(encoded["encode_seconds"], 0)
        self.assertEqual(mask["object"], None)
        self.assertEqual(mask["candidates"], 3)
        self.assertTrue(0 < mask["iou_predicted"] <= 1 and 0 < mask["stability"] <= 1, mask)
        self.assertAlmostEqual(mask["area"], 32 * 32, delta=150)
        self.assertAlmostEqual(mask["share"], mask["area"] / (WIDTH * HEIGHT), places=5)
        for got, expected in zip(mask["bounding_box"], (LEFT, TOP, RIGHT - 1, BOTTOM - 1)):
            self.assertAlmostEqual(got, expected, delta=2)
        self.assertIn("guided", mask["edges"])
        self.assertGreaterEqual(mask["decode_seconds"], 0)
        self.assertEqual(overlay["kind"], "overlay")

    def test_encoded_once(self):
        def cached(*args):
            rows = self.rows(self.assert_ok(self.mask(*CENTRE, "--json", "-o", self.file("m.png"), "--overwrite", *args)))
            return next(r["cached"] for r in rows if r["event"] == "encoded"), read_bytes(self.file("m.png"))
        self.assertEqual(cached("--no-cache")[0], False)
        first = cached()
        self.assertEqual(first[0], False)
        self.assertEqual(cached(), (True, first[1]))
        self.assertEqual(cached("--no-cache"), first)
        self.assertIn("encoded earlier", self.mask(*CENTRE, "-o", self.file("n.png")).err)

    def test_names_that_are_no_text(self):
        """JSON is UTF-8, whatever the files are called."""
        folder = os.fsencode(self.work)
        os.rename(self.photo, os.path.join(folder, b"latin\xe4.png"))
        result = self.assert_ok(self.mask(*CENTRE, "-o", os.path.join(folder, b"m\xe4.png"), "--json",
                                          photo=os.path.join(folder, b"latin\xe4.png")))
        rows = [json.loads(line) for line in result.out.encode("utf-8", "surrogateescape").decode("utf-8").splitlines()]
        self.assertEqual({row["input"] for row in rows}, {self.file("latin\ufffd.png")})
        self.assertTrue(os.path.exists(os.path.join(folder, b"m\xe4.png")))

    def test_errors_as_objects(self):
        result = self.mask("--point", "500,5", "--json")
        self.assertEqual((result.code, result.err), (3, ""))
        row, = self.rows(result)
        self.assertEqual((row["event"], row["exit_code"]), ("error", 3))
        self.assertIn("96×64", row["message"])

    def test_dry_run(self):
        before = self.snapshot()
        result = self.assert_ok(self.mask(*CENTRE, "--dry-run", "--overlay", self.file("o.png"), "-o", self.file("m.svg")))
        for words in ("96×64", "mask-object-colour on CPU", "guided", "m.svg", "o.png"):
            self.assertIn(words, result.out)
        row, = self.rows(self.assert_ok(self.mask(*CENTRE, "--dry-run", "--json")))
        self.assertEqual((row["event"], row["objects"][0]["prompts"]), ("plan", 1))
        self.assertEqual(self.snapshot(), before)
        self.assert_fails(self.mask("--point", "500,5", "--dry-run"), 3)

    def test_progress(self):
        result = self.assert_ok(self.mask(*CENTRE, "--progress=plain"))
        self.assertRegex(result.err, r"photo\.png: 100 %")
        self.assert_fails(self.mask(*CENTRE, "--progress=loud"), 2, "--progress")

    def test_empty(self):
        """A click that is taken back by its neighbours."""
        others = [a for x, y in ((31, 28), (33, 28), (32, 27), (32, 29)) for a in ("--point", "%d,%d,-" % (x, y))]
        result = self.assert_ok(self.mask(*CENTRE, *others, "-o", self.file("m.png"), "-o", self.file("m.svg"),
                                          "--cutout", self.file("c.png"), "--overlay", self.file("o.png")))
        self.assertIn("the mask is empty", result.err)
        self.assertEqual(set(png_samples(read_bytes(self.file("m.png")))) - set(range(128)), set())


class Refusals(MaskTest):
    def test_no_prompts(self):
        self.assert_fails(self.mask(), 2, "--point", "--box", "--rough", "--prompts")
        self.assert_fails(self.run_cli("mask"), 2, "photo.jpg")
        self.assert_fails(self.run_cli("mask", self.photo, self.photo, *CENTRE), 2, "one at a time")

    def test_prompts_nobody_understands(self):
        for bad in ("", "5", "5,", ",5", "5,5,5", "5,5,-,", "a,b", "5 ,5", " 5,5", "5,5%%", "nan,5", "inf,5", "1e9,2", "%,5"):
            with self.subTest(bad=bad):
                self.assert_fails(self.mask("--point", bad), 2, "--point takes")
        for bad in ("", "5,5", "1,2,3", "1,2,3,4,5", "1,2,3,x"):
            with self.subTest(bad=bad):
                self.assert_fails(self.mask("--box", bad), 2, "--box takes")

    def test_outside(self):
        for point in ("96,5", "5,64", "-1,5", "101%,5", "5,-1%", "5,900"):
            with self.subTest(point=point):
                self.assert_fails(self.mask("--point", point), 3, "outside the picture", "96×64")
        self.assert_fails(self.mask("--box", "5,5,200,20"), 3, "The corner (200, 20) is outside", "96×64")
        for point in ("95,63", "0,0", "0%,0%", "100%,100%"):
            self.assert_ok(self.mask("--point", point, "-o", self.file("m.png"), "--overwrite"))

    def test_contradictions(self):
        for args in (("--guided", "--no-guided"), ("--raw", "--guided"), ("--raw", "--holes", "5"), ("--raw", "--specks", "5"),
                     ("--raw", "--grow", "1"), ("--raw", "--feather", "1"), ("--holes", "many"), ("--specks", "-5"),
                     ("--grow", "5000"), ("--feather", "-1"), ("--threads", "0"), ("--memory", "much"),
                     ("--provider", "abacus"), ("--holes", "5%x")):
            with self.subTest(args=args):
                self.assert_fails(self.mask(*CENTRE, *args), 2)
        self.assert_ok(self.mask(*CENTRE, "--raw", "--no-guided"))

    def test_outputs(self):
        before = self.snapshot()
        self.assert_fails(self.mask(*CENTRE, "-o", self.photo), 4, "replace the photograph")
        self.assert_fails(self.mask(*CENTRE, "-o", self.photo, "--overwrite"), 4, "replace the photograph")
        self.assert_fails(self.mask(*CENTRE, "-o", self.file("no", "m.png")), 4, "directory")
        self.assert_fails(self.mask(*CENTRE, "-o", self.file("m.jpg")), 2, ".png")
        self.assert_fails(self.mask(*CENTRE, "-o", self.file("m")), 2, ".png")
        self.assert_fails(self.mask(*CENTRE, "-o", self.file("a.png"), "-o", self.file(".", "a.png")), 2, "two outputs")
        self.assert_fails(self.mask(*CENTRE, "--overlay", self.file("a.svg")), 2, "a.svg")
        self.assertEqual(self.snapshot(), before)
        self.assert_ok(self.mask(*CENTRE))
        self.assert_fails(self.mask(*CENTRE), 4, "exists", "--overwrite")
        self.assert_ok(self.mask(*CENTRE, "--overwrite"))

    def test_inputs(self):
        text = self.write("text.jpg", b"no picture at all")
        self.assert_fails(self.mask(*CENTRE, photo=text), 3, "text.jpg")
        self.assert_fails(self.mask(*CENTRE, photo=self.file("none.jpg")), 3, "none.jpg")
        cut = self.write("cut.png", read_bytes(self.photo)[:-60])
        self.assert_fails(self.mask(*CENTRE, photo=cut), 3, "cut.png")
        self.assertEqual(sorted(os.listdir(self.work)), ["cut.png", "photo.png", "text.jpg"])

    def test_models(self):
        self.assert_fails(self.mask(*CENTRE, "--model", "nonesuch"), 5, "nonesuch", "models list")
        self.assert_fails(self.mask(*CENTRE, "--model", "denoise-conv3"), 5, "denoise")
        self.assert_fails(self.run_cli("--conf", "plugins/ai/models/active/mask=", "mask", self.photo, *CENTRE), 5)
        self.add_model("mask-object-published-segnext")
        segnext = ("--model", "mask-object-published-segnext")
        self.assert_fails(self.mask("--box", "5,5,20,20", *segnext), 3, "boxes", "points")
        self.assert_ok(self.mask(*CENTRE, *segnext))
        self.add_model("broken-run-mask-nan")
        self.assert_fails(self.mask(*CENTRE, "--model", "broken-run-mask-nan", "--overwrite"), 1, "not numbers")

    def test_switched_off(self):
        self.write_airc("")
        self.assert_fails(self.mask(*CENTRE), 10, "darktable-ai enable")

    def test_memory(self):
        self.assert_fails(self.mask(*CENTRE, "--memory", "10M"), 7, "--memory", "96×64")
        self.assert_ok(self.mask(*CENTRE, "--memory", "2G"))
        # 6 MP: the picture and the mask are 40 MiB; an outline is compared with its mask, an overlay drawn
        large = self.write("large.png", png(3000, 2000, raw=bytes(3 * 3000 * 2000)))
        for args, enough in ((("-o", self.file("l.tif")), 41), (("-o", self.file("l.svg")), 63),
                             (("--overlay", self.file("l.jpg"), "--overlay-size", "0"), 109)):
            with self.subTest(args=args):
                args = (*CENTRE, "--raw", "--dry-run") + args
                self.assert_fails(self.mask(*args, "--memory", "%dM" % (enough - 2), photo=large), 7, "3000×2000")
                self.assert_ok(self.mask(*args, "--memory", "%dM" % (enough + 1), photo=large))
        self.assert_fails(self.mask(*CENTRE, "--dry-run", "--feather", "5", "--memory", "295M", photo=large), 7)
        self.assert_ok(self.mask(*CENTRE, "--dry-run", "--feather", "3", "--memory", "295M", photo=large))


class Interrupted(MaskTest):
    def test_nothing_is_left(self):
        """A large picture, most of which is read when the signal comes."""
        side = 6000
        photo = self.write("large.png", png(side, side, raw=bytes(3 * side * side)))
        before = self.snapshot()
        args = ("mask", photo, "--point", "50%,50%", "-o", self.file("m.png"), "--no-cache")
        whole = self.assert_ok(self.run_cli(*args)).seconds
        os.remove(self.file("m.png"))
        codes = []
        for part in (0.1, 0.3, 0.5, 0.7, 0.9):
            process = self.start(*args)
            time.sleep(part * whole)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60 * harness.SLOWER)
            codes.append(process.returncode)
            if codes[-1] == 0:  # it was quicker this time
                os.remove(self.file("m.png"))
            # before it is ready to catch it the signal ends it as it ends any program
            self.assertIn(codes[-1], (0, 130, -signal.SIGINT), err)
            self.assertEqual(self.snapshot(), before)
        self.assertIn(130, codes)


if __name__ == "__main__":
    harness.main()
