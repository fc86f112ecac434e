# SPDX-License-Identifier: GPL-3.0-or-later
"""export from outside: pictures and raws into files, sizes, modules, bad input."""
import json
import os
import struct
import zlib

import harness
from harness import CliTest


def png(width, height, grey):
    """A grey picture of 8 bits."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + bytes(grey(x, y) for x in range(width)) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def pixels(path):
    with open(path, "rb") as f:
        return struct.unpack("<72f", f.read()[-288:])


class Export(CliTest):
    models = ()
    enabled = False

    def setUp(self):
        super().setUp()
        self.picture = self.write("in.ppm.pfm", b"PF\n6 4\n-1.0\n" + b"".join(
            struct.pack("<f", (i % 24) / 24.0) for i in range(6 * 4 * 3)))

    def export(self, *args, **options):
        return self.run_cli("--conf", "opencl=FALSE", "export", *args, **options)

    def test_a_picture_stays_what_it_is(self):
        """Without a history a picture passes unchanged."""
        out = self.path("out.pfm")
        result = self.assert_ok(self.export(self.picture, "-o", out))
        self.assertIn("6×4", result.out)
        for x, y in zip(pixels(self.picture), pixels(out)):
            self.assertAlmostEqual(x, y, places=5)

    def test_json_and_module(self):
        out = self.path("out.pfm")
        result = self.assert_ok(self.export(self.picture, "-o", out, "--json", "--module", "exposure.exposure=1"))
        event = json.loads(result.out)
        self.assertEqual((event["event"], event["width"], event["height"], event["device"]), ("exported", 6, 4, None))

    def test_a_mask(self):
        """Exposure on the left half alone, half of it."""
        mask = self.write("mask.png", png(6, 4, lambda x, y: 255 if x < 3 else 0))
        out = self.path("out.pfm")
        self.assert_ok(self.export(self.picture, "-o", out, "--module", "exposure.exposure=1", "--module",
                                   "exposure.blend.mask=" + mask, "--module", "exposure.blend.opacity=0.5"))
        for i, (x, y) in enumerate(zip(pixels(self.picture), pixels(out))):
            self.assertAlmostEqual(x * (1.5 if i // 3 % 6 < 3 else 1), y, places=5)
        self.assert_fails(self.export(self.picture, "-o", self.path("no.pfm"), "--module", "exposure.exposure=1", "--module",
                                      "exposure.blend.mask=" + self.path("gone.png")), 3, "gone.png")

    def test_smaller(self):
        result = self.assert_ok(self.export(self.picture, "-o", self.path("small.png"), "--width", "3", "--json"))
        event = json.loads(result.out)
        self.assertEqual((event["width"], event["height"]), (3, 2))

    def test_usage(self):
        for args, words in ((["--module", "nonsense.x=1"], "nonsense"), (["--module", "exposure.exposure=99"], "18"),
                            (["--module", "exposure.exposure=nan"], "exposure"),
                            (["--module", "exposure.blend.opacity=2"], "opacity"), (["--bit-depth", "9"], "--bit-depth"),
                            (["--width", "-3"], "--width"), (["--history", "x"], "--history"),
                            (["--format", "gif"], "--format"), (["--memory", "x"], "--memory")):
            with self.subTest(args=args):
                self.assert_fails(self.export(self.picture, "-o", self.path("out.png"), *args), 2, words)
                self.assertFalse(os.path.exists(self.path("out.png")))
        self.assert_fails(self.export(), 2, "which photographs")

    def test_bad_files(self):
        self.assert_fails(self.export(self.path("gone.nef")), 3, "gone.nef")
        self.assert_fails(self.export(self.write("x.png", b"no picture")), 3, "x.png")
        self.assert_fails(self.export(self.picture, "-o", self.picture), 4, "never touched")
        out = self.write("there.png", b"mine")
        self.assert_fails(self.export(self.picture, "-o", out), 4, "there.png")
        with open(out, "rb") as f:
            self.assertEqual(f.read(), b"mine")

    def test_one_of_several_fails(self):
        os.makedirs(self.path("outs"))
        result = self.export(self.picture, self.path("gone.png"), "-o", self.path("outs"), "--format", "png", "--jobs", "2")
        self.assertEqual(result.code, 9, result)
        self.assertIn("gone.png", result.err)
        self.assertEqual(os.listdir(self.path("outs")), ["in.ppm.png"])

    def test_sidecar(self):
        """A photograph's own history counts unless it is left out; a damaged one is an error, and stays as it is."""
        sidecar = self.picture + ".dtai.xmp"
        with open(sidecar, "w") as f:
            f.write("this is no XMP")
        self.assert_fails(self.export(self.picture, "-o", self.path("out.png")), 3, ".dtai.xmp")
        self.assert_ok(self.export(self.picture, "-o", self.path("out.png"), "--history", "none"))
        with open(sidecar) as f:
            self.assertEqual(f.read(), "this is no XMP")

    def test_a_style_that_cannot_be_read(self):
        """Told once, before the first photograph."""
        self.assert_fails(self.export(self.picture, self.picture, "-o", self.path("out.png"), "--style", self.path("gone")),
                          3, "gone", "--style")

    def test_a_real_raw(self):
        raw = os.path.join(harness.SOURCE, "..", "shared", "data", "raw", "colorchart.dng")
        if not os.path.exists(raw):
            self.skipTest("the raw of the shared data is not here")
        result = self.assert_ok(self.export(raw, "-o", self.path("raw.jpg"), "--width", "400", "--json"))
        event = json.loads(result.out)
        self.assertEqual(event["width"], 400)


if __name__ == "__main__":
    harness.main()
