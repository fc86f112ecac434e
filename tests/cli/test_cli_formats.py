# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats besides TIFF, PNG and JPEG, --format, pipes in and out, dither and intent."""
import json
import os
import pty
import struct
import subprocess
import unittest

import harness
from harness import CliTest, pattern, picture_info, png, png_samples, read_bytes, tiff

# what can be read is told by the program itself; builds without a library are tested as well
SAMPLES = {"WebP": ("rgb-meta.webp", "rgba.webp", "lossy-alpha.webp"),
           "JPEG XL": ("rgb-meta.jxl", "grey16.jxl", "lossy.jxl"),
           "HEIF/AVIF": ("meta.heic", "alpha.heic", "p3.avif", "deep12.avif", "rotated.avif"),
           "OpenEXR": ("zip-half.exr", "tiled-piz.exr", "grey.exr"),
           "PFM": ("rgb.pfm", "grey-big-endian.pfm")}


def pfm(width, height, channels, samples, big=False):
    stride = width * channels
    rows = [samples[y * stride:(y + 1) * stride] for y in range(height)]
    head = "%s\n%d %d\n%s\n" % ("PF" if channels == 3 else "Pf", width, height, "1.0" if big else "-1.0")
    return head.encode() + b"".join(struct.pack("%s%df" % (">" if big else "<", stride), *row) for row in rows[::-1])


def pfm_samples(data):
    kind, size, order, raw = data.split(b"\n", 3)
    width, height = map(int, size.split())
    stride = width * (3 if kind == b"PF" else 1)
    code = "%s%df" % ("<" if order.startswith(b"-") else ">", stride)
    rows = [struct.unpack_from(code, raw, y * stride * 4) for y in range(height)]
    return [value for row in rows[::-1] for value in row]


def exr_header(data):
    """{attribute: bytes} of the first part."""
    assert data[:4] == b"\x76\x2f\x31\x01", data[:4]
    at, found = 8, {}
    while data[at]:
        name = data[at:data.index(0, at)]
        at += len(name) + 1
        at = data.index(0, at) + 1
        size = struct.unpack_from("<i", data, at)[0]
        found[name.decode()] = data[at + 4:at + 4 + size]
        at += 4 + size
    return found


def exr_channels(data):
    """{channel: pixel type}: 1 is half, 2 float."""
    raw, at, found = exr_header(data)["channels"], 0, {}
    while raw[at]:
        end = raw.index(0, at)
        found[raw[at:end].decode()] = struct.unpack_from("<i", raw, end + 1)[0]
        at = end + 1 + 16
    return found


class FormatTest(CliTest):
    def setUp(self):
        super().setUp()
        self.add_model("test-identity", "copy", task="denoise")

    def built_in(self):
        line = next(l for l in self.run_cli("--version").out.splitlines() if l.startswith("Formats: "))
        return line.split("; not built in")[0]

    def need(self, name):
        if name not in self.built_in():
            self.skipTest("this build has no " + name)

    def sample(self, name):
        return os.path.join(harness.SOURCE, "tests", "fuzz", "corpus", "imageio", name)

    def copy(self, *args, **options):
        return self.denoise("--model", "copy", "--overwrite", "--force", *args, **options)


