# SPDX-License-Identifier: GPL-3.0-or-later
"""thumbnail from outside: made once, made anew when something has changed, in the cache alone."""
import json
import os
import struct
import zlib

import harness
from harness import CliTest

SIDECAR = """<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description rdf:about='' xmlns:dtai='urn:x-darktable-ai:history:1.0#' dtai:schema='1'><dtai:history><rdf:Seq><rdf:li>
<rdf:Description dtai:module='exposure' dtai:version='1' dtai:enabled='true'><dtai:params dtai:exposure='%s'/>
</rdf:Description></rdf:li></rdf:Seq></dtai:history></rdf:Description></rdf:RDF></x:xmpmeta>"""


class Thumbnail(CliTest):
    models = ()
    enabled = False

    def setUp(self):
        super().setUp()
        self.cache = self.path("cache")
        self.picture = self.make_picture("in.pfm")

    def make_picture(self, name, width=64, height=48, grey=0.25):
        return self.write(name, b"PF\n%d %d\n-1.0\n" % (width, height)
                          + struct.pack("<f", grey) * (width * height * 3))

    def thumbnail(self, *args):
        return self.run_cli("--conf", "opencl=FALSE", "thumbnail", *args)

    def events(self, *args):
        result = self.assert_ok(self.thumbnail("--json", *args))
        return [json.loads(line) for line in result.out.splitlines()]

    def event(self, *args):
        events = self.events(*args)
        self.assertEqual(len(events), 1)
        self.assertEqual(events[0]["event"], "thumbnail")
        return events[0]

    def files(self):
        return sorted(os.listdir(os.path.join(self.cache, "thumbnails_v1")))

    def read(self, path):
        with open(path, "rb") as f:
            return f.read()

    def test_made(self):
        result = self.assert_ok(self.thumbnail(self.picture, "--size", "32"))
        path = result.out.rstrip("\n").split(" -> ")[1]
        self.assertEqual(os.path.dirname(path), os.path.join(self.cache, "thumbnails_v1"))
        self.assertRegex(os.path.basename(path), r"^[0-9a-f]{64}\.jpg$")
        self.assert_picture(path, (32, 24))
        self.assertEqual(self.files(), [os.path.basename(path)])

    def test_pixels_are_srgb(self):
        """Linear 0.25 is 137 of 255 in sRGB; a second encoding would make 190 of it."""
        event = self.event(self.picture)
        self.assertEqual((event["width"], event["height"]), (64, 48), "small pictures are not enlarged")
        out = self.path("back.pfm")
        self.assert_ok(self.run_cli("--conf", "opencl=FALSE", "export", event["output"], "-o", out))
        values = struct.unpack("<%df" % (64 * 48 * 3), self.read(out)[-64 * 48 * 12:])
        for value in (min(values), max(values)):
            self.assertAlmostEqual(value, 0.25, delta=0.01)

    def test_transparent_is_white(self):
        def chunk(name, data):
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        png = self.write("clear.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 6, 0, 0, 0))
                         + chunk(b"IDAT", zlib.compress(b"\0" * (33 * 8))) + chunk(b"IEND", b""))
        out = self.path("white.pfm")
        self.assert_ok(self.run_cli("--conf", "opencl=FALSE", "export", self.event(png)["output"], "-o", out))
        self.assertGreater(min(struct.unpack("<192f", self.read(out)[-768:])), 0.98)

    def test_reused_without_opening(self):
        first = self.event(self.picture)
        self.assertFalse(first["reused"])
        status, size = os.stat(self.picture), os.path.getsize(self.picture)
        with open(self.picture, "wb") as f:
            f.write(b"x" * size)
        os.utime(self.picture, ns=(status.st_atime_ns, status.st_mtime_ns))
        second = self.event(self.picture)
        self.assertTrue(second["reused"])
        self.assertEqual([second[k] for k in ("output", "width", "height")],
                         [first[k] for k in ("output", "width", "height")])
        self.assert_fails(self.thumbnail(self.picture, "--overwrite"), 3, "in.pfm")

    def test_overwrite(self):
        first = self.event(self.picture)
        os.utime(first["output"], (1, 1))
        second = self.event(self.picture, "--overwrite")
        self.assertEqual((second["output"], second["reused"]), (first["output"], False))
        self.assertGreater(os.path.getmtime(first["output"]), 1)

    def test_a_link_is_the_same_photograph(self):
        os.symlink(self.picture, self.path("link.pfm"))
        self.assertEqual(self.event(self.picture)["output"], self.event(self.path("link.pfm"))["output"])

    def test_a_changed_photograph(self):
        """One nanosecond is enough."""
        first, status = self.event(self.picture), os.stat(self.picture)
        os.utime(self.picture, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        second = self.event(self.picture)
        self.assertFalse(second["reused"])
        self.assertNotEqual(second["output"], first["output"])

    def write_sidecar(self, exposure):
        with open(self.picture + ".dtai.xmp", "w") as f:
            f.write(SIDECAR % exposure)

    def test_a_changed_sidecar(self):
        outputs = [self.event(self.picture)["output"]]
        for exposure in (1, -1):
            self.write_sidecar(exposure)
            event = self.event(self.picture)
            self.assertFalse(event["reused"])
            outputs.append(event["output"])
        self.assertEqual(len(set(outputs)), 3)
        self.assertEqual(len({self.read(path) for path in outputs}), 3, "the history counts")
        os.remove(self.picture + ".dtai.xmp")
        event = self.event(self.picture)
        self.assertEqual((event["output"], event["reused"]), (outputs[0], True))

    def test_a_damaged_sidecar(self):
        with open(self.picture + ".dtai.xmp", "w") as f:
            f.write("this is no XMP")
        failed = self.assert_fails(self.thumbnail(self.picture), 3, ".dtai.xmp")
        self.assertEqual(failed.err.count("Correct or remove it"), 1, failed.err)

    def test_damaged_ones_are_replaced(self):
        first = self.event(self.picture)
        whole = self.read(first["output"])
        for damaged in (b"", b"no picture", whole[:len(whole) // 2], whole[:-2]):
            with self.subTest(bytes=len(damaged)):
                with open(first["output"], "wb") as f:
                    f.write(damaged)
                event = self.event(self.picture)
                self.assertEqual((event["output"], event["reused"]), (first["output"], False))
                self.assertEqual(self.read(first["output"]), whole)

    def test_several(self):
        pictures = [self.make_picture("%d.pfm" % i, grey=i / 16) for i in range(12)]
        events = self.events("--jobs", "4", *pictures)
        self.assertEqual({event["input"] for event in events}, set(pictures))
        self.assertEqual(len({event["output"] for event in events}), 12)
        self.assertEqual(self.files(), sorted(os.path.basename(event["output"]) for event in events))
        one_by_one = {e["input"]: self.read(e["output"]) for e in events}
        for event in self.events("--jobs", "1", "--overwrite", *pictures):
            self.assertEqual(self.read(event["output"]), one_by_one[event["input"]])
        self.assertTrue(all(event["reused"] for event in self.events(*pictures)))

    def test_sizes(self):
        paths = {self.event(self.picture, "--size", size)["output"] for size in ("16", "17", "2560")}
        self.assertEqual(len(paths), 3)
        for args, words in ((["--size", "15"], "--size"), (["--size", "2561"], "--size"), (["--size", "-1"], "--size"),
                            (["--size", "0"], "--size"), (["--jobs", "65"], "--jobs"), (["--jobs", "-1"], "--jobs")):
            with self.subTest(args=args):
                self.assert_fails(self.thumbnail(self.picture, *args), 2, words)
        self.assert_fails(self.thumbnail(), 2, "which photographs")
        self.assertEqual(len(self.files()), 3)

    def test_bad_files(self):
        self.assert_fails(self.thumbnail(self.path("gone.nef")), 3, "gone.nef")
        self.assert_fails(self.thumbnail(self.write("x.png", b"no picture")), 3, "x.png")
        self.assert_fails(self.thumbnail("-"), 3, "ordinary file")
        result = self.thumbnail(self.picture, self.path("gone.png"), "--jobs", "2")
        self.assertEqual(result.code, 9, result)
        self.assertIn("gone.png", result.err)
        self.assertEqual(len(self.files()), 1)

    def test_the_cache_command(self):
        """Listed with its limit, and cleared alone or with everything else."""
        for words in (["thumbnail"], ["THUMBNAIL"], []):
            with self.subTest(words=words):
                path = self.event(self.picture)["output"]
                programs = os.path.join(self.cache, "opencl_v1")
                os.makedirs(programs, exist_ok=True)
                with open(os.path.join(programs, "x.bin"), "wb") as f:
                    f.write(b"12345")
                text = self.assert_ok(self.run_cli("--conf", "plugins/ai/thumbnail_cache_limit=7M", "cache", "list")).out
                self.assertRegex(text, r"(?m)^thumbnail +1 thumbnail +0\.0 MiB  of at most 7M$")
                self.assertRegex(text, r"(?m)^opencl +1 program or verdict +0\.0 MiB$")
                entries = {e.get("kind"): e for e in map(json.loads, self.assert_ok(
                    self.run_cli("cache", "list", "--json")).out.splitlines())}
                self.assertEqual((entries["opencl"]["files"], entries["opencl"]["bytes"], entries["opencl"]["path"]),
                                 (1, 5, programs))
                self.assertEqual((entries["thumbnail"]["files"], entries["thumbnail"]["bytes"]), (1, os.path.getsize(path)))
                self.assert_ok(self.run_cli("cache", "clear", *words))
                self.assertFalse(os.path.exists(path))
                self.assertEqual(os.path.exists(programs), bool(words))
                self.assert_ok(self.run_cli("cache", "clear", *(["opencl"] if words else [])))
                self.assertFalse(os.path.exists(programs))
                self.assert_fails(self.run_cli("cache", "clear", "thumbnail"), 1, "cache list")

    def test_the_limit(self):
        pictures = [self.make_picture("%d.pfm" % i, grey=i / 16) for i in range(6)]
        one = os.path.getsize(self.event(self.picture)["output"])
        events = [json.loads(line) for line in self.assert_ok(self.run_cli(
            "--conf", "opencl=FALSE", "--conf", "plugins/ai/thumbnail_cache_limit=%d" % (3 * one), "thumbnail", "--json", "--jobs", "1",
            *pictures)).out.splitlines()]
        kept = [os.path.exists(event["output"]) for event in events]
        self.assertTrue(kept[-1] and not kept[0], kept)
        self.assertEqual(kept, sorted(kept), "the oldest go first")
        self.assertLessEqual(len(self.files()), 3)

    def test_no_place(self):
        os.makedirs(self.cache, exist_ok=True)
        with open(os.path.join(self.cache, "thumbnails_v1"), "w"):
            self.assert_fails(self.thumbnail(self.picture), 4, "thumbnails_v1")

    def test_a_real_raw(self):
        raw = os.path.join(harness.SOURCE, "..", "shared", "data", "raw", "colorchart.dng")
        if not os.path.exists(raw):
            self.skipTest("the raw of the shared data is not here")
        event = self.event(raw, "--size", "200")
        self.assertEqual(max(event["width"], event["height"]), 200)
        self.assert_picture(event["output"], (event["width"], event["height"]))
        self.assertTrue(self.event(raw, "--size", "200")["reused"])


if __name__ == "__main__":
    harness.main()
