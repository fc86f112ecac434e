# SPDX-License-Identifier: GPL-3.0-or-later
"""denoise as a user works with it: files in and out, names, options, metadata, batches."""
import errno
import json
import os
import pty
import re
import select
import struct
import unittest

import harness
from harness import CliTest, open_bug, jpeg_insert, jpeg_segments, pattern, picture_info, png, png_samples, tiff, tiff_tags



class StrengthZero(CliTest):
    """Nothing is asked of the network: the samples leave as they came, whatever the profile."""

    def samples(self, path):
        with open(path, "rb") as f:
            data = f.read()
        tags = harness.tiff_tags(data)
        return b"".join(data[at:at + size] for at, size in zip(tags[273], tags[279]))

    def test_samples_are_the_same(self):
        for bits in (8, 16, 32):
            for channels in (1, 3, 4):
                with self.subTest(bits=bits, channels=channels):
                    name = "%d-%d.tif" % (bits, channels)
                    source = self.write(name, harness.tiff(37, 29, channels, bits))
                    out = self.file("out-" + name)
                    self.assert_ok(self.denoise("--strength", 0, "--bit-depth", bits, "--compression", "none", "-o", out,
                                                source))
                    self.assertEqual(self.samples(out), self.samples(source))

    def test_clipping_holds_at_every_strength(self):
        raw = harness.pack([3.0, 0.5, -0.5] * (40 * 30), 32, False)
        source = self.write("wide.tif", harness.tiff(40, 30, 3, 32, raw=raw))
        for strength in (0, 50, 100):
            out = self.file("clip%d.tif" % strength)
            self.assert_ok(self.denoise("--strength", strength, "--no-preserve-wide-gamut", "--compression", "none", "-o", out,
                                        source))
            values = struct.unpack("<%df" % (40 * 30 * 3), self.samples(out))
            self.assertLessEqual(max(values), 1.0 + 1e-6, strength)
            self.assertGreaterEqual(min(values), -1e-6, strength)