class Reading(FormatTest):
    def test_samples_become_every_format(self):
        built_in = self.built_in()
        for name, files in SAMPLES.items():
            for file in files if name in built_in else ():
                for out in ("o.tif", "o.png", "o.pfm"):
                    with self.subTest(file=file, out=out):
                        result = self.copy("-o", self.file(out), self.sample(file))
                        if out == "o.pfm" and any(word in file for word in ("rgba", "alpha", "half")):
                            self.assert_fails(result, 2, "transparency")
                            continue
                        self.assert_ok(result)
                        self.assertGreater(os.path.getsize(self.file(out)), 60)
        self.assertEqual(self.parts(), [])

    def test_depth_follows_the_input(self):
        built_in = self.built_in()
        for name, file, bits in (("WebP", "rgba.webp", 8), ("JPEG XL", "grey16.jxl", 16), ("HEIF/AVIF", "p3.avif", 8),
                                 ("HEIF/AVIF", "deep12.avif", 16), ("PFM", "rgb.pfm", 16)):
            if name in built_in:
                with self.subTest(file=file):
                    self.assert_ok(self.copy("-o", self.file("o.png"), self.sample(file)))
                    self.assertEqual(self.assert_picture(self.file("o.png"))["bits"], bits)

    def test_turned_pictures_lie_right(self):
        self.need("HEIF/AVIF")
        self.assert_ok(self.copy("-o", self.file("o.tif"), self.sample("rotated.avif")))
        info = self.assert_picture(self.file("o.tif"), (16, 24))
        self.assertEqual(info["tags"].get(274, [1]), [1])

    def test_metadata_goes_along(self):
        built_in = self.built_in()
        for name, file, orientation in (("WebP", "rgb-meta.webp", 6), ("JPEG XL", "rgb-meta.jxl", 1),
                                        ("HEIF/AVIF", "meta.heic", 1)):
            if name in built_in:
                with self.subTest(file=file):
                    self.assert_ok(self.copy("-o", self.file("o.tif"), self.sample(file)))
                    tags = self.assert_picture(self.file("o.tif"))["tags"]
                    self.assertEqual(tags["exif"][34855], [3200])
                    self.assertEqual(tags.get(274, [1]), [orientation])
                    self.assertIn(b'dc:format="mine"', bytes(tags[700]))
                    self.assertIn(34675, tags)

    def test_cut_and_damaged_files(self):
        for files in SAMPLES.values():
            data = read_bytes(self.sample(files[0]))
            picture = self.write("cut", data[:len(data) * 2 // 3])
            with self.subTest(file=files[0]):
                result = self.copy("-o", self.file("o.tif"), picture)
                self.assertEqual((result.code, result.out), (3, ""), result)
                self.assertEqual(len(result.messages), 1, result)
                self.assertRegex(result.messages[0], harness.NEXT_STEP)
                self.assertFalse(os.path.exists(self.file("o.tif")))

    def test_missing_libraries(self):
        built_in = self.built_in()
        for name, files in SAMPLES.items():
            if name not in built_in:
                self.assert_fails(self.copy("-o", self.file("o.tif"), self.sample(files[0])), 3, name, "build it with")

    def test_the_program_tells_its_formats(self):
        self.assertIn("TIFF, PNG, JPEG, PFM", self.built_in())
        self.assertIn("\nformats      TIFF, PNG, JPEG, PFM", self.run_cli("doctor").out)


class Floats(FormatTest):
    SAMPLES = [(i * 37 % 101) / 50 - 0.25 for i in range(31 * 17 * 3)]

    def test_pfm_is_copied_exactly(self):
        for channels in (1, 3):
            samples = self.SAMPLES[:31 * 17 * channels]
            for big in (False, True):
                picture = self.write("a.pfm", pfm(31, 17, channels, samples, big))
                self.assert_ok(self.copy("-o", self.file("o.pfm"), picture))
                for got, want in zip(pfm_samples(read_bytes(self.file("o.pfm"))), samples):
                    self.assertAlmostEqual(got, want, delta=2e-5)

    def test_float_tiff_keeps_what_pfm_had(self):
        picture = self.write("a.pfm", pfm(31, 17, 3, self.SAMPLES))
        self.assert_ok(self.copy("-o", self.file("o.tif"), picture))
        self.assertEqual(self.assert_picture(self.file("o.tif"), (31, 17))["bits"], 32)
        self.assert_ok(self.copy("-o", self.file("o.pfm"), self.file("o.tif")))
        for got, want in zip(pfm_samples(read_bytes(self.file("o.pfm"))), self.SAMPLES):
            self.assertAlmostEqual(got, want, delta=2e-5)

    def test_whole_numbers_are_srgb(self):
        """Middle grey of linear light is far above the middle of the codes."""
        picture = self.write("a.pfm", pfm(8, 8, 3, [0.2159] * 192))
        for extra, code in (([], 128), (["--assume-profile", "srgb-linear"], 55), (["--icc", "srgb-linear"], 55)):
            self.assert_ok(self.copy("--bit-depth", 8, "-o", self.file("o.png"), *extra, picture))
            for sample in png_samples(read_bytes(self.file("o.png"))):
                self.assertAlmostEqual(sample, code, delta=1)

    def test_exr_depths(self):
        self.need("OpenEXR")
        eight, deep = self.write("a.png", png(20, 10)), self.write("a.tif", tiff(20, 10, bits=32))
        for picture, bits, kind in ((eight, None, 1), (deep, None, 2), (deep, 16, 1), (eight, 32, 2)):
            depth = ["--bit-depth", bits] if bits else []
            self.assert_ok(self.copy(*depth, "-o", self.file("o.exr"), picture))
            self.assertEqual(exr_channels(read_bytes(self.file("o.exr"))), {"B": kind, "G": kind, "R": kind})
        self.assert_fails(self.copy("--bit-depth", 8, "-o", self.file("n.exr"), eight), 2, "n.exr", "half")

    def test_exr_channels(self):
        self.need("OpenEXR")
        for channels, names in ((1, "Y"), (2, "AY"), (3, "BGR"), (4, "ABGR")):
            picture = self.write("a.png", png(20, 10, channels))
            self.assert_ok(self.copy("-o", self.file("o.exr"), picture))
            self.assertEqual("".join(exr_channels(read_bytes(self.file("o.exr")))), names)
            self.assert_ok(self.copy("-o", self.file("o.png"), self.file("o.exr")))
            self.assertEqual(self.assert_picture(self.file("o.png"))["channels"], channels)

    def test_exr_colours(self):
        self.need("OpenEXR")
        picture = self.write("a.png", png(20, 10))
        for icc, red in (([], 0.64), (["--icc", "rec2020-linear"], 0.708)):
            self.assert_ok(self.copy(*icc, "-o", self.file("o.exr"), picture))
            head = exr_header(read_bytes(self.file("o.exr")))
            self.assertAlmostEqual(struct.unpack("<8f", head["chromaticities"])[0], red, places=5)
        self.assert_ok(self.copy("-o", self.file("p.exr"), self.file("o.exr")))
        self.assertEqual(exr_header(read_bytes(self.file("p.exr")))["chromaticities"], head["chromaticities"])
        self.assert_fails(self.copy("--icc", "adobergb", "-o", self.file("n.exr"), picture), 2, "linear")
        self.assertFalse(os.path.exists(self.file("n.exr")))

    def test_what_is_left_out_is_said(self):
        picture = self.write("a.png", png(20, 10, extra=[(b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0")]))
        result = self.assert_ok(self.copy("-o", self.file("o.pfm"), picture))
        self.assertIn("orientation", result.err)


class Names(FormatTest):
    def test_format_chooses_the_extension(self):
        picture = self.make("a.tif", 20, 10)
        os.mkdir(self.file("out"))
        for name, extension in (("tiff", "tif"), ("png", "png"), ("jpeg", "jpg"), ("pfm", "pfm")):
            with self.subTest(format=name):
                self.assert_ok(self.denoise("--format", name, picture))
                self.assertTrue(os.path.exists(self.file("a_denoise." + extension)))
                self.assert_ok(self.denoise("--format", name, "-o", self.file("out"), picture))
                self.assertTrue(os.path.exists(self.file("out", "a_denoise." + extension)))
                self.assert_ok(self.denoise("--format", name, "-o", self.file("{name}_x.{ext}"), picture))
                self.assertTrue(os.path.exists(self.file("a_x." + extension)))
        self.assert_ok(self.denoise("--format", "png", "-o", self.file("noname"), picture))
        self.assertEqual(self.assert_picture(self.file("noname"))["format"], "png")

    def test_default_name_of_an_exr(self):
        self.need("OpenEXR")
        picture = self.write("a.exr", read_bytes(self.sample("tiled-piz.exr")))
        self.assert_ok(self.denoise(picture))
        self.assertTrue(os.path.exists(self.file("a_denoise.tif")))
        self.assert_ok(self.denoise("--format", "exr", picture))
        self.assertTrue(os.path.exists(self.file("a_denoise.exr")))

    def test_contradictions(self):
        picture = self.make("a.tif", 20, 10)
        self.assert_fails(self.denoise("--format", "tiff", "-o", self.file("o.png"), picture), 2, "contradict")
        for name in ("webp", "jxl", "TIFF", ""):
            self.assert_fails(self.denoise("--format", name, picture), 2, "--format takes")
        for name in ("o.webp", "o.jxl", "o.heic", "o.avif"):
            self.assert_fails(self.denoise("-o", self.file(name), picture), 2, name, "not written")


class Pipes(FormatTest):
    def pipe(self, *args, data=b"", **options):
        """Like denoise(), with the bytes on stdin and stdout as bytes."""
        done = subprocess.run(self.command("denoise", "--model", "copy", *args), input=data, capture_output=True,
                              env=self.environment(), cwd=self.work, timeout=120 * harness.SLOWER, **options)
        return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")

    def assert_pipe(self, answer):
        code, out, err = answer
        self.assertEqual(code, 0, err)
        self.assertEqual(os.listdir(self.path("tmp")), [])
        return out

    def test_every_format_comes_in(self):
        built_in = self.built_in()
        pictures = [("TIFF", read_bytes(self.make("a.tif", 24, 16))), ("PNG", png(24, 16)), ("JPEG", read_bytes(self.make("a.jpg", 24, 16)))]
        pictures += [(name, read_bytes(self.sample(files[0]))) for name, files in SAMPLES.items()]
        for name, data in pictures:
            if name in built_in:
                with self.subTest(format=name):
                    out = self.assert_pipe(self.pipe("-o", "-", "--format", "tiff", "-", data=data))
                    self.assertEqual(picture_info(out)["format"], "tiff")

    def test_every_format_goes_out(self):
        data = read_bytes(self.make("a.tif", 40, 30))
        for name, start in (("tiff", b"II"), ("png", b"\x89PNG"), ("jpeg", b"\xff\xd8"), ("pfm", b"PF\n40 30\n"),
                            ("exr", b"\x76\x2f\x31\x01")):
            if name == "exr" and "OpenEXR" not in self.built_in():
                continue
            with self.subTest(format=name):
                out = self.assert_pipe(self.pipe("-o", "-", "--format", name, "-", data=data))
                self.assertTrue(out.startswith(start), out[:20])
                self.assert_ok(self.copy("--format", name, "-o", self.file("same"), self.file("a.tif")))
                self.assertEqual(out, read_bytes(self.file("same")))

    def test_format_without_a_word(self):
        for data, options, kind, bits in ((png(20, 10), [], "png", 8), (png(20, 10, bits=16), [], "png", 16),
                                          (tiff(20, 10, bits=32), [], "tiff", 32),
                                          (png(20, 10), ["--bit-depth", 32], "tiff", 32),
                                          (tiff(20, 10, bits=32), ["--bit-depth", 16], "png", 16)):
            info = picture_info(self.assert_pipe(self.pipe("-o", "-", *options, "-", data=data)))
            self.assertEqual((info["format"], info["bits"]), (kind, bits))

    def test_two_in_a_row(self):
        first = self.start(command=self.command("denoise", "-o", "-", "--format", "pfm", self.make("a.png", 50, 40)))
        second = self.run_command(self.command("denoise", "--force", "-o", self.file("o.png"), "-"), stdin=first.stdout)
        first.stdout.close()
        first.stderr.close()
        self.assertEqual(first.wait(), 0)
        self.assert_ok(second)
        self.assertEqual(second.out, self.file("o.png") + "\n")
        self.assert_picture(self.file("o.png"), (50, 40))

    def test_a_file_as_standard_input(self):
        with open(self.make("a.png", 50, 40), "rb") as f:
            self.assert_ok(self.copy("-o", self.file("o.png"), "-", stdin=f))
        with open(self.file("a.png"), "rb") as f:
            result = self.copy("-o", self.file("a.png"), "-", stdin=f)
        self.assert_fails(result, 4, "never touched")

    def test_into_a_directory(self):
        os.mkdir(self.file("out"))
        self.assert_pipe(self.pipe("-o", self.file("out"), "-", data=png(20, 10)))
        self.assert_picture(self.file("out", "stdin_denoise.tif"), (20, 10))

    def test_nothing_and_rubbish_come_in(self):
        for data in (b"", b"rubbish", png(20, 10)[:200]):
            code, out, err = self.pipe("-o", "-", "-", data=data)
            self.assertEqual((code, out), (3, b""), err)
            self.assertIn("standard input", err)
            self.assertRegex(err, harness.NEXT_STEP)

    def test_no_standard_input(self):
        result = self.run_command(["sh", "-c", 'exec "$@" <&-', "sh"] + self.command("denoise", "-o", self.file("o.tif"), "-"))
        self.assert_fails(result, 3, "standard input")

    def test_a_terminal_on_either_side(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        self.assert_fails(self.denoise("-o", self.file("o.tif"), "-", stdin=theirs), 3, "terminal")
        result = self.denoise("-o", "-", self.make("a.tif", 20, 10), stdout=theirs)
        self.assert_fails(result, 2, "terminal")

    def test_the_reader_goes_away(self):
        self.make("a.tif", 300, 200)
        for name in ("png", "tiff", "pfm", "jpeg"):
            ends = os.pipe()
            os.close(ends[0])
            result = self.denoise("--format", name, "-o", "-", self.file("a.tif"), stdout=ends[1])
            os.close(ends[1])
            self.assert_fails(result, 4, "standard output", "pipe")

    def test_nobody_else_writes_there(self):
        """Diagnostics, progress and the words about the result go to stderr."""
        code, out, err = self.pipe("-d", "all", "--progress", "plain", "-o", "-", "-", data=png(64, 48))
        self.assertEqual(code, 0, err)
        self.assertEqual(picture_info(out)["width"], 64)
        self.assertTrue(out.endswith(harness.chunk(b"IEND", b"")))
        self.assertIn("darktable-ai: ", err)

    def test_words_that_do_not_go_together(self):
        picture = self.make("a.tif", 20, 10)
        self.assert_fails(self.denoise("-"), 2, "-o")
        self.assert_fails(self.denoise("--json", "-o", "-", picture), 2, "--json")
        self.assert_fails(self.denoise("-o", "-", picture, self.make("b.tif", 20, 10)), 2, "several")

    def test_dry_run_prints_a_plan(self):
        picture = self.make("a.tif", 20, 10)
        result = self.assert_ok(self.denoise("--dry-run", "--json", "-o", "-", picture))
        self.assertEqual(json.loads(result.out)["output"], "-")

    def test_no_room_for_what_comes_in(self):
        result = subprocess.run(self.command("denoise", "-o", self.file("o.tif"), "-"), input=png(20, 10), capture_output=True,
                                env=self.environment(TMPDIR=self.file("missing")), cwd=self.work)
        self.assertEqual(result.returncode, 3, result)
        self.assertIn(b"TMPDIR", result.stderr)


class EightBits(FormatTest):
    def gradient(self):
        """From 100 to 101 of 255, in 16 bits, with a white and a black edge."""
        row = [65535] * 8 + [25700 + x * 257 // 240 for x in range(240)] + [0] * 8
        return self.write("g.png", png(256, 200, 1, 16, row * 200))

    def means(self, *options):
        self.assert_ok(self.copy("--bit-depth", 8, "-o", self.file("o.png"), *options, self.gradient()))
        samples = png_samples(read_bytes(self.file("o.png")))
        self.assertEqual({samples[y * 256 + x] for y in range(200) for x in range(8)}, {255})
        self.assertEqual({samples[y * 256 + x] for y in range(200) for x in range(248, 256)}, {0})
        blocks = []
        for x in range(8, 248, 60):
            found = [samples[y * 256 + u] for y in range(200) for u in range(x, x + 60)]
            self.assertLessEqual(set(found), {100, 101})
            blocks.append(sum(found) / len(found))
        return blocks

    def test_dither_keeps_the_mean(self):
        for got, want in zip(self.means(), (100.12, 100.37, 100.62, 100.87)):
            self.assertAlmostEqual(got, want, delta=0.02)
        for got, want in zip(self.means("--no-dither"), (100, 100, 101, 101)):
            self.assertAlmostEqual(got, want, delta=0.03)

    def test_tiles_and_threads_do_not_matter(self):
        picture = self.make("a.tif", 900, 700)
        found = set()
        for options in ([], ["--memory", "140M" if harness.SANITIZED else "100M"], ["--threads", 1]):
            self.assert_ok(self.copy("--bit-depth", 8, "-o", self.file("o.png"), *options, picture))
            found.add(read_bytes(self.file("o.png")))
        self.assertEqual(len(found), 1)

    def test_intent(self):
        picture = self.make("a.png", 20, 10)
        for name in ("relative", "perceptual"):
            self.assert_ok(self.copy("--intent", name, "--icc", "adobergb", "-o", self.file(name + ".png"), picture))
        self.assertEqual(read_bytes(self.file("relative.png")), read_bytes(self.file("perceptual.png")))
        self.assert_fails(self.copy("--intent", "absolute", picture), 2, "--intent takes")


if __name__ == "__main__":
    harness.main()
