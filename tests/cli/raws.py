# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera raws made by hand, uncompressed DNGs of any filter array and with any tags, and a reader for the DNGs that
come out. Python's standard library only."""
import array
import math
import struct
import sys

BAYER = ("RGGB", "GRBG", "GBRG", "BGGR")
XTRANS = "GGRGGB" "GGBGGR" "BRGRBG" "GGBGGR" "GGRGGB" "RBGBRG"
CMYG = "CMYG"

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL, FLOAT, DOUBLE = 1, 2, 3, 4, 5, 7, 10, 11, 12
CODES = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I", RATIONAL: "II", 6: "b", UNDEFINED: "B", 8: "h", 9: "i",
         SRATIONAL: "ii", FLOAT: "f", DOUBLE: "d", 13: "I"}

# where they stand in a DNG
ORIENTATION, SOFTWARE, SUB_IFDS, XMP, EXIF, GPS = 274, 305, 330, 700, 34665, 34853
NOISE_PROFILE, BLACK, WHITE, CROP_ORIGIN, CROP_SIZE = 51041, 50714, 50717, 50719, 50720
MATRIX, NEUTRAL, ORIGINAL_NAME, ACTIVE_AREA, BASELINE_EXPOSURE = 50721, 50728, 50827, 50829, 50730
CFA, LINEAR = 32803, 34892

# sRGB's, as a camera's: what comes out of a developer is then easily compared
_XYZ_TO_RGB = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)


# --- scenes

def scene(x, y):
    """Linear light of the three colours at a place, 0 to 1: gradients, an edge, nothing neutral."""
    edge = 0.12 if (x // 12 + y // 9) % 2 else 0.0
    return (0.06 + 0.15 * abs(math.sin(x * 0.11)) + edge, 0.1 + 0.002 * ((x + 2 * y) % 64) + edge,
            0.04 + 0.12 * abs(math.cos(y * 0.09)) + edge)


def colour_at(pattern, x, y):
    """Which colour stands there, 0 to 3."""
    side = math.isqrt(len(pattern))
    return "RGBE".find(pattern[y % side * side + x % side])


def mosaic(pattern, width, height, black=512, white=16383, light=scene, left=0, top=0):
    """Samples behind the filter array: what is at (x, y) is the scene's (x + left, y + top)."""
    return [round(black + (white - black) * light(x + left, y + top)[max(colour_at(pattern, x, y), 0) % 3])
            for y in range(height) for x in range(width)]


def linear(width, height, black=512, white=16383, light=scene):
    """Three samples a pixel."""
    return [round(black + (white - black) * v) for y in range(height) for x in range(width) for v in light(x, y)]


# --- writing

def _encode(kind, values, order):
    if isinstance(values, str):
        values = values.encode() + b"\0"
    if isinstance(values, bytes):
        return len(values), values
    if kind in (RATIONAL, SRATIONAL):
        values = [n for v in values for n in (v if isinstance(v, tuple) else (round(v * 10000), 10000))]
    code = CODES[kind]
    return len(values) // len(code), struct.pack("%s%d%s" % (order, len(values), code[0]), *values)


def _directory(tags, at, order):
    """The bytes of a directory that begins at an offset, and what it points to, right behind it."""
    entries, more = b"", b""
    behind = at + 6 + 12 * len(tags)
    for tag in sorted(tags):
        kind, values = tags[tag]
        count, data = _encode(kind, values, order)
        if len(data) > 4:
            place = struct.pack(order + "I", behind + len(more))
            more += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, kind, count) + place
    return struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", 0) + more


def _samples_bytes(samples, bits, big):
    data = array.array("H" if bits == 16 else "B", samples)
    if bits == 16 and big != (sys.byteorder == "big"):
        data.byteswap()
    return data.tobytes()


def _layout_tags(pattern, width, height, bits, size):
    """How the samples are stored."""
    n = 3 if pattern == "LINEAR" else 1
    return {254: (LONG, [0]), 256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [bits] * n), 259: (SHORT, [1]),
            262: (SHORT, [LINEAR if pattern in ("LINEAR", "MONO") else CFA]), 277: (SHORT, [n]), 278: (LONG, [height]),
            279: (LONG, [size]), 284: (SHORT, [1])}


def _camera_tags(pattern, black, white):
    tags = {271: (ASCII, "Testmaker"), 272: (ASCII, "Testmaker Model 1"), ORIENTATION: (SHORT, [1]),
            50706: (BYTE, [1, 4, 0, 0]), 50707: (BYTE, [1, 1, 0, 0]), 50708: (ASCII, "Testmaker Model 1"),
            BLACK: (LONG, [black]), WHITE: (LONG, [white] * (3 if pattern == "LINEAR" else 1)), 50778: (SHORT, [21]),
            MATRIX: (SRATIONAL, _XYZ_TO_RGB), NEUTRAL: (RATIONAL, [0.5, 1.0, 0.7])}
    if pattern == "LINEAR":
        tags[BLACK] = (LONG, [black] * 3)
        tags[50713] = (SHORT, [1, 1])
    if pattern not in ("LINEAR", "MONO"):
        side = math.isqrt(len(pattern))
        letters = "RGBCMY"
        tags[33421] = (SHORT, [side, side])
        tags[33422] = (BYTE, [letters.index(c) for c in pattern])
        planes = sorted({letters.index(c) for c in pattern})
        tags[50710] = (BYTE, planes)
        tags[50711] = (SHORT, [1])
        if len(planes) == 4:
            tags[MATRIX] = (SRATIONAL, [0.2, 0.4, 0.9, 0.8, 0.2, 0.7, 0.9, 0.8, 0.1, 0.1, 0.9, 0.3])
            tags[NEUTRAL] = (RATIONAL, [0.8, 0.9, 1.0, 0.7])
    return tags


