# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata contract (doc/metadata.md) as a user meets it: what goes along, what is corrected, the stamp in XMP,
--force, damage, and bytes that do not change from run to run."""
import hashlib
import os
import random
import struct
import unittest
import xml.etree.ElementTree as ElementTree

import harness
from harness import CliTest, jpeg_insert, jpeg_segments, picture_info, tiff_tags

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
DTAI = "{urn:x-darktable-ai:restore:1.0#}"
EVENT = "{http://ns.adobe.com/xap/1.0/sType/ResourceEvent#}"
MM = "{http://ns.adobe.com/xap/1.0/mm/}"
TIFF = "{http://ns.adobe.com/tiff/1.0/}"
EXIF = "{http://ns.adobe.com/exif/1.0/}"

XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION_HEAD = b"http://ns.adobe.com/xmp/extension/\0"

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/" xmlns:darktable="http://darktable.sf.net/"
 tiff:ImageWidth="40" tiff:ImageLength="30" exif:PixelXDimension="40" xmp:Rating="4"
 darktable:history_end="1">
<exif:PixelYDimension>30</exif:PixelYDimension>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Zo\u00eb &amp; \u5199\u771f</rdf:li></rdf:Alt></dc:title>
<xmp:Thumbnails><rdf:Alt><rdf:li xmpGImg:width="16" xmpGImg:image="OLDPREVIEW"/></rdf:Alt></xmp:Thumbnails>
<darktable:history><rdf:Seq><rdf:li darktable:operation="exposure" darktable:params="00ff"/></rdf:Seq></darktable:history>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()


# --- a structure by hand

class Ifd:
    """A directory: {tag: (type, bytes)} and directories below it."""

    def __init__(self, tags, below=()):
        self.tags, self.below = dict(tags), dict(below)

    def lay_out(self, order, body, next_ifd=None):
        """Appends itself to @p body and returns where it stands."""
        tags = dict(self.tags)
        for tag, ifd in self.below.items():
            tags[tag] = (4, struct.pack(order + "I", ifd.lay_out(order, body)))
        link = next_ifd.lay_out(order, body) if next_ifd else 0
        entries = struct.pack(order + "H", len(tags))
        for tag, (kind, data) in sorted(tags.items()):
            count = len(data) // {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8}[kind]
            place = data.ljust(4, b"\0")
            if len(data) > 4:
                body += b"\0" * (len(body) % 2)
                place = struct.pack(order + "I", len(body))
                body += data
            entries += struct.pack(order + "HHI", tag, kind, count) + place
        body += b"\0" * (len(body) % 2)
        at = len(body)
        body += entries + struct.pack(order + "I", link)
        return at


def rich_exif(order="<"):
    def text(value):
        return 2, value.encode() + b"\0"

    def short(*values):
        return 3, struct.pack("%s%dH" % (order, len(values)), *values)

    def rational(*values):
        return 5, struct.pack("%s%dI" % (order, len(values)), *values)

    interop = Ifd({1: text("R98"), 2: (7, b"0100"), 4097: (4, struct.pack(order + "I", 40))})
    exif = Ifd({33434: rational(1, 8000), 33437: rational(28, 10), 34855: short(6400), 36864: (7, b"0232"),
                36867: text("2024:05:06 07:08:09"), 36881: text("+02:00"), 37386: rational(35, 1),
                37380: (10, struct.pack(order + "ii", -2, 3)), 37500: (7, b"a maker's own note \0\1\2\3"),
                37510: (7, b"ASCII\0\0\0a comment"), 40961: short(1), 40962: (4, struct.pack(order + "I", 40)),
                40963: (4, struct.pack(order + "I", 30)), 41486: rational(228, 1), 42032: text("an owner"),
                42034: rational(24, 1, 70, 1, 4, 1, 4, 1), 42036: text("a lens with a long name"),
                42037: text("20012345")}, {40965: interop})
    gps = Ifd({0: (1, b"\2\3\0\0"), 1: text("S"), 2: rational(33, 1, 51, 1, 297654321, 10000000), 3: text("W"),
               4: rational(70, 1, 17, 1, 403, 10), 5: (1, b"\1"), 6: rational(1234567, 1000), 29: text("2024:05:06")})
    thumbnail = Ifd({259: short(6), 513: (4, b"\0\0\0\0"), 514: (4, struct.pack(order + "I", 12))})
    main = Ifd({270: text("A street"), 271: text("Handmade"), 272: text("One"), 274: short(6), 282: rational(2999999, 10007),
                283: rational(2999999, 10007), 296: short(2), 305: text("Ver.02.01"), 306: text("2024:05:06 07:08:09"),
                315: (2, b"J\xfcrgen\0"), 18246: short(4), 33432: (2, b"me\0you\0"), 40091: (1, b"T\0\0\0")},
               {34665: exif, 34853: gps})
    body = bytearray((b"II*\0" if order == "<" else b"MM\0*") + b"\0\0\0\0")
    struct.pack_into(order + "I", body, 4, main.lay_out(order, body, thumbnail))
    where = bytes(body).index(struct.pack(order + "HHI", 513, 4, 1)) + 8
    struct.pack_into(order + "I", body, where, len(body))
    return bytes(body) + b"\xff\xd8OLDTHUMB\xff\xd9"


def read_tags(data):
    """{(directory, tag): (type, bytes in big-endian order)} of everything that can be reached."""
    order = "<" if data[:2] == b"II" else ">"
    found = {}

    def read(name, at):
        for i in range(struct.unpack_from(order + "H", data, at)[0]):
            tag, kind, count = struct.unpack_from(order + "HHI", data, at + 2 + 12 * i)
            size = count * {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8, 13: 4}[kind]
            place = at + 10 + 12 * i
            if size > 4:
                place = struct.unpack_from(order + "I", data, place)[0]
            value = data[place:place + size]
            below = {("main", 34665): "exif", ("main", 34853): "gps", ("exif", 40965): "interop"}.get((name, tag))
            if below:
                read(below, struct.unpack(order + "I", value)[0])
                continue
            word = {3: 2, 4: 4, 5: 4, 9: 4, 10: 4}.get(kind, 1)
            if order == "<" and word > 1:
                value = b"".join(value[k:k + word][::-1] for k in range(0, size, word))
            found[name, tag] = (kind, value)
        link = struct.unpack_from(order + "I", data, at + 2 + 12 * struct.unpack_from(order + "H", data, at)[0])[0]
        if link:
            read(name + "'s next", link)

    read("main", struct.unpack_from(order + "I", data, 4)[0])
    return found


def iptc_set(number, value):
    return struct.pack(">BBBH", 0x1c, 2, number, len(value)) + value


def resource(number, data):
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + b"\0" * (len(data) % 2)


IPTC = (iptc_set(120, "Caption é".encode()) + iptc_set(25, b"street") + iptc_set(25, b"night") + iptc_set(80, b"me"))
PREVIEW = iptc_set(200, b"\0\1") + iptc_set(202, b"OLDPREVIEW")


def blobs(path):
    """The EXIF structure, XMP (joined), and IPTC of a file."""
    with open(path, "rb") as f:
        data = f.read()
    if data[:2] in (b"II", b"MM"):
        tags = tiff_tags(data)
        return data, tags.get(700), tags.get(33723)
    if data[:4] == b"\x89PNG":
        chunks = dict(picture_info(data)["chunks"])
        xmp = chunks.get(b"iTXt", b"").partition(b"XML:com.adobe.xmp\0\0\0\0\0")[2]
        iptc = None
        if b"zTXt" in chunks:
            text = harness.zlib.decompress(chunks[b"zTXt"].split(b"\0", 2)[2])
            iptc = bytes.fromhex(text.split(b"\n", 3)[3].replace(b"\n", b"").decode())[12:]
        return chunks.get(b"eXIf"), xmp or None, iptc
    found = {}
    for marker, payload in jpeg_segments(data):
        for head, name in ((b"Exif\0\0", "exif"), (XMP_HEAD, "xmp"), (b"Photoshop 3.0\0", "iptc")):
            if marker in (0xe1, 0xed) and payload.startswith(head):
                found[name] = payload[len(head):]
    iptc = found.get("iptc")
    return found.get("exif"), found.get("xmp"), iptc[12:] if iptc else None


def properties(xmp):
    """{name: element or text} of all rdf:Description of a packet."""
    found = {}
    for description in ElementTree.fromstring(xmp.decode().replace("\ufeff", "")).iter(RDF + "RDF"):
        for part in description:
            found.update(part.attrib)
            found.update({child.tag: child for child in part})
    return found


def text(value):
    return value if isinstance(value, str) else value.text


def steps(path):
    """The steps of the stamp as dictionaries."""
    xmp = blobs(path)[1]
    array = properties(xmp).get(DTAI + "steps") if xmp else None
    return [{k.replace(DTAI, ""): v for k, v in item.attrib.items()} for item in array[0]] if array is not None else []


def events(path):
    return [{k.replace(EVENT, ""): v for k, v in item.attrib.items()} for item in properties(blobs(path)[1])[MM + "History"][0]]


class MetadataTest(CliTest):
    models = ("denoise-conv3", "upscale-x2")

    def setUp(self):
        super().setUp()
        self.write_airc("plugins/ai/enabled=TRUE\nplugins/ai/models/active/denoise=denoise-conv3\n"
                        "plugins/ai/models/active/upscale=upscale-x2\n")

    def plain(self):
        with open(self.make("plain.jpg", 40, 30), "rb") as f:
            return f.read()

    def rich(self, name="rich.jpg", exif=None, xmp=XMP, order="<"):
        data = jpeg_insert(self.plain(), 0xed, b"Photoshop 3.0\0" + resource(0x40c, b"OLDPREVIEW")
                           + resource(0x404, IPTC + PREVIEW))
        if xmp is not None:
            data = jpeg_insert(data, 0xe1, XMP_HEAD + xmp)
        return self.write(name, jpeg_insert(data, 0xe1, b"Exif\0\0" + (rich_exif(order) if exif is None else exif)))

    def upscale(self, *args, **options):
        return self.run_cli("upscale", *args, **options)


CORRECTED = {("main", 305), ("exif", 40962), ("exif", 40963), ("exif", 41486), ("interop", 4097)}
# a TIFF's first directory is that of its pixels as well
STORAGE = {256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 339, 338, 700, 33723, 34675}


class Contract(MetadataTest):
    def check_exif(self, before, path, scale):
        after = read_tags(blobs(path)[0])
        for key, value in before.items():
            if key not in CORRECTED and "next" not in key[0]:
                self.assertEqual(after.get(key), value, (path, key))
        for key in after:
            self.assertNotIn("next", key[0], path)
            if not (key[0] == "main" and key[1] in STORAGE):
                self.assertIn(key, before, path)
        number = struct.pack
        self.assertEqual(after["exif", 40962], (4, number(">I", 40 * scale)), path)
        self.assertEqual(after["exif", 40963], (4, number(">I", 30 * scale)), path)
        self.assertEqual(after["exif", 41486], (5, number(">II", 228 * scale, 1)), path)
        self.assertEqual(after["interop", 4097], (4, number(">I", 40 * scale)), path)
        self.assertRegex(after["main", 305][1], rb"^darktable-ai \d+\.\d+\.\d+\0$")

    def check_xmp(self, path, scale):
        found = properties(blobs(path)[1])
        for name, size in ((TIFF + "ImageWidth", 40), (TIFF + "ImageLength", 30), (EXIF + "PixelXDimension", 40),
                           (EXIF + "PixelYDimension", 30)):
            self.assertEqual(text(found[name]), str(size * scale), (path, name))
        self.assertEqual(found["{http://ns.adobe.com/xap/1.0/}Rating"], "4")
        self.assertEqual(found["{http://purl.org/dc/elements/1.1/}title"][0][0].text, "Zo\u00eb & \u5199\u771f")
        self.assertEqual(found["{http://darktable.sf.net/}history"][0][0].attrib,
                         {"{http://darktable.sf.net/}operation": "exposure", "{http://darktable.sf.net/}params": "00ff"})
        self.assertNotIn("{http://ns.adobe.com/xap/1.0/}Thumbnails", found)
        self.assertEqual(text(found["{http://ns.adobe.com/xap/1.0/}CreatorTool"]), "Ver.02.01")

    def test_everything_goes_along(self):
        for order in "<>":
            before = read_tags(rich_exif(order))
            source = self.rich(order=order)
            for task, scale in ((self.denoise, 1), (self.upscale, 2)):
                for name in ("o.tif", "o.png", "o.jpg"):
                    with self.subTest(order=order, scale=scale, name=name):
                        result = self.assert_ok(task("--overwrite", "-o", self.file(name), source))
                        self.assertEqual(len(result.messages), 1, result)  # nothing was lost
                        self.assert_picture(self.file(name), (40 * scale, 30 * scale))
                        self.check_exif(before, self.file(name), scale)
                        self.check_xmp(self.file(name), scale)
                        self.assertEqual(blobs(self.file(name))[2].rstrip(b"\0"), IPTC)
                        with open(self.file(name), "rb") as f:
                            data = f.read()
                        self.assertNotIn(b"OLDPREVIEW", data)
                        self.assertNotIn(b"OLDTHUMB", data)

    def test_from_format_to_format(self):
        """Whatever way it takes, what arrives is the same."""
        before = read_tags(rich_exif())
        path = self.rich()
        for i, name in enumerate(("1.tif", "2.png", "3.tif", "4.jpg", "5.png", "6.jpg", "7.tif")):
            self.assert_ok(self.denoise("--force", "-o", self.file(name), path))
            path = self.file(name)
            self.check_exif(before, path, 1)
            self.check_xmp(path, 1)
            self.assertEqual(len(steps(path)), i + 1)
            self.assertEqual(blobs(path)[2].rstrip(b"\0"), IPTC)


class Stamp(MetadataTest):
    def model_hash(self, *names):
        with open(os.path.join(harness.FIXTURES, *names), "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    def test_what_it_says(self):
        version = self.run_cli("--version").out.split()[1]
        for name in ("o.tif", "o.png", "o.jpg"):
            self.assert_ok(self.denoise("--strength", "40", "-o", self.file(name), self.make("a.tif")))
            self.assertEqual(steps(self.file(name)),
                             [{"task": "denoise", "model": "denoise-conv3", "strength": "40", "scale": "1",
                               "modelHash": self.model_hash("denoise-conv3", "model.onnx"), "version": version}])
            event = events(self.file(name))[0]
            self.assertEqual((event["action"], event["softwareAgent"]), ("edited", "darktable-ai " + version))
            self.assertIn(self.model_hash("denoise-conv3", "model.onnx"), event["parameters"])
            self.assertNotIn("when", event)
            exif = read_tags(blobs(self.file(name))[0])
            self.assertEqual(exif["main", 305][1], b"darktable-ai " + version.encode() + b"\0")

    def test_both_steps_in_order(self):
        picture = self.rich()
        self.assert_ok(self.denoise("-o", self.file("1.jpg"), picture))
        self.assert_ok(self.upscale("--scale", "1.5", "-o", self.file("2.png"), self.file("1.jpg")))
        self.assert_ok(self.denoise("--force", "-o", self.file("3.tif"), self.file("2.png")))
        self.assertEqual([(s["task"], s["scale"]) for s in steps(self.file("3.tif"))],
                         [("denoise", "1"), ("upscale", "1.5"), ("denoise", "1")])
        self.assertEqual(steps(self.file("3.tif"))[1]["modelHash"], self.model_hash("upscale-x2", "model_x2.onnx"))
        self.assertEqual(len(events(self.file("3.tif"))), 3)

    def test_runs_are_identical(self):
        source = self.rich()
        for epoch in (None, "1700000000"):
            for name in ("tif", "png", "jpg"):
                pictures = []
                for run in "ab":
                    out = self.file("%s.%s" % (run, name))
                    env = self.environment(**({"SOURCE_DATE_EPOCH": epoch} if epoch else {}))
                    self.assert_ok(self.denoise("--overwrite", "-o", out, source, env=env))
                    with open(out, "rb") as f:
                        pictures.append(f.read())
                self.assertEqual(pictures[0], pictures[1], (epoch, name))
                event = events(self.file("a." + name))[0]
                self.assertEqual(event.get("when"), epoch and "2023-11-14T22:13:20Z")

    def test_measurements_leave_none(self):
        self.assert_ok(self.denoise("--bench-pass-through", "-o", self.file("o.tif"), self.make("a.tif")))
        self.assertEqual(steps(self.file("o.tif")), [])


class Again(MetadataTest):
    def test_refused_without_force(self):
        for name in ("o.tif", "o.png", "o.jpg"):
            self.assert_ok(self.denoise("-o", self.file(name), self.make("a.tif")))
            for option in ("--overwrite", "--dry-run"):
                result = self.denoise(option, "-o", self.file("twice.tif"), self.file(name))
                self.assert_fails(result, 2, name + " has been denoised already (denoise-conv3, strength 100).", "--force")
                self.assertFalse(os.path.exists(self.file("twice.tif")))
        self.assert_ok(self.denoise("--force", "-o", self.file("twice.tif"), self.file("o.png")))
        self.assertEqual(len(steps(self.file("twice.tif"))), 2)

    def test_another_task_is_no_repetition(self):
        self.assert_ok(self.denoise("-o", self.file("o.tif"), self.make("a.tif")))
        self.assert_ok(self.upscale("-o", self.file("u.tif"), self.file("o.tif")))
        result = self.upscale("-o", self.file("v.tif"), self.file("u.tif"))
        self.assert_fails(result, 2, "u.tif has been enlarged already (upscale-x2, 2 times).", "--force")
        self.assert_ok(self.upscale("--force", "-o", self.file("v.tif"), self.file("u.tif")))

    def test_in_a_batch_it_fails_and_the_others_are_done(self):
        os.mkdir(self.file("out"))
        self.assert_ok(self.denoise("-o", self.file("b.tif"), self.make("a.tif")))
        result = self.denoise("-o", "out/", "b.tif", "a.tif")
        self.assertEqual(result.code, 9, result)
        self.assertIn("b.tif has been denoised already", result.err)
        self.assertEqual(os.listdir(self.file("out")), ["a_denoise.tif"])


class Damage(MetadataTest):
    def test_broken_xmp_goes_along_and_is_told(self):
        for xmp in (b"<x:xmpmeta><unfinished", XMP.replace(b"</rdf:RDF>", b""), b"\xff" + XMP[1:]):
            source = self.rich(xmp=xmp)
            for name in ("o.tif", "o.png", "o.jpg"):
                result = self.assert_ok(self.denoise("--overwrite", "-o", self.file(name), source))
                self.assertIn("The XMP data are damaged: they were carried as they are", result.err)
                self.assertEqual(blobs(self.file(name))[1], xmp, name)
                self.assertIn(b"darktable-ai", read_tags(blobs(self.file(name))[0])["main", 305][1])

    def test_random_bytes_in_metadata(self):
        """Flips anywhere in EXIF, XMP and IPTC: the picture comes out, and is the same."""
        rnd = random.Random(20240506)
        clean = self.rich()
        with open(clean, "rb") as f:
            good = f.read()
        places = []
        for head in (b"Exif\0\0", XMP_HEAD, b"Photoshop 3.0\0"):
            at = good.index(head) + len(head)
            places += list(range(at, at + struct.unpack(">H", good[at - len(head) - 2:at - len(head)])[0] - 2 - len(head)))
        pixels = {}
        for run in range(120 if harness.LONG else 30):
            data = bytearray(good)
            for _ in range(rnd.choice((1, 3, 30))):
                data[rnd.choice(places)] = rnd.randrange(256)
            name = "o." + rnd.choice(("tif", "png", "jpg"))
            result = self.denoise("--overwrite", "--force", "-o", self.file(name), self.write("damaged.jpg", bytes(data)))
            with self.subTest(run=run, name=name):
                self.assert_ok(result)
                info = self.assert_picture(self.file(name), (40, 30))
                if info["format"] == "png":
                    pixels[harness.zlib.crc32(b"".join(d for k, d in info["chunks"] if k == b"IDAT"))] = run
        self.assertLessEqual(len(pixels), 1)

    def test_no_metadata_at_all(self):
        source = self.write("p.jpg", self.plain())
        for name in ("o.tif", "o.png", "o.jpg"):
            result = self.assert_ok(self.denoise("-o", self.file(name), source))
            self.assertEqual(len(result.messages), 1, result)
            self.assertEqual(len(steps(self.file(name))), 1)


class Long(MetadataTest):
    """XMP beyond the 64 KiB of a JPEG's segment."""

    def packet(self, size):
        big = '<big:mask xmlns:big="urn:big:">%s</big:mask>' % ("gz04" * (size // 4))
        return XMP.replace(b"</rdf:Description></rdf:RDF>", big.encode() + b"</rdf:Description></rdf:RDF>"), "gz04" * (size // 4)

    def check(self, path, big):
        found = properties(blobs(path)[1])
        self.assertEqual(found["{urn:big:}mask"].text, big)
        self.assertEqual(found["{http://ns.adobe.com/xap/1.0/}Rating"], "4")
        self.assertNotIn("{http://ns.adobe.com/xmp/note/}HasExtendedXMP", found)

    def test_there_and_back(self):
        for size in (65000, 300000):
            packet, big = self.packet(size)
            source = self.write("long.png", harness.png(40, 30, extra=[(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)]))
            result = self.assert_ok(self.denoise("--overwrite", "-o", self.file("o.jpg"), source))
            self.assertEqual(len(result.messages), 1, result)
            # the first packet is whole, names the second and has the stamp; the second has its digest as a name
            xmp = blobs(self.file("o.jpg"))[1]
            name = text(properties(xmp)["{http://ns.adobe.com/xmp/note/}HasExtendedXMP"])
            self.assertEqual(len(steps(self.file("o.jpg"))), 1)
            with open(self.file("o.jpg"), "rb") as f:
                pieces = [p[len(EXTENSION_HEAD):] for m, p in jpeg_segments(f.read())
                          if m == 0xe1 and p.startswith(EXTENSION_HEAD)]
            self.assertTrue(pieces)
            rest, lengths = b"", {struct.unpack(">I", p[32:36])[0] for p in pieces}
            for piece in pieces:
                self.assertEqual((piece[:32].decode(), struct.unpack(">I", piece[36:40])[0]), (name, len(rest)))
                rest += piece[40:]
            self.assertEqual(lengths, {len(rest)})
            self.assertEqual(hashlib.md5(rest).hexdigest().upper(), name)
            for out in ("b.png", "b.tif"):
                self.assert_ok(self.denoise("--force", "--overwrite", "-o", self.file(out), self.file("o.jpg")))
                self.check(self.file(out), big)
                self.assertEqual(len(steps(self.file(out))), 2)
            # and once more as JPEG
            self.assert_ok(self.denoise("--force", "--overwrite", "-o", self.file("c.jpg"), self.file("o.jpg")))
            self.assert_ok(self.denoise("--force", "--overwrite", "-o", self.file("c.png"), self.file("c.jpg")))
            self.check(self.file("c.png"), big)

    def test_what_cannot_be_divided_is_told(self):
        packet = b"<broken" + b"x" * 70000
        source = self.write("long.png", harness.png(40, 30, extra=[(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)]))
        result = self.assert_ok(self.denoise("-o", self.file("o.jpg"), source))
        self.assertIn("The XMP data are too long for this format and were left out.", result.err)

    def test_a_lost_second_part(self):
        packet, _ = self.packet(100000)
        source = self.write("long.png", harness.png(40, 30, extra=[(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)]))
        self.assert_ok(self.denoise("-o", self.file("o.jpg"), source))
        with open(self.file("o.jpg"), "rb") as f:
            data = f.read()
        at = data.index(EXTENSION_HEAD)
        cut = data[:at - 4] + data[at - 2 + struct.unpack(">H", data[at - 2:at])[0]:]
        self.assert_ok(self.denoise("--force", "-o", self.file("p.png"), self.write("cut.jpg", cut)))
        found = properties(blobs(self.file("p.png"))[1])
        self.assertNotIn("{http://ns.adobe.com/xmp/note/}HasExtendedXMP", found)
        self.assertEqual(found["{http://ns.adobe.com/xap/1.0/}Rating"], "4")


if __name__ == "__main__":
    harness.main()
