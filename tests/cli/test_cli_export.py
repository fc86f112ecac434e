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

    def read(self, path):
        with open(path, "rb") as f:
            return f.read()

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

    def plan(self, *args):
        result = self.assert_ok(self.export(*args, "--dry-run", "--json"))
        plan = json.loads(result.out)
        self.assertEqual(plan["event"], "plan")
        return plan

    def test_dry_run(self):
        """What is foreseen is what happens; nothing is written."""
        before, out = self.snapshot(), self.path("out.tif")
        args = [self.picture, "-o", out, "--width", "3", "--module", "exposure.exposure=1.50", "--module",
                "exposure.blend.opacity=0.5", "--module", "sharpen=off", "--module", "sigmoid.contrast=2"]
        plan = self.plan(*args)
        self.assertEqual((plan["output"], plan["output_width"], plan["output_height"], plan["bits"], plan["output_bytes"]),
                         (out, 3, 2, 16, 3 * 2 * 3 * 2))
        self.assertEqual(plan["devices"], [])
        modules = {m["module"]: m for m in plan["modules"]}
        self.assertEqual(modules["exposure"]["params"], {"exposure": "1.5"})
        self.assertEqual(modules["exposure"]["blend"], {"opacity": "0.5"})
        self.assertEqual(modules["sigmoid"]["params"], {"contrast": "2"})
        self.assertNotIn("sharpen", modules)
        self.assertNotIn("demosaic", modules, "this is no raw")
        words = self.assert_ok(self.export(*args, "--dry-run", "--trace", self.path("trace"))).out
        self.assertRegex(words, r"(?m)^  modules .*exposure  exposure=1\.5  blend\.opacity=0\.5$")
        self.assertIn("3×2, 16 bits", words)
        self.assertRegex(words, r"(?m)^  device +the CPU: ")
        self.assertEqual(self.snapshot(), before)
        self.assertFalse(os.path.exists(out) or os.path.exists(self.path("trace")))
        event = json.loads(self.assert_ok(self.export(*args, "--json")).out)
        self.assertEqual((event["width"], event["height"]), (3, 2))

    def test_dry_run_and_the_formats(self):
        for name, bits, size in (("x.jpg", 8, 72), ("x.pfm", 32, 288), ("x.png", 8, 72), ("x.tif", 16, 144)):
            plan = self.plan(self.picture, "-o", self.path(name))
            self.assertEqual((plan["bits"], plan["output_bytes"]), (bits, size), name)
        self.assertEqual(self.plan(self.picture, "-o", "-")["output"], "-", "no picture goes to the standard output")

    def test_dry_run_foresees_failures(self):
        out = self.write("there.png", b"mine")
        for args, code, words in ((["-o", out], 4, "there.png"), (["-o", self.picture], 4, "never touched"),
                                  (["-o", self.path("no", "x.png")], 4, "directory"),
                                  (["-o", self.path("x.png"), "--bit-depth", "32"], 2, "bits"),
                                  (["-o", self.path("x.gif")], 2, "x.gif"),
                                  (["-o", self.path("x.png"), "--module", "exposure.blend.mask=/gone.png"], 3, "gone.png")):
            with self.subTest(args=args):
                failed = self.assert_fails(self.export(self.picture, "--dry-run", *args), code, words)
                self.assertIn("would fail: ", failed.err)
                self.assert_fails(self.export(self.picture, *args), code, words)
        self.assertNotIn("skip", self.export(self.picture, "-o", out, "--dry-run").err)  # export has no such option
        result = self.export(self.picture, self.path("gone.png"), "-o", self.path("{name}.{ext}"), "--dry-run")
        self.assertEqual(result.code, 9, result)
        self.assertEqual(self.assert_ok(self.export(self.picture, "-o", out, "--overwrite", "--dry-run")).err, "")

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

    def test_choices(self):
        """A list of names is advice for who does not know the name, and for nobody else."""
        for setting, choice in (("nosuch.x=1", "sigmoid"), ("gamma.dither=off", "sigmoid"), ("exposure.x=1", "exposure.black"),
                                ("exposure", "exposure.black"), ("exposure.blend.x=1", "exposure.blend.hue_to"),
                                ("temperature.blend.x=1", "temperature.blend.feather"), ("exposure.exposure=99", None),
                                ("exposure=perhaps", None), ("colorout=off", None), ("exposure.blend.opacity=2", None),
                                ("temperature.blend.hue_to=2", "temperature.blend.feather"), ("demosaic.blend.opacity=1", None),
                                ("demosaic.blend.x=1", None)):
            with self.subTest(setting=setting):
                failed = self.assert_fails(self.export(self.picture, "--module", setting), 2)
                choices = failed.err.partition("Choose from: ")[2].split()
                self.assertEqual(choice in choices, choice is not None, failed.err)
                self.assertEqual(bool(choices), choice is not None, failed.err)
                self.assertFalse([c for c in choices if c.startswith(("gamma", "temperature.blend.hue"))], failed.err)

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

    def test_what_is_not_used_is_said_once(self):
        """Of a sidecar, and of a style by its name."""
        style = self.write("odd.style", b"exposure.exposure=99\nnosuch.x=1\nsigmoid.contrast=1.2\n")
        once = lambda result: self.assertEqual([result.err.count(word) for word in ("99", "no module")], [1, 1], result.err)
        for args in ((), ("--dry-run",)):
            result = self.assert_ok(self.export(self.picture, "-o", self.path("odd.png"), "--style", style, *args,
                                                "--overwrite"))
            once(result)
            self.assertIn("odd.style: exposure: ", result.err)
        self.assert_ok(self.run_cli("history", "set", self.picture, "--style", style))
        once(self.assert_ok(self.export(self.picture, "-o", self.path("odd.png"), "--overwrite")))
        once(self.assert_ok(self.run_cli("--conf", "opencl=FALSE", "thumbnail", self.picture)))

    def test_memory_is_shared_out(self):
        """However little it is, and however many share it: none is no limit."""
        other = self.write("other.pfm", self.read(self.picture))
        os.makedirs(self.path("outs"))
        result = self.export(self.picture, other, "-o", self.path("outs"), "--memory", "1", "--jobs", "2", "--module",
                             "exposure.exposure=1")
        self.assertEqual((result.code, result.err.count("Allow more")), (9, 2), result)

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
