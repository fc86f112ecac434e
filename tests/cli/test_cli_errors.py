# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad pictures, bad models, outputs that cannot be written: the right exit code, one message with the file's
name and a next step, inputs untouched, nothing left behind."""
import os
import resource
import shutil
import socket
import struct
import subprocess
import unittest
import zlib

import harness
from harness import CliTest, chunk, jpeg_insert, open_bug, png, tiff


def cmyk_jpeg():
    """The headers of a JPEG of four components; enough to see what it is."""
    frame = struct.pack(">BHHB", 8, 8, 8, 4) + b"".join(bytes((i, 0x11, 0)) for i in (1, 2, 3, 4))
    scan = b"\4" + b"".join(bytes((i, 0)) for i in (1, 2, 3, 4)) + b"\0\x3f\0"
    tables = b"\0" + bytes(1 for _ in range(64))
    codes = b"\0" + bytes([1] + [0] * 15) + b"\0"

    def segment(marker, payload):
        return struct.pack(">BBH", 0xff, marker, len(payload) + 2) + payload
    return (b"\xff\xd8" + segment(0xee, b"Adobe\0\x64\0\0\0\0\0") + segment(0xdb, tables) + segment(0xc0, frame)
            + segment(0xc4, codes) + segment(0xc4, b"\x10" + codes[1:]) + segment(0xda, scan) + b"\0" * 64 + b"\xff\xd9")


class BadInput(CliTest):
    def check(self, picture, *fragments, args=(), seconds=20):
        """Refused, by its name, and nothing changed in the directory."""
        before = self.snapshot()
        result = self.denoise(*args, picture)
        self.assertEqual(self.snapshot(), before, result)
        self.assert_fails(result, 3, os.path.basename(picture) or ":", *fragments)
        self.assertEqual(len(result.err.splitlines()), 1, result)
        self.assertLess(result.seconds, seconds * harness.SLOWER)
        return result

    def read(self, name):
        with open(self.file(name), "rb") as f:
            return f.read()

    def test_no_file(self):
        self.check(self.file("missing.tif"), "No such file")
        self.check(self.file("no", "such", "folder.tif"))
        self.check("./-")
        os.symlink("nowhere", self.file("dangling.tif"))
        self.check(self.file("dangling.tif"))
        os.symlink("loop.tif", self.file("loop.tif"))
        self.check(self.file("loop.tif"))

    def test_not_a_regular_file(self):
        os.mkdir(self.file("dir.tif"))
        self.check(self.file("dir.tif"), "no pictures")
        os.mkfifo(self.file("fifo.tif"))
        self.check(self.file("fifo.tif"), "not a regular file")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.file("s.tif"))
            self.check(self.file("s.tif"))
        for device in ("/dev/null", "/dev/zero", "/dev/tty"):
            self.check(device, args=["-o", self.file("o.tif")])

    def test_through_a_file(self):
        self.check(os.path.join(self.make("a.tif"), "below.tif"))

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_not_readable(self):
        os.chmod(self.make("a.tif"), 0)
        self.check(self.file("a.tif"), "permission")

    def test_empty(self):
        for name in ("e.tif", "e.png", "e.jpg"):
            self.check(self.write(name, b""), "empty")

    def test_something_else(self):
        for name, data in (("text.tif", b"Dear diary, this is not a picture.\n"), ("one.png", b"\x89"),
                           ("two.jpg", b"\xff\xd8"), ("p.ppm", b"P6 1 1 255\n\0\0\0"), ("g.gif", b"GIF89a" + b"\0" * 99),
                           ("z.tif", b"\0" * 4096),
                           ("s.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), ("elf.tif", b"\x7fELF" + b"\0" * 999),
                           ("w.webp", b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 30)):
            with self.subTest(name=name):
                self.check(self.write(name, data), "not a TIFF, PNG or JPEG")

    def test_damaged_raws(self):
        self.check(self.write("r.cr3", b"\0\0\0\x18ftypcrx " + b"\0" * 99), "r.cr3", "this raw is cut off")

    def test_headers_alone(self):
        for name, data in (("h.tif", b"II*\0"), ("i.tif", b"II*\0\x08\0\0\0"), ("m.tif", b"MM\0*\0\0\0\x08"),
                           ("b.tif", b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0"), ("h.png", b"\x89PNG\r\n\x1a\n"),
                           ("h.jpg", b"\xff\xd8\xff\xe0"), ("e.jpg", b"\xff\xd8\xff\xd9")):
            with self.subTest(name=name):
                self.check(self.write(name, data))

    def test_truncated_at_many_lengths(self):
        """One process, many files: each is refused with one message of its own."""
        count = 120 if harness.LONG else 24
        for name in ("t.tif", "t.png", "t.jpg"):
            whole = self.read(os.path.basename(self.make("whole_" + name, 90, 70)))
            lengths = sorted({1 + i * (len(whole) - 3) // count for i in range(count)} | {2, 3, 8, 20, len(whole) - 2})
            if name == "t.tif":  # what comes last says only that no further page follows
                lengths = [n for n in lengths if n < len(whole) - 4]
            files = [self.write("cut%05d_%s" % (n, name), whole[:n]) for n in lengths]
            before = self.snapshot()
            result = self.denoise(*files)
            self.assertEqual(self.snapshot(), before, [f for f in os.listdir(self.work) if "denoise" in f])
            self.assertEqual(result.code, 9, result)
            self.assertEqual(result.out, "")
            for file in files:
                told = [m for m in result.messages if os.path.basename(file) in m]
                self.assertEqual(len(told), 1, (file, told))
                self.assertRegex(told[0], harness.NEXT_STEP)
            self.check(files[len(files) // 2])
            self.assert_ok(self.denoise(self.file("whole_" + name)))
            for entry in os.listdir(self.work):
                os.remove(self.file(entry))

    def test_damaged_in_the_middle(self):
        """Pixels that cannot be what was written."""
        data = bytearray(png(60, 60))
        at = data.index(b"IDAT") + 40
        data[at:at + 20] = bytes(20)
        self.check(self.write("crc.png", bytes(data)))
        deflated = bytearray(tiff(60, 60, raw=zlib.compress(os.urandom(10800))[:9000], compression=8))
        self.check(self.write("z.tif", bytes(deflated)))

    def test_cmyk(self):
        self.check(self.write("c.jpg", cmyk_jpeg()), "CMYK", "RGB")
        self.check(self.write("c.tif", tiff(20, 20, 4, photometric=5, extra=[(332, 3, [1])])), "CMYK", "RGB")

    def test_one_bit(self):
        self.check(self.write("b.png", png(16, 4, 1, raw=bytes(8), bits=1)), "1 bit")
        self.check(self.write("b.tif", tiff(16, 4, 1, bits=1, raw=bytes(8))), "1-bit")
        self.check(self.write("w.tif", tiff(16, 4, 1, bits=1, raw=bytes(8), photometric=0)))
        self.check(self.write("fax.tif", tiff(16, 4, 1, bits=1, raw=bytes(8), photometric=0, compression=4)))

    def test_other_kinds_of_tiff(self):
        for name, data in (("lab.tif", tiff(20, 20, photometric=8)),
                           ("int.tif", tiff(20, 20, bits=16, sample_format=2)),
                           ("cfa.tif", tiff(20, 20, 1, 16, photometric=32803)),
                           ("two.tif", tiff(20, 20, 2, photometric=2)),
                           ("five.tif", tiff(20, 20, 5)),
                           ("comp.tif", tiff(20, 20, compression=60000)),
                           ("odd.tif", tiff(20, 20, 3, bits=8, extra=[(258, 3, [8, 16, 8])])),
                           ("phot.tif", tiff(20, 20, photometric=9999))):
            with self.subTest(name=name):
                self.check(self.write(name, data))

    def test_corrupt_profile(self):
        for junk in (b"this is no profile", bytes(500), os.urandom(300),
                     struct.pack(">I", 200) + bytes(32) + b"acsp" + os.urandom(160)):
            with self.subTest(size=len(junk)):
                picture = self.write("p.tif", tiff(20, 20, extra=[(34675, 7, junk)]))
                self.check(picture, "profile", "--assume-profile")
                packed = b"name\0\0" + zlib.compress(junk)
                self.check(self.write("p.png", png(20, 20, extra=[(b"iCCP", packed)])), "profile", "--assume-profile")
        self.check(self.write("q.png", png(20, 20, extra=[(b"iCCP", b"name\0\0" + os.urandom(50))])), "profile")
        plain = self.read(os.path.basename(self.make("plain.jpg", 20, 20)))
        bad = jpeg_insert(plain[:2] + plain[2:], 0xe2, b"ICC_PROFILE\0\1\2" + bytes(200))  # the second part is missing
        self.write("j.jpg", bad)
        self.denoise("j.jpg")
        # the way out that the message names
        for name in ("p.png", "q.png"):
            self.assert_ok(self.denoise("--assume-profile", "srgb", "-o", self.file("ok_" + name), self.file(name)))

    def test_absurd_dimensions(self):
        def ihdr(width, height, kind=2, interlace=0):
            return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, interlace))
                    + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))
        jpeg = bytearray(self.read(os.path.basename(self.make("j.jpg", 16, 16))))
        frame = jpeg.index(b"\xff\xc0") + 5
        jpeg[frame:frame + 4] = b"\xff\xff\xff\xff"
        zero = bytearray(jpeg)
        zero[frame:frame + 4] = b"\0\0\0\x10"
        for name, data in (("max.png", ihdr(0x7fffffff, 0x7fffffff)), ("over.png", ihdr(0xffffffff, 1)),
                           ("zero.png", ihdr(0, 5)), ("big.png", ihdr(999999, 999999)),
                           ("lace.png", ihdr(999999, 999999, interlace=1)), ("lace2.png", ihdr(60000, 60000, interlace=1)),
                           ("max.tif", tiff(4, 4, declared=(0xffffffff, 0xffffffff))),
                           ("big.tif", tiff(4, 4, declared=(999999, 999999))),
                           ("zero.tif", tiff(4, 4, declared=(0, 4))), ("high.tif", tiff(4, 4, declared=(4, 0x7fffffff))),
                           ("max.jpg", bytes(jpeg)), ("zero.jpg", bytes(zero))):
            with self.subTest(name=name):
                before = self.snapshot()
                picture = self.write(name, data)
                # where nothing says so at once, memory has to stay within reason all the same
                limit = 4 << 30
                result = self.denoise(picture, preexec_fn=None if harness.SANITIZED else (
                    lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))))
                self.assertIn(result.code, (3, 7), result)
                self.assert_fails(result, result.code)
                self.assertLess(result.seconds, 20 * harness.SLOWER)
                os.remove(picture)
                self.assertEqual(self.snapshot(), before)
        self.assertEqual(os.listdir(self.path("tmp")), [])

    def test_a_thousand_pages_and_a_loop(self):
        loop = bytearray(tiff(4, 4))
        at = struct.unpack_from("<I", loop, 4)[0]
        loop[-4:] = struct.pack("<I", at)  # the next directory is this one
        picture = self.write("loop.tif", bytes(loop))
        self.assert_ok(self.denoise("-o", self.file("o.tif"), picture))


class BadModels(CliTest):
    models = ("denoise-conv3", "broken-onnx", "broken-external", "broken-wrong-names", "broken-rank", "broken-type",
              "broken-channels", "denoise-resize")

    def setUp(self):
        super().setUp()
        self.picture = self.make("a.tif")
        self.before = self.snapshot()

    def refuse(self, model, *fragments):
        result = self.denoise("--model", model, self.picture)
        self.assertEqual(self.snapshot(), self.before, result)
        self.assert_fails(result, 5, model, *fragments)
        return result

    def test_fixtures(self):
        for model in self.models[1:]:
            with self.subTest(model=model):
                self.refuse(model)

    def test_of_another_kind(self):
        for folder in ("test-two-outputs", "test-types", "test-dynamic-output", "test-big-output",
                       "symbolic-dims", "upscale-x2"):
            with self.subTest(folder=folder):
                self.add_model(folder, "odd-" + folder, task="denoise")
                self.refuse("odd-" + folder)

    @open_bug("a model of doubles is refused without its name (src/ai/backend_onnx.c)")
    def test_of_doubles(self):
        self.add_model("test-double", "doubles", task="denoise")
        self.refuse("doubles")

    def test_no_manifest(self):
        target = self.add_model("denoise-conv3", "bare")
        os.remove(os.path.join(target, "config.json"))
        self.refuse("bare", "models list")

    def test_broken_manifest(self):
        for text in ("", "{", "[]", "null", '{"id":"bare"}', "not json at all", '{"id": "bare", "name": 3}'):
            with self.subTest(text=text):
                target = os.path.join(self.config, "models", "bare")
                os.makedirs(target, exist_ok=True)
                with open(os.path.join(target, "config.json"), "w") as f:
                    f.write(text)
                self.refuse("bare", "models list")

    def test_broken_network(self):
        whole = harness.read_bytes(harness.FIXTURES, "denoise-conv3", "model.onnx")
        cases = [("empty", b""), ("text", b"I am no network.\n" * 50), ("zeros", bytes(5000)), ("none", None), ("dir", "dir")]
        cases += [("cut%d" % n, whole[:n]) for n in (1, 10, len(whole) // 2, len(whole) - 1)]
        for name, data in cases:
            with self.subTest(name=name):
                target = self.add_model("denoise-conv3", name)
                path = os.path.join(target, "model.onnx")
                os.remove(path)
                if data == "dir":
                    os.mkdir(path)
                elif data is not None:
                    with open(path, "wb") as f:
                        f.write(data)
                self.refuse(name)

    def test_flipped_bits(self):
        """Damage anywhere in a model ends in words, never in a crash."""
        import random
        random.seed(7)
        whole = harness.read_bytes(harness.FIXTURES, "denoise-conv3", "model.onnx")
        target = self.add_model("denoise-conv3", "flipped")
        path = os.path.join(target, "model.onnx")
        for _ in range(60 if harness.LONG else 8):
            os.remove(path)
            data = bytearray(whole)
            for _ in range(3):
                data[random.randrange(200 if random.random() < 0.7 else len(data))] ^= 1 << random.randrange(8)
            with open(path, "wb") as f:
                f.write(data)
            result = self.denoise("--model", "flipped", "--dry-run", self.picture)
            self.assertIn(result.code, (0, 5, 7), result)


class BadOutput(CliTest):
    def setUp(self):
        super().setUp()
        self.picture = self.make("a.tif", 200, 150)
        self.before = self.snapshot()

    def refuse(self, output, *fragments, code=4, **options):
        result = self.denoise("-o", output, self.picture, **options)
        self.assertEqual(self.snapshot(), self.before, result)
        return self.assert_fails(result, code, *fragments)

    def test_no_directory(self):
        self.refuse(self.file("no", "such.tif"), "such.tif", "create")
        self.refuse(os.path.join(self.picture, "below.tif"), "below.tif")
        self.refuse("/proc/darktable.tif", "/proc/darktable.tif")
        self.refuse("/dev/null/x.tif", "x.tif")

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_read_only_directory(self):
        os.mkdir(self.file("ro"), 0o500)
        self.before = self.snapshot()
        self.refuse(self.file("ro", "x.tif"), "x.tif", "permission")

    def test_special_files(self):
        os.symlink("/dev/full", self.file("full.tif"))
        os.mkfifo(self.file("fifo.tif"))
        os.symlink("nowhere.tif", self.file("dangling.tif"))
        self.before = self.snapshot()
        for name in ("full.tif", "fifo.tif", "dangling.tif"):
            self.refuse(self.file(name), name)
            result = self.denoise("--overwrite", "-o", self.file(name), self.picture)
            self.assert_fails(result, 4, name)
        self.assertEqual(self.snapshot(), self.before)

    def test_unknown_extensions(self):
        for name in ("x", "x.gif", "x.tif.bak", "x.bmp", "/dev/full", "/dev/null", "/dev/stdout"):
            self.refuse(name if name[0] in "/-" else self.file(name), "format", ".tif", code=2)

    def test_file_size_limit(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        for name in ("o.tif", "o.png", "o.jpg"):
            with self.subTest(name=name):
                result = self.denoise("-o", self.file(name), self.picture, preexec_fn=limit)
                if name.endswith(".jpg") and result.code == 0:
                    os.remove(self.file(name))
                    continue
                self.assert_fails(result, 4, name)
                self.assertEqual(self.snapshot(), self.before, result)

    def test_full_disk_keeps_the_old_file(self):
        old = self.write("o.tif", b"old")
        self.before = self.snapshot()

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        result = self.denoise("--overwrite", "-o", old, self.picture, preexec_fn=limit)
        self.assert_fails(result, 4, "o.tif")
        self.assertEqual(self.snapshot(), self.before)

    def test_full_disk(self):
        disk = self.file("disk")
        os.mkdir(disk)
        mount = shutil.which("mount")
        if not mount or subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk],
                                       stderr=subprocess.DEVNULL).returncode:
            self.skipTest("mounting a small file system is not permitted")
        self.addCleanup(subprocess.run, ["umount", disk])
        self.before = self.snapshot()
        for name in ("o.tif", "o.png"):
            self.refuse(os.path.join(disk, name), name, "full")

    def test_cache_that_cannot_be_written(self):
        """The measurement is not kept; the work is done."""
        for cache in (os.path.join(self.picture, "below"), "/proc/nowhere"):
            self.cache = cache
            self.assert_ok(self.denoise("--overwrite", "-o", self.file("o.tif"), self.picture))

    def test_damaged_cache(self):
        self.cache = self.path("own-cache")
        self.assert_ok(self.denoise("-o", self.file("a.png"), self.picture))
        found = [os.path.join(b, f) for b, _, files in os.walk(self.cache) for f in files]
        self.assertEqual(len(found), 2, found)  # what was measured, and how fast it was
        for text in ("", "[calibration]\npixel_bytes=-5\n", "[calibration]\npixel_bytes=nan\n", "junk\n" * 99,
                     "[calibration]\npixel_bytes=1e300\narena_strategy=99\nexact=maybe\n"):
            with self.subTest(text=text):
                for path in found:
                    with open(path, "w") as f:
                        f.write(text)
                self.assert_ok(self.denoise("--overwrite", "-o", self.file("b.png"), self.picture))
                with open(self.file("a.png"), "rb") as a, open(self.file("b.png"), "rb") as b:
                    self.assertEqual(a.read(), b.read())

    def test_old_parts_are_swept_and_others_are_not(self):
        mine = self.write(".notes.part", b"mine")
        other = self.write(".photo.tif.abcdef.part", b"of another program")
        self.assert_ok(self.denoise("-o", self.file("o.tif"), self.picture))
        self.assertTrue(os.path.exists(mine) and os.path.exists(other))


class Combinations(CliTest):
    def test_errors_come_before_work(self):
        """A wish that cannot be granted is refused before anything is computed or written."""
        picture = self.make("a.tif", 3000, 2000)
        for args in (["-o", "x.gif"], ["-o", "no/such/x.tif"], ["-o", "x.png", "--bit-depth", "32"],
                     ["-o", "x.tif", "--icc", "nosuch"]):
            result = self.denoise(*args, picture)
            self.assertIn(result.code, (2, 4), result)
            self.assertLess(result.seconds, 1.5 * harness.SLOWER)


if __name__ == "__main__":
    harness.main()