def dng(width, height, pattern="RGGB", samples=None, bits=16, black=512, white=16383, big=False, tags=(), exif=None,
        gps=None, xmp=None, without=(), front=False):
    """A DNG of one strip. pattern: the filter array row by row, "LINEAR" or "MONO".

    tags, exif, gps: {tag: (type, values)}; fractions are numbers or pairs. without: tags that are left out. front: the
    directories stand before the samples."""
    order = ">" if big else "<"
    if samples is None:
        samples = linear(width, height, black, white) if pattern == "LINEAR" else mosaic(pattern, width, height, black, white)
    pixels = _samples_bytes(samples, bits, big)
    pixels += b"\0" * (len(pixels) % 2)
    main = {**_layout_tags(pattern, width, height, bits, len(pixels)), **_camera_tags(pattern, black, white), **dict(tags)}
    if xmp:
        main[XMP] = (BYTE, xmp)
    for tag in without:
        main.pop(tag, None)
    main[273] = (LONG, [8])
    if front:
        main[273] = (LONG, [8 + len(_directories(main, exif, gps, 8, order)[0])])
    directories, first = _directories(main, exif, gps, 8 if front else 8 + len(pixels), order)
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(order + "I", first)
    return head + (directories + pixels if front else pixels + directories)


def _directories(main, exif, gps, at, order):
    """All of them from an offset on, and where the first one is."""
    body, main = b"", dict(main)
    for tag, directory in ((EXIF, exif), (GPS, gps)):
        if directory:
            main[tag] = (LONG, [at + len(body)])
            body += _directory(directory, at + len(body), order)
            body += b"\0" * (len(body) % 2)
    whole = body + _directory(main, at + len(body), order)
    return whole + b"\0" * (len(whole) % 2), at + len(body)


# --- reading

class Directory(dict):
    """{tag: values}; values are a tuple of numbers, or bytes."""

    def __init__(self, data, order, at):
        super().__init__()
        self.kinds = {}
        for i in range(struct.unpack_from(order + "H", data, at)[0]):
            tag, kind, count = struct.unpack_from(order + "HHI", data, at + 2 + 12 * i)
            code, place = CODES[kind], at + 10 + 12 * i
            size = struct.calcsize("=" + code) * count
            if size > 4:
                place = struct.unpack_from(order + "I", data, place)[0]
            if kind in (BYTE, ASCII, UNDEFINED) or len(code) == 1:
                values = struct.unpack_from("%s%d%s" % (order, count, code), data, place)
            else:
                flat = struct.unpack_from("%s%d%s" % (order, 2 * count, code[0]), data, place)
                values = tuple(n / d if d else math.nan for n, d in zip(flat[::2], flat[1::2]))
            self[tag] = bytes(values) if code == "B" else values
            self.kinds[tag] = kind

    def text(self, tag):
        return self[tag].rstrip(b"\0").decode("utf-8", "replace")


class Dng:
    """A DNG that was written: .main, .raw, .preview, .exif and .gps are directories, or None."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        self.order = "<" if self.data[:2] == b"II" else ">"
        assert struct.unpack_from(self.order + "H", self.data, 2)[0] == 42, "no TIFF: %r" % self.data[:8]
        self.main = self._read(struct.unpack_from(self.order + "I", self.data, 4)[0])
        others = [self._read(at) for at in self.main.get(SUB_IFDS, ())]
        raws = [d for d in [self.main] + others if d[262][0] in (CFA, LINEAR)]
        self.raw = raws[0] if raws else None
        self.preview = next((d for d in others if d is not self.raw), None)
        self.exif = self._read(self.main[EXIF][0]) if EXIF in self.main else None
        self.gps = self._read(self.main[GPS][0]) if GPS in self.main else None
        for directory in [self.main] + others:
            self._check_whole(directory)

    def _read(self, at):
        return Directory(self.data, self.order, at)

    def _check_whole(self, directory):
        for places, sizes in ((273, 279), (324, 325)):
            for at, size in zip(directory.get(places, ()), directory.get(sizes, ())):
                assert size > 0 and at + size <= len(self.data), "the file ends before its samples"

    @property
    def kind(self):
        return {CFA: "cfa", LINEAR: "linear"}[self.raw[262][0]]

    @property
    def size(self):
        return self.raw[256][0], self.raw[257][0]

    @property
    def xmp(self):
        return self.main.get(XMP, b"").decode()

    def samples(self):
        """Uncompressed ones, in strips or tiles, row by row: whole numbers, or half floats."""
        raw = self.raw
        assert raw[259][0] == 1, "compressed"
        width, height = self.size
        n = raw.get(277, (1,))[0]
        code = "e" if raw.get(339, (1,))[0] == 3 else "H"
        tiled = 324 in raw
        w, h = (raw[322][0], raw[323][0]) if tiled else (width, raw.get(278, (height,))[0])
        across = -(-width // w)
        out = [0] * (width * height * n)
        for i, at in enumerate(raw[324 if tiled else 273]):
            left, top = i % across * w, i // across * h
            take = min(w, width - left) * n
            for y in range(min(h, height - top)):
                row = struct.unpack_from("%s%d%s" % (self.order, take, code), self.data, at + y * w * n * 2)
                start = ((top + y) * width + left) * n
                out[start:start + take] = row
        return out

    def light(self):
        """The same, 0 at black and 1 at white."""
        black, white = self.raw[BLACK][0], self.raw[WHITE][0]
        return [(v - black) / (white - black) for v in self.samples()]