class Formats(CliTest):
    def test_every_format_into_every_other(self):
        for source in ("a.tif", "b.png", "c.jpg"):
            picture = self.make(source, 40, 30)
            for extension, bits in (("tif", 16), ("TIFF", 16), ("png", None), ("jpg", 8), ("jpeg", 8), ("JPE", 8)):
                with self.subTest(source=source, extension=extension):
                    out = self.file("out_%s.%s" % (source, extension))
                    result = self.assert_ok(self.denoise("-o", out, picture))
                    self.assertEqual(result.out, out + "\n")
                    self.assertEqual(len(result.messages), 1, result)
                    info = self.assert_picture(out, (40, 30))
                    self.assertEqual(info["format"], {"t": "tiff", "p": "png", "j": "jpeg"}[extension[0].lower()])
                    # a PNG is as deep as what it was made from
                    self.assertEqual(info["bits"], bits or (16 if source == "a.tif" else 8))
        self.assertEqual(self.parts(), [])

    def test_content_counts_and_not_the_name(self):
        picture = self.write("really_a.png.tif", png(20, 20))
        self.assert_ok(self.denoise("-o", self.file("o.png"), picture))

    def test_samples_survive_a_network_that_copies(self):
        """Decode, encode, tile and untile change nothing: 8 and 16 bits, grey, alpha."""
        self.add_model("test-identity", "copy", task="denoise")
        for channels in (1, 2, 3, 4):
            for bits in (8, 16):
                with self.subTest(channels=channels, bits=bits):
                    samples = pattern(67, 41, channels, (1 << bits) - 1)
                    picture = self.write("s.png", png(67, 41, channels, bits, samples))
                    self.assert_ok(self.denoise("--model", "copy", "--overwrite", "-o", self.file("o.png"), picture))
                    with open(self.file("o.png"), "rb") as f:
                        data = f.read()
                    info = picture_info(data)
                    self.assertEqual((info["channels"], info["bits"]), (channels, bits))
                    got = png_samples(data)
                    if channels in (1, 3):
                        self.assertEqual(got, samples)
                    else:
                        self.assertEqual(got[channels - 1::channels], samples[channels - 1::channels], "alpha")
                        shown = [i for i in range(len(samples)) if samples[i // channels * channels + channels - 1]]
                        self.assertEqual([got[i] for i in shown], [samples[i] for i in shown])

    def test_depth_chosen_by_itself(self):
        float_in = self.write("f.tif", tiff(20, 10, bits=32))
        deep = self.write("d.png", png(20, 10, bits=16))
        for picture, name, bits in ((float_in, "a.tif", 32), (float_in, "a.png", 16), (deep, "b.png", 16),
                                    (deep, "b.tif", 16), (deep, "b.jpg", 8)):
            with self.subTest(picture=picture, name=name):
                self.assert_ok(self.denoise("--overwrite", "-o", self.file(name), picture))
                self.assertEqual(self.assert_picture(self.file(name))["bits"], bits)

    def test_depth_asked_for(self):
        picture = self.make("a.tif", 20, 10)
        for bits, name in ((8, "o.tif"), (16, "o.tif"), (32, "o.tif"), (8, "o.png"), (16, "o.png"), (8, "o.jpg")):
            with self.subTest(bits=bits, name=name):
                self.assert_ok(self.denoise("--bit-depth", bits, "--overwrite", "-o", self.file(name), picture))
                self.assertEqual(self.assert_picture(self.file(name))["bits"], bits)
        for bits, name in ((32, "n.png"), (16, "n.jpg"), (32, "n.jpg")):
            with self.subTest(bits=bits, name=name):
                self.assert_fails(self.denoise("--bit-depth", bits, "-o", self.file(name), picture), 2, name)
                self.assertFalse(os.path.exists(self.file(name)))

    def test_compression(self):
        picture = self.make("a.tif", 200, 100)
        sizes = {}
        for name, tag in (("none", 1), ("deflate", 8), ("deflate-predictor", 8)):
            self.assert_ok(self.denoise("--compression", name, "--overwrite", "-o", self.file("o.tif"), picture))
            info = self.assert_picture(self.file("o.tif"))
            self.assertEqual(info["compression"], tag)
            self.assertEqual(info["tags"].get(317, [1])[0], 2 if "predictor" in name else 1)
            sizes[name] = os.path.getsize(self.file("o.tif"))
        self.assertLess(sizes["deflate-predictor"], sizes["none"])

    def test_quality(self):
        picture = self.make("a.tif", 200, 100)
        sizes = []
        for quality in (1, 50, 95, 100):
            out = self.file("q%d.jpg" % quality)
            self.assert_ok(self.denoise("--quality", quality, "-o", out, picture))
            sizes.append(os.path.getsize(out))
        self.assertEqual(sizes, sorted(sizes))
        self.assert_ok(self.denoise("-o", self.file("d.jpg"), picture))
        self.assertEqual(os.path.getsize(self.file("d.jpg")), sizes[2])

    def test_profiles(self):
        picture = self.make("a.tif", 20, 10)
        names = [base + suffix for base in ("srgb", "adobergb", "prophoto", "rec2020", "display-p3")
                 for suffix in ("", "-linear")]
        seen = {}
        for name in names:
            out = self.file(name + ".tif")
            self.assert_ok(self.denoise("--icc", name, "-o", out, picture))
            icc = self.assert_picture(out)["tags"][34675]
            self.assertEqual(icc[36:40], b"acsp")
            self.assertEqual(struct.unpack(">I", icc[:4])[0], len(icc))
            self.assertNotIn(icc, seen.values(), name)
            seen[name] = icc
        file = self.write("my.icc", seen["prophoto"])
        self.assert_ok(self.denoise("--icc", file, "-o", self.file("f.tif"), picture))
        self.assertEqual(self.assert_picture(self.file("f.tif"))["tags"][34675], seen["prophoto"])
        # the input's profile travels
        self.assert_ok(self.denoise("--force", "-o", self.file("g.png"), self.file("prophoto.tif")))
        self.assertIn(b"iCCP", dict(self.assert_picture(self.file("g.png"))["chunks"]))
        # another reading of the same numbers gives another picture
        for name in ("prophoto", file):
            out = self.file("as.tif")
            self.assert_ok(self.denoise("--overwrite", "--assume-profile", name, "-o", out, picture))
            self.assertEqual(self.assert_picture(out)["tags"][34675], seen["prophoto"])

    def test_unknown_profiles(self):
        picture = self.make("a.tif", 20, 10)
        junk = self.write("junk.icc", b"no profile at all")
        for option in ("--icc", "--assume-profile"):
            for name in ("nosuch", junk, self.work, ""):
                with self.subTest(option=option, name=name):
                    result = self.denoise(option, name, "-o", self.file("o.tif"), picture)
                    self.assertIn(result.code, (2, 3), result)
                    self.assert_fails(result, result.code, name, "colour profile")
                    self.assertFalse(os.path.exists(self.file("o.tif")))

    def test_sizes(self):
        self.add_model("test-identity", "copy", task="denoise")
        for width, height in ((1, 1), (1, 9), (9, 1), (7, 5000), (65535, 2), (2, 65535)):
            with self.subTest(width=width, height=height):
                picture = self.make("a.tif", width, height)
                for model in ("denoise-conv3", "copy"):
                    out = self.file("o.tif")
                    self.assert_ok(self.denoise("--model", model, "--overwrite", "-o", out, picture))
                    self.assert_picture(out, (width, height))
        result = self.denoise("-o", self.file("o.jpg"), self.make("w.tif", 65535, 2))
        self.assert_fails(result, 2, "o.jpg", "65500")

    def test_grey_and_alpha(self):
        for channels in (1, 2, 3, 4):
            for name, data in (("g.png", png(30, 20, channels)), ("g.tif", tiff(30, 20, channels, 16))):
                picture = self.write(name, data)
                for out in ("o.png", "o.tif"):
                    with self.subTest(channels=channels, name=name, out=out):
                        self.assert_ok(self.denoise("--overwrite", "-o", self.file(out), picture))
                        self.assertEqual(self.assert_picture(self.file(out))["channels"], channels)
        self.assert_ok(self.denoise("-o", self.file("grey.jpg"), self.write("g.png", png(30, 20, 1))))
        self.assertEqual(self.assert_picture(self.file("grey.jpg"))["channels"], 1)
        result = self.denoise("-o", self.file("alpha.jpg"), self.write("a.png", png(30, 20, 4)))
        self.assert_fails(result, 2, "alpha.jpg", "transparency")


def exif(orientation=6):
    """An EXIF block by hand: Make, Orientation, and ISO in the sub-directory."""
    make = b"Handmade\0\0"
    ifd0, sub = 8, 8 + 2 + 3 * 12 + 4
    data = sub + 2 + 12 + 4
    return (b"II*\0" + struct.pack("<I", ifd0) + struct.pack("<H", 3)
            + struct.pack("<HHII", 271, 2, 9, data) + struct.pack("<HHIHH", 274, 3, 1, orientation, 0)
            + struct.pack("<HHII", 34665, 4, 1, sub) + struct.pack("<I", 0)
            + struct.pack("<H", 1) + struct.pack("<HHIHH", 34855, 3, 1, 3200, 0) + struct.pack("<I", 0) + make)


class Metadata(CliTest):
    XMP = b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF ' \
          b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" ' \
          b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="mine"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'

    def setUp(self):
        super().setUp()
        with open(self.make("plain.jpg", 40, 30), "rb") as f:
            data = f.read()
        data = jpeg_insert(data, 0xe1, b"http://ns.adobe.com/xap/1.0/\0" + self.XMP)
        self.jpeg = self.write("m.jpg", jpeg_insert(data, 0xe1, b"Exif\0\0" + exif()))

    def read(self, name):
        with open(self.file(name), "rb") as f:
            return f.read()

    def test_into_jpeg(self):
        self.assert_ok(self.denoise("-o", self.file("o.jpg"), self.jpeg))
        payloads = [p for m, p in jpeg_segments(self.read("o.jpg")) if m == 0xe1]
        block = next(p for p in payloads if p.startswith(b"Exif\0\0"))[6:]
        tags = tiff_tags(block)
        self.assertEqual(tags[274], [6])
        self.assertEqual(tags[271], b"Handmade\0")
        self.assertEqual(tags["exif"][34855], [3200])
        self.assertTrue(any(b'dc:format="mine"' in p for p in payloads))
        self.assert_picture(self.file("o.jpg"), (40, 30))  # not rotated

    def test_into_tiff(self):
        self.assert_ok(self.denoise("-o", self.file("o.tif"), self.jpeg))
        tags = tiff_tags(self.read("o.tif"))
        self.assertEqual(tags[274], [6])
        self.assertEqual(tags[271], b"Handmade\0")
        self.assertEqual(tags["exif"][34855], [3200])
        self.assertIn(b'dc:format="mine"', tags[700])
        # and back again
        self.assert_ok(self.denoise("--force", "-o", self.file("b.jpg"), self.file("o.tif")))
        block = next(p for m, p in jpeg_segments(self.read("b.jpg")) if m == 0xe1 and p.startswith(b"Exif"))[6:]
        self.assertEqual(tiff_tags(block)["exif"][34855], [3200])

    def test_into_png(self):
        self.assert_ok(self.denoise("-o", self.file("o.png"), self.jpeg))
        chunks = dict(picture_info(self.read("o.png"))["chunks"])
        tags = tiff_tags(chunks[b"eXIf"])
        self.assertEqual((tags[274], tags["exif"][34855]), ([6], [3200]))
        self.assertIn(b'dc:format="mine"', chunks[b"iTXt"])

    def test_every_orientation(self):
        for orientation in range(1, 9):
            with open(self.file("plain.jpg"), "rb") as f:
                picture = self.write("r.jpg", jpeg_insert(f.read(), 0xe1, b"Exif\0\0" + exif(orientation)))
            self.assert_ok(self.denoise("--overwrite", "-o", self.file("o.tif"), picture))
            self.assertEqual(tiff_tags(self.read("o.tif")).get(274, [1]), [orientation])

    def test_broken_metadata_do_not_stop_the_work(self):
        with open(self.file("plain.jpg"), "rb") as f:
            plain = f.read()
        good = exif()
        for block in (b"", b"II*\0", b"XX" + good[2:], good[:30], b"II*\0\xff\xff\xff\x7f", good[:8] + b"\xff\xff" + good[10:]):
            with self.subTest(block=block):
                picture = self.write("x.jpg", jpeg_insert(plain, 0xe1, b"Exif\0\0" + block))
                self.assert_ok(self.denoise("--overwrite", "-o", self.file("o.tif"), picture))
                self.assert_picture(self.file("o.tif"), (40, 30))


class Names(CliTest):
    def test_beside_the_input(self):
        os.mkdir(self.file("sub"))
        picture = self.make("sub/photo.one.tif")
        result = self.assert_ok(self.denoise("sub/photo.one.tif"))
        self.assertEqual(os.path.normpath(result.out.strip()), "sub/photo.one_denoise.tif")
        self.assert_picture(self.file("sub", "photo.one_denoise.tif"), (48, 40))
        self.assertEqual(sorted(os.listdir(self.file("sub"))), ["photo.one.tif", "photo.one_denoise.tif"])
        self.assertTrue(os.path.exists(picture))

    def test_default_name_is_a_tiff(self):
        self.make("a.jpg")
        self.assert_ok(self.denoise("a.jpg"))
        self.assertEqual(self.assert_picture(self.file("a_denoise.tif"))["format"], "tiff")

    def test_output_path_is_printed_as_a_person_would_write_it(self):
        self.make("a.tif")
        self.assertIn(self.assert_ok(self.denoise("a.tif")).out, ("a_denoise.tif\n", "./a_denoise.tif\n"))

    def test_result_of_a_result(self):
        self.make("a_denoise.png")
        self.assert_ok(self.denoise("a_denoise.png"))
        self.assertTrue(os.path.exists(self.file("a_denoise.tif")))
        self.assert_fails(self.denoise("--overwrite", "a_denoise.tif"), 2, "already")
        # its own name: refused, for nothing may replace the input
        self.assert_fails(self.denoise("--overwrite", "--force", "a_denoise.tif"), 4, "input")

    def test_into_a_directory(self):
        self.make("a.tif")
        os.mkdir(self.file("out"))
        for out in ("out", "out/"):
            self.assert_ok(self.denoise("--overwrite", "-o", out, "a.tif"))
        self.assertEqual(os.listdir(self.file("out")), ["a_denoise.tif"])
        self.assert_fails(self.denoise("-o", "missing/", "a.tif"), 4, "missing", "create")

    def test_several(self):
        files = [self.make("%s.tif" % n) for n in "abc"]
        os.mkdir(self.file("out"))
        result = self.assert_ok(self.denoise("-o", "out", *files))
        self.assertEqual(sorted(os.listdir(self.file("out"))), ["%s_denoise.tif" % n for n in "abc"])
        self.assertEqual(len(result.out.splitlines()), 3)
        for out in ("one.tif", files[0], "missing"):
            self.assert_fails(self.denoise("-o", out, *files), 2, out, "directory")

    def test_two_inputs_of_one_name(self):
        os.mkdir(self.file("one"))
        os.mkdir(self.file("two"))
        os.mkdir(self.file("out"))
        files = [self.make("one/a.tif", 30, 20), self.make("two/a.tif", 20, 30)]
        for extra in ([], ["--overwrite"]):
            result = self.denoise("-o", "out", *extra, *files)
            self.assertEqual(result.code, 9, result)
            self.assert_picture(self.file("out", "a_denoise.tif"), (30, 20))
            os.remove(self.file("out", "a_denoise.tif"))

    def test_odd_names(self):
        for name in ("with space", "Grüße ß 写真", "-dash", "--help", "new\nline", "quote'\"", "*.tif?", "per%cent%s",
                     "a;b|c&d", "$HOME", ".hidden", "trailing.", "x" * 240, "back\\slash", "tab\t"):
            with self.subTest(name=name):
                self.make("it.tif", 16, 16)
                os.rename(self.file("it.tif"), self.file(name + ".tif"))
                # 240 characters and the suffix still fit a name of 255 bytes
                self.assert_ok(self.denoise("--", name + ".tif"))
                self.assert_picture(self.file(name + "_denoise.tif"), (16, 16))
        row = json.loads(self.denoise("--overwrite", "--json", "--", "new\nline.tif", "quote'\".tif").out.splitlines()[0])
        self.assertEqual(row["input"], "new\nline.tif")

    def test_names_that_are_not_utf8(self):
        self.make("it.tif", 16, 16)
        raw = os.path.join(os.fsencode(self.work), b"latin\xe4\xff.tif")
        os.rename(self.file("it.tif"), raw)
        self.assert_ok(self.denoise(raw))
        self.assertTrue(os.path.exists(raw.replace(b".tif", b"_denoise.tif")))
        result = self.denoise("--json", "--overwrite", raw)
        self.assert_ok(result)
        json.loads(result.out)
        self.assert_fails(self.denoise(b"gone\xff.tif"), 3, "gone")

    def test_name_that_becomes_too_long(self):
        name = "y" * 250 + ".tif"
        os.rename(self.make("it.tif", 16, 16), self.file(name))
        self.assert_fails(self.denoise(name), 4, "yyy", "too long")

    def test_symlinked_input(self):
        os.mkdir(self.file("real"))
        os.symlink(self.make("real/a.tif"), self.file("link.tif"))
        self.assert_ok(self.denoise("link.tif"))
        self.assertTrue(os.path.exists(self.file("link_denoise.tif")))
        self.assertEqual(os.listdir(self.file("real")), ["a.tif"])

    def test_read_only_input(self):
        picture = self.make("a.tif")
        os.chmod(picture, 0o400)
        before = self.snapshot()
        self.assert_ok(self.denoise("-o", self.path("o.tif"), picture))
        self.assertEqual(self.snapshot(), before)

    def test_one_file_named_twice(self):
        self.make("a.tif")
        result = self.assert_ok(self.denoise("a.tif", "./a.tif"))
        self.assertIn("./a.tif: the same file as a.tif, taken once", result.err)
        self.assert_picture(self.file("a_denoise.tif"))


class InputIsSacred(CliTest):
    def test_output_that_is_the_input(self):
        picture = self.make("a.tif")
        os.symlink("a.tif", self.file("soft.tif"))
        os.link(picture, self.file("hard.tif"))
        os.mkdir(self.file("sub"))
        os.symlink("..", self.file("sub", "up"))
        before = self.snapshot()
        for out in ("a.tif", "./a.tif", picture, "soft.tif", "hard.tif", "sub/up/a.tif", "sub/../a.tif"):
            for extra in ([], ["--overwrite"]):
                with self.subTest(out=out, extra=extra):
                    self.assert_fails(self.denoise(*extra, "-o", out, "a.tif"), 4)
                    self.assertEqual(self.snapshot(), before)
        for source in ("soft.tif", "hard.tif"):
            self.assert_fails(self.denoise("--overwrite", "-o", "a.tif", source), 4, "never touched")
        self.assertEqual(self.snapshot(), before)

    def test_dry_run_says_so_too(self):
        self.make("a.tif")
        before = self.snapshot()
        self.assert_fails(self.denoise("--dry-run", "--overwrite", "-o", "a.tif", "a.tif"), 4, "never touched")
        self.assertEqual(self.snapshot(), before)

    def test_output_of_one_is_input_of_the_next(self):
        """A batch must not replace a picture that is still to be read."""
        self.make("a.tif", 30, 20)
        self.make("a_denoise.png", 20, 30)
        original = self.make("a_denoise.tif", 25, 25)
        with open(original, "rb") as f:
            bytes_before = f.read()
        result = self.denoise("--overwrite", "a.tif", "a_denoise.tif")
        with open(original, "rb") as f:
            self.assertEqual(f.read(), bytes_before, result)
        self.assertNotEqual(result.code, 0)


class Existing(CliTest):
    def setUp(self):
        super().setUp()
        self.picture = self.make("a.tif")
        self.out = self.write("o.tif", b"something of mine")

    def test_refused(self):
        before = self.snapshot()
        self.assert_fails(self.denoise("-o", self.out, self.picture), 4, "o.tif", "overwrit")
        self.assertEqual(self.snapshot(), before)

    def test_overwrite(self):
        os.chmod(self.out, 0o640)
        self.assert_ok(self.denoise("--overwrite", "-o", self.out, self.picture))
        self.assert_picture(self.out, (48, 40))
        self.assertEqual(os.stat(self.out).st_mode & 0o777, 0o640)

    def test_overwrite_through_a_link_keeps_the_link(self):
        os.symlink("o.tif", self.file("l.tif"))
        self.assert_ok(self.denoise("--overwrite", "-o", self.file("l.tif"), self.picture))
        self.assertTrue(os.path.islink(self.file("l.tif")))
        self.assert_picture(self.out, (48, 40))

    def test_skip_existing(self):
        self.assert_ok(self.denoise("--overwrite", "-o", self.out, self.picture))
        before = self.snapshot()
        result = self.assert_ok(self.denoise("--skip-existing", "-o", self.out, self.picture))
        self.assertEqual(self.snapshot(), before)
        self.assertIn("skipped", result.err)
        self.assertEqual(result.out, "")
        self.assert_ok(self.denoise("--skip-existing", "-o", self.file("n.tif"), self.picture))
        self.assert_picture(self.file("n.tif"))

    def test_skip_existing_in_a_batch(self):
        self.make("b.tif")
        self.assert_ok(self.denoise("a.tif"))
        before = harness.read_bytes(self.file("a_denoise.tif"))
        result = self.assert_ok(self.denoise("--skip-existing", "a.tif", "b.tif"))
        self.assertEqual(os.path.basename(result.out.strip()), "b_denoise.tif")
        self.assertEqual(harness.read_bytes(self.file("a_denoise.tif")), before)

    def test_both_wishes_at_once(self):
        before = self.snapshot()
        result = self.denoise("--skip-existing", "--overwrite", "-o", self.out, self.picture)
        self.assert_fails(result, 2, "--skip-existing", "--overwrite")
        self.assertEqual(self.snapshot(), before)

    def test_dry_run_writes_nothing(self):
        before = self.snapshot()
        result = self.assert_ok(self.denoise("--dry-run", self.picture))
        self.assertEqual(self.snapshot(), before)
        for words in ("48×40", "denoise-conv3", "CPU", "tiles", "overlap", "memory"):
            self.assertIn(words, result.out)

    def test_permissions_of_a_new_file(self):
        self.assert_ok(self.denoise("-o", self.file("n.tif"), self.picture, preexec_fn=lambda: os.umask(0o027)))
        self.assertEqual(os.stat(self.file("n.tif")).st_mode & 0o777, 0o640)


class Reports(CliTest):
    models = ("denoise-conv3", "denoise-sigma", "denoise-static")

    def test_json(self):
        a, b = self.make("a.tif"), self.make("b.tif")
        bad = self.write("bad.tif", b"II*\0")
        result = self.denoise("--json", a, bad, b)
        self.assertEqual(result.code, 9, result)
        rows = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual([r["event"] for r in rows], ["done", "error", "done", "summary"])
        for row in rows:
            self.assertEqual(row["schema_version"], 1)
        self.assertEqual([r["input"] for r in rows[:3]], [a, bad, b])
        self.assertEqual(rows[0]["model"], "denoise-conv3")
        self.assertEqual(rows[0]["provider"], "CPU")
        self.assertGreater(rows[0]["peak_memory"], 1 << 20)
        self.assertEqual(rows[1]["exit_code"], 3)
        self.assertIn("bad.tif", rows[1]["message"])
        row = json.loads(self.denoise("--json", "--skip-existing", a).out)
        self.assertEqual(row["event"], "skipped")

    def test_json_plan(self):
        picture = self.make("a.tif", 300, 200)
        row = json.loads(self.assert_ok(self.denoise("--json", "--dry-run", "-o", self.file("o.png"), picture)).out)
        self.assertEqual((row["schema_version"], row["event"]), (1, "plan"))
        self.assertEqual((row["width"], row["height"]), (300, 200))
        self.assertEqual(row["output"], self.file("o.png"))
        self.assertLessEqual(row["memory"], row["budget"])
        self.assertTrue(row["exact"])
        self.assertEqual(row["reason"], "")

    def test_json_numbers_in_another_locale(self):
        picture = self.make("a.tif")
        for locale in ("de_DE.UTF-8", "C", "POSIX"):
            result = self.denoise("--json", "--progress=json", "--overwrite", picture,
                                  env=self.environment(LC_ALL=locale, LANG=locale))
            for line in result.out.splitlines() + result.err.splitlines():
                json.loads(line)

    def test_what_is_blended_says_why(self):
        result = self.assert_ok(self.denoise("--model", "denoise-static", self.make("a.tif", 100, 80)))
        self.assertIn("blended", result.err)

    def test_sigma(self):
        picture = self.make("a.tif")
        result = self.assert_ok(self.denoise("--sigma", 30, "-o", self.file("a.png"), picture))
        self.assertIn("--sigma is not used", result.err)
        pictures = set()
        for sigma in (None, 25, 1, 255):
            args = ["--sigma", sigma] if sigma else []
            result = self.assert_ok(self.denoise("--model", "denoise-sigma", *args, "--overwrite", "-o",
                                                 self.file("s.png"), picture))
            self.assertNotIn("not used", result.err)
            with open(self.file("s.png"), "rb") as f:
                pictures.add(f.read())
        self.assertEqual(len(pictures), 3, "25 is the default, and the others differ")

    def test_exact_whatever_the_tiles(self):
        """Threads and memory change the plan and no pixel."""
        picture = self.make("a.tif", 700, 500)
        outputs = set()
        small = "600M" if harness.SANITIZED else "150M"  # sanitizers hold memory of their own
        for i, args in enumerate(([], ["--threads", "1"], ["--memory", small])):
            self.assert_ok(self.denoise("--bit-depth=32", *args, "-o", self.file("%d.tif" % i), picture))
            with open(self.file("%d.tif" % i), "rb") as f:
                outputs.add(f.read())
        self.assertEqual(len(outputs), 1)

    def test_diagnostics_go_to_stderr(self):
        result = self.assert_ok(self.run_cli("-d", "all", "denoise", self.make("a.tif")))
        self.assertEqual(len(result.out.splitlines()), 1)
        self.assertIn("[darktable_ai]", result.err)


class Refusals(CliTest):
    models = ("denoise-conv3", "upscale-x2")

    def setUp(self):
        super().setUp()
        self.picture = self.make("a.tif")
        self.before = self.snapshot()

    def refuse(self, code, fragments, *args):
        result = self.denoise(*args, self.picture)
        after = self.snapshot()
        for name in set(after) - set(self.before):
            os.remove(self.file(name))
        self.assert_fails(result, code, *fragments)
        self.assertEqual(after, self.before)
        return result

    def test_models(self):
        self.refuse(5, ['"nobody"', "models list"], "--model", "nobody")
        self.refuse(5, ["upscale-x2", "upscale", "denoise"], "--model", "upscale-x2")
        self.assert_fails(self.run_cli("--conf", "plugins/ai/models/active/denoise=gone", "denoise", self.picture), 5, "gone")
        self.assert_fails(self.run_cli("--conf", "plugins/ai/models/active/denoise=", "denoise", self.picture), 5)

    def test_providers(self):
        self.refuse(2, ['"GPU9000"', "darktable-ai providers"], "--provider", "GPU9000")
        for args in (["--provider", "CUDA"], ["--provider", "cuda"]):
            result = self.refuse(6, ["CUDA"], *args)
            self.assertRegex(result.err, "CPU")
        # the setting is a wish: the CPU does it, and that is said
        result = self.assert_ok(self.denoise("--conf", "plugins/ai/provider=CUDA", "--dry-run", self.picture))
        self.assertRegex(result.err, "Running on CPU instead. NVIDIA CUDA: .*built without it")
        for name in ("CPU", "cpu", "auto", "AUTO"):
            self.assert_ok(self.denoise("--provider", name, "--dry-run", self.picture))
        # what is asked for on the command line wins over the setting
        self.assert_ok(self.denoise("--conf", "plugins/ai/provider=CUDA", "--provider", "auto", "--dry-run", self.picture))

    @open_bug("plugins/ai/provider=NONSENSE is taken for auto without a word (src/ai/backend_common.c)")
    def test_unknown_provider_in_the_settings(self):
        """A misspelt setting is not passed over in silence."""
        result = self.run_cli("--conf", "plugins/ai/provider=GPU9000", "denoise", "--dry-run", self.picture)
        self.assertIn("GPU9000", result.err, result)

    def test_memory(self):
        self.refuse(7, ["a.tif: ", "memory"], "--memory", "1M")
        self.refuse(7, ["memory"], "--conf", "plugins/ai/memory=1M")
        for size in ("much", "-1G", "0", "", "1X", "1GG", "1 2", "nan", "inf", "1e30"):
            with self.subTest(size=size):
                self.refuse(2, ["--memory"], "--memory=" + size)
        for size in ("2G", "2g", "2GiB", "2048M", "2147483648", "1.5G", "2 G"):
            with self.subTest(size=size):
                result = self.denoise("--memory", size, "--dry-run", self.picture)
                self.assertIn(result.code, (0, 2) if " " in size else (0,), result)

    @open_bug("plugins/ai/memory=NONSENSE is taken for unset without a word (src/ai/restore_model.c)")
    def test_unreadable_memory_setting(self):
        result = self.run_cli("--conf", "plugins/ai/memory=lots", "denoise", "--dry-run", self.picture)
        self.assertIn("plugins/ai/memory", result.err, result)

    def test_numbers_out_of_range(self):
        for option, values in (("--bit-depth", (0, 7, 12, 64, -8)), ("--quality", (0, -1, 101)),
                               ("--sigma", (0, 0.5, -3, 256, "nan", "inf")), ("--threads", (0, -1)),
                               ("--compression", ("lzw", "")), ("--progress", ("fancy", ""))):
            for value in values:
                with self.subTest(option=option, value=value):
                    self.refuse(2, [option + " takes"], "%s=%s" % (option, value))

    def test_words_for_numbers(self):
        for option in ("--bit-depth", "--quality", "--sigma", "--threads"):
            self.refuse(2, [option], option + "=word")
            self.refuse(2, [option], option + "=99999999999999999999")

    def test_empty_names(self):
        self.assert_fails(self.denoise(""), 3)
        self.refuse(2, [], "-o", "")

    def test_nothing_to_do(self):
        self.assert_fails(self.denoise(), 2, "darktable-ai denoise photo.jpg")


class Batches(CliTest):
    def test_one_bad_file(self):
        a, c = self.make("a.tif"), self.make("c.png")
        bad = self.write("b.tif", b"this is no picture")
        result = self.denoise(a, bad, self.file("missing.jpg"), c)
        self.assertEqual(result.code, 9, result)
        self.assertEqual(sorted(f for f in os.listdir(self.work) if "_denoise" in f),
                         ["a_denoise.tif", "c_denoise.tif"])
        self.assertEqual(len(result.out.splitlines()), 2)
        self.assertEqual(sum("b.tif" in m for m in result.messages), 1, result)
        self.assertIn("2 of 4 files failed", result.messages[-1])

    def test_all_bad(self):
        result = self.denoise("x.tif", "y.tif")
        self.assertEqual(result.code, 9, result)
        self.assertNotIn("the others are done", result.err)

    def test_many(self):
        files = [self.make("%02d.png" % i, 16 + i, 20) for i in range(20)]
        os.mkdir(self.file("out"))
        self.assert_ok(self.denoise("-o", "out", *files))
        for i in range(20):
            self.assert_picture(self.file("out", "%02d_denoise.tif" % i), (16 + i, 20))


class Progress(CliTest):
    def setUp(self):
        super().setUp()
        self.picture = self.make("a.tif", 900, 700)
        self.args = ["--memory", "400M" if harness.SANITIZED else "120M", "--overwrite", self.picture]

    def on_terminal(self, *args):
        """Runs with stderr on a terminal of its own; returns what was shown there."""
        leader, follower = pty.openpty()
        process = self.start("denoise", *args, stderr=follower)
        os.close(follower)
        shown = b""
        while select.select([leader], [], [], 60)[0]:
            try:
                data = os.read(leader, 65536)
            except OSError as e:
                if e.errno != errno.EIO:
                    raise
                break
            if not data:
                break
            shown += data
        os.close(leader)
        out = process.communicate(timeout=60)[0]
        self.assertEqual((process.returncode, out), (0, (self.file("a_denoise.tif") + "\n").encode()), shown)
        return shown.decode()

    def test_off_a_terminal(self):
        for args in ([], ["--progress=none"], ["--progress=auto"]):
            result = self.assert_ok(self.denoise(*args, *self.args))
            self.assertEqual(len(result.err.splitlines()), 1, result)

    def test_plain(self):
        lines = self.assert_ok(self.denoise("--progress=plain", *self.args)).err.splitlines()
        self.assertRegex(lines[0], r"\Aa\.tif: \d+ %, [\d.]+ MP/s, \d+ s left\Z")
        self.assertTrue(any(line.startswith("a.tif: 100 %") for line in lines), lines)

    def test_json(self):
        lines = self.assert_ok(self.denoise("--progress=json", "--json", *self.args)).err.splitlines()
        rows = [json.loads(line) for line in lines]
        fractions = [row["fraction"] for row in rows]
        self.assertEqual(fractions, sorted(fractions))
        self.assertEqual(fractions[-1], 1)
        self.assertTrue(all(row["schema_version"] == 1 and row["event"] == "progress" for row in rows))

    def test_bar_on_a_terminal(self):
        for args in ([], ["--progress=bar"], ["--progress=auto"]):
            shown = self.on_terminal(*args, *self.args)
            self.assertRegex(shown, r"\ra\.tif \[[#.]{30}\] +\d+ %")
            self.assertRegex(shown, r"\r\x1b\[Kdarktable-ai: ")  # erased before the words

    def test_none_on_a_terminal(self):
        self.assertNotIn("\x1b", self.on_terminal("--progress=none", *self.args))
        self.assertNotIn("\x1b", self.on_terminal("--progress=plain", *self.args))

    def test_a_name_cannot_drive_the_terminal(self):
        """Control characters in a file's name do not reach a terminal."""
        name = self.file("x\x1b]0;owned\x07.tif")
        os.rename(self.picture, name)
        leader, follower = pty.openpty()
        process = self.start("denoise", "-o", self.file("o.tif"), name, stderr=follower)
        os.close(follower)
        shown = b""
        try:
            while True:
                shown += os.read(leader, 65536)
        except OSError:
            pass
        os.close(leader)
        out = process.communicate(timeout=60)[0]
        self.assertIn(b"x?]0;owned?.tif", shown)
        self.assertNotIn(b"\x1b]0;", shown)
        # stdout is for programs: the name as it is
        self.assertEqual(out.decode(), self.file("o.tif") + "\n")


if __name__ == "__main__":
    harness.main()
