# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the command line share: a home of one's own for each test, pictures made by hand,
and checks that are the same everywhere. Python 3.9 and its standard library only.

Each test file is run as: python3 test_cli_NAME.py SOURCE_DIR BUILD_DIR [unittest's arguments]"""
import atexit
import functools
import glob
import hashlib
import json
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

LONG = bool(os.environ.get("DT_TEST_LONG"))
SANITIZED = bool(os.environ.get("DT_TEST_SANITIZED"))
SOURCE = BUILD = PROGRAM = PICTURE = FIXTURES = None
SLOWER = 10 if SANITIZED else 1

# measurements of models are shared by all tests of a file: they do not depend on the test
_shared = tempfile.mkdtemp(prefix="dt-cli-")
CACHE = os.path.join(_shared, "cache")
atexit.register(shutil.rmtree, _shared, True)

# every message tells a person what to do next, in one of these words
NEXT_STEP = re.compile(
    r"See:|[Ss]ee what|e\.g\.:|[Cc]hoose|[Cc]heck|[Cc]opy|[Cc]onvert|[Uu]se |[Gg]ive|[Cc]reate|[Ff]ree some|[Rr]emove|"
    r"[Ss]ave|[Ee]xport|ignore|[Ss]et |[Ss]ay |[Cc]ut |takes|[Ii]nstall|Switch them on|allow|ask your|[Dd]enoise the|Make |"
    r"Ask whoever|Download it|[Tt]ry again|[Tt]ry another|[Cc]orrect|[Ll]og in|--memory|[Dd]evelop|lower|raise|[Ll]eave|neither may|can only be", re.S)


def main():
    """Reads the two directories, then hands over to unittest."""
    global SOURCE, BUILD, PROGRAM, PICTURE, FIXTURES
    if len(sys.argv) < 3:
        sys.exit("usage: %s SOURCE_DIR BUILD_DIR [unittest's arguments]" % sys.argv[0])
    SOURCE, BUILD = (os.path.abspath(path) for path in sys.argv[1:3])
    PROGRAM = os.path.join(BUILD, "bin", "darktable-ai")
    PICTURE = os.path.join(BUILD, "bin", "picture")
    FIXTURES = os.path.join(SOURCE, "tests", "fixtures", "models")
    if not os.access(PROGRAM, os.X_OK):
        sys.exit("%s is not there; build first" % PROGRAM)
    unittest.main(module="__main__", argv=[sys.argv[0]] + sys.argv[3:])


def open_bug(story):
    """Marks a test of what is known not to work yet: as long as it fails, it is skipped with the story."""
    def decorate(test):
        @functools.wraps(test)
        def wrapped(self):
            try:
                test(self)
            except AssertionError:
                self.skipTest("open: " + story)
        return wrapped
    return decorate


class Result:
    """What a finished run said."""

    def __init__(self, args, code, out, err, seconds):
        self.args, self.code, self.seconds = args, code, seconds
        self.out = out.decode("utf-8", "surrogateescape")
        self.err = err.decode("utf-8", "surrogateescape")
        self.messages = [line for line in self.err.splitlines() if line.startswith("darktable-ai: ")]

    def __str__(self):
        return "%s\n  exit code %s\n  stdout: %s\n  stderr: %s" % (
            " ".join(map(repr, self.args)), self.code, self.out.strip(), self.err.strip())


class CliTest(unittest.TestCase):
    """One temporary directory per test: configuration, home, and work/ for the pictures."""

    models = ("denoise-conv3",)
    program = None  # another one than the build's
    enabled = True

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="t-", dir=_shared)
        self.addCleanup(_remove_tree, self.dir)
        self.config = self.path("config")
        self.cache = CACHE
        self.work = self.path("work")
        for name in ("config/models", "home", "work", "tmp"):
            os.makedirs(self.path(name))
        for model in self.models:
            self.add_model(model)
        if self.enabled:
            self.write_airc("plugins/ai/enabled=TRUE\nplugins/ai/models/active/denoise=denoise-conv3\n")

    # --- places

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def file(self, *names):
        return os.path.join(self.work, *names)

    def write_airc(self, text):
        with open(os.path.join(self.config, "darktable-airc"), "w") as f:
            f.write(text)

    def read_airc(self):
        try:
            with open(os.path.join(self.config, "darktable-airc")) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def add_model(self, folder, model_id=None, **changes):
        """Installs a fixture, perhaps under another id and with another manifest."""
        source = os.path.join(FIXTURES, folder)
        target = os.path.join(self.config, "models", model_id or os.path.basename(folder))
        if not model_id and not changes:
            os.symlink(source, target)
            return target
        os.makedirs(target)
        for name in os.listdir(source):
            if name != "config.json":
                os.symlink(os.path.join(source, name), os.path.join(target, name))
        with open(os.path.join(source, "config.json")) as f:
            manifest = json.load(f)
        manifest.update(changes)
        if model_id:
            manifest["id"] = model_id
        with open(os.path.join(target, "config.json"), "w") as f:
            json.dump(manifest, f)
        return target

    # --- running

    def environment(self, **more):
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.path("home"),
               "LC_ALL": "C.UTF-8", "TMPDIR": self.path("tmp")}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "LD_PRELOAD"):
            if name in os.environ:
                env[name] = os.environ[name]
        env.update(more)
        return env

    def command(self, *args):
        return [self.program or PROGRAM, "--configdir", self.config, "--cachedir", self.cache] + [
            os.fspath(a) if isinstance(a, (bytes, os.PathLike)) else str(a) for a in args]

    def start(self, *args, env=None, command=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("cwd", self.work)
        return subprocess.Popen(command or self.command(*args), env=env or self.environment(), **options)

    def run_command(self, command, timeout=120, **options):
        began = time.monotonic()
        with self.start(command=command, **options) as process:
            try:
                out, err = process.communicate(timeout=timeout * SLOWER)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                self.fail("took longer than %d s: %s\n%s" % (timeout * SLOWER, command, err))
        result = Result(command, process.returncode, out or b"", err or b"", time.monotonic() - began)
        self.assertNotIn(result.code, (-6, -7, -8, -11), "crashed: %s" % result)
        self.assertNotRegex(result.err, "Sanitizer|runtime error|CRITICAL|WARNING \\*\\*", result)
        return result

    def run_cli(self, *args, **options):
        return self.run_command(self.command(*args), **options)

    def denoise(self, *args, **options):
        return self.run_cli("denoise", *args, **options)

    # --- checks

    def assert_ok(self, result):
        self.assertEqual(result.code, 0, result)
        return result

    def assert_fails(self, result, code, *fragments):
        """The exit code, nothing on stdout, exactly one message, with a next step in it."""
        self.assertEqual(result.code, code, result)
        self.assertEqual(result.out, "", result)
        self.assertEqual(len(result.messages), 1, "not exactly one message: %s" % result)
        self.assertTrue(result.err.startswith("darktable-ai: "), result)
        for fragment in fragments:
            self.assertIn(fragment, result.err, result)
        self.assertRegex(result.err, NEXT_STEP, "no next step: %s" % result)
        return result

    def assert_picture(self, path, size=None):
        """The file is complete: the program's own reader and ours agree."""
        with open(path, "rb") as f:
            data = f.read()
        info = picture_info(data)
        if size:
            self.assertEqual((info["width"], info["height"]), size, path)
        return info

    def snapshot(self, directory=None):
        """Names, kinds, permissions, times and contents of everything below."""
        found = {}
        directory = directory or self.work
        for base, dirs, files in os.walk(directory):
            for name in dirs + files:
                path = os.path.join(base, name)
                status = os.lstat(path)
                text = None
                if stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK):
                    with open(path, "rb") as f:
                        text = hashlib.sha256(f.read()).hexdigest()
                elif stat.S_ISLNK(status.st_mode):
                    text = os.readlink(path)
                mtime = None if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns
                found[os.path.relpath(path, directory)] = (status.st_mode, mtime, text)
        return found

    def parts(self, directory=None):
        return glob.glob(os.path.join(glob.escape(directory or self.work), ".*.part"))

    # --- pictures

    def make(self, name, width=48, height=40, seed=1):
        """A synthetic scene in the format of the name."""
        path = self.file(name)
        subprocess.run([PICTURE, "make", path, str(width), str(height), str(seed)], check=True,
                       env=self.environment())
        return path

    def write(self, name, data):
        path = self.file(name)
        with open(path, "wb") as f:
            f.write(data)
        return path


def _remove_tree(path):
    for base, dirs, _ in os.walk(path):
        for name in dirs:
            full = os.path.join(base, name)
            if not os.path.islink(full):
                os.chmod(full, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def read_bytes(*names):
    with open(os.path.join(*names), "rb") as f:
        return f.read()


# --- pictures made by hand

def pattern(width, height, channels, maximum):
    """Samples with edges and gradients that differ in every channel."""
    out = []
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                out.append((x * 7 + y * 13 + c * 29 + (x // 5 ^ y // 3) * 31) % (maximum + 1))
    return out


def pack(samples, bits, big=True):
    code = {8: "B", 16: "H", 32: "f"}[bits]
    return struct.pack("%s%d%s" % (">" if big else "<", len(samples), code), *samples)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, channels=3, bits=8, samples=None, extra=(), colour_type=None, raw=None):
    """A PNG; extra are (type, data) chunks that go before the pixels."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels] if colour_type is None else colour_type
    if raw is None:
        raw = pack(samples or pattern(width, height, channels, (1 << bits) - 1), bits)
    stride = len(raw) // height
    rows = b"".join(b"\0" + raw[y * stride:(y + 1) * stride] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunk(k, d) for k, d in extra)
            + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))


def read_chunks(data):
    at = 8
    while at + 8 <= len(data):
        size = struct.unpack(">I", data[at:at + 4])[0]
        yield data[at + 4:at + 8], data[at + 8:at + 8 + size]
        at += 12 + size


def png_samples(data):
    """The samples of a PNG of 8 or 16 bits, not interlaced."""
    chunks = list(read_chunks(data))
    width, height, bits, kind = struct.unpack(">IIBB", dict(chunks)[b"IHDR"][:10])
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    step, stride = channels * bits // 8, width * channels * bits // 8
    flat = zlib.decompress(b"".join(d for k, d in chunks if k == b"IDAT"))
    previous, out = bytearray(stride), bytearray()
    for y in range(height):
        at = y * (stride + 1)
        row = bytearray(flat[at + 1:at + 1 + stride])
        _unfilter(flat[at], row, previous, step)
        out += row
        previous = row
    code = ">%d%s" % (len(out) * 8 // bits, "B" if bits == 8 else "H")
    return list(struct.unpack(code, bytes(out)))


def _unfilter(kind, row, above, step):
    for i in range(len(row) if kind else 0):
        a = row[i - step] if i >= step else 0
        b, c = above[i], above[i - step] if i >= step else 0
        if kind == 4:
            p = a + b - c
            guess = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        else:
            guess = (0, a, b, (a + b) // 2)[kind]
        row[i] = (row[i] + guess) & 255


SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8, 13: 4}  # of TIFF's types
CODES = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 12: "d", 13: "I"}


def tiff(width, height, channels=3, bits=8, samples=None, photometric=None, extra=(), raw=None,
         compression=1, sample_format=None, rows_per_strip=None, declared=None):
    """A little-endian TIFF of one strip; extra are (tag, type, values), declared another (w, h)."""
    if raw is None:
        top = 1.0 if bits == 32 else (1 << bits) - 1
        values = pattern(width, height, channels, 255 if bits == 32 else top)
        raw = pack([v / 255.0 for v in values] if bits == 32 else samples or values, bits, False)
    w, h = declared or (width, height)
    colours = 3 if channels >= 3 else 1
    tags = {256: (4, [w]), 257: (4, [h]), 258: (3, [bits] * channels), 259: (3, [compression]),
            262: (3, [2 if colours == 3 and photometric is None else photometric or 1]),
            277: (3, [channels]), 278: (4, [rows_per_strip or h]), 279: (4, [len(raw)]), 284: (3, [1])}
    if channels > colours:
        tags[338] = (3, [2])
    if bits == 32 or sample_format:
        tags[339] = (3, [sample_format or 3] * channels)
    for tag, kind, values in extra:
        tags[tag] = (kind, list(values))
    return _tiff_bytes(tags, raw)


def _tiff_bytes(tags, raw):
    tags[273] = (4, [8])
    body = bytearray(b"II*\0\0\0\0\0" + raw)
    body += b"\0" * (len(body) % 2)
    entries = b""
    for tag in sorted(tags):
        kind, values = tags[tag]
        data = struct.pack("<%d%s" % (len(values), CODES[kind]), *values)
        if len(data) > 4:
            place = struct.pack("<I", len(body))
            body += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, len(values)) + place
    struct.pack_into("<I", body, 4, len(body))
    return bytes(body) + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"


def tiff_tags(data):
    """{tag: values} of the first directory, and the sub-directory of EXIF as the key "exif"."""
    order = "<" if data[:2] == b"II" else ">"
    assert struct.unpack(order + "H", data[2:4])[0] == 42, "BigTIFF or no TIFF"
    tags = _read_ifd(data, order, struct.unpack(order + "I", data[4:8])[0])
    if 34665 in tags:
        tags["exif"] = _read_ifd(data, order, tags[34665][0])
    return tags


def _read_ifd(data, order, at):
    tags = {}
    for i in range(struct.unpack_from(order + "H", data, at)[0]):
        tag, kind, count = struct.unpack_from(order + "HHI", data, at + 2 + 12 * i)
        place = at + 10 + 12 * i
        if SIZES.get(kind, 1) * count > 4:
            place = struct.unpack_from(order + "I", data, place)[0]
        if kind in CODES:
            values = struct.unpack_from("%s%d%s" % (order, count, CODES[kind]), data, place)
            tags[tag] = bytes(values) if CODES[kind] == "B" else list(values)
        elif kind == 5:
            values = struct.unpack_from("%s%dI" % (order, 2 * count), data, place)
            tags[tag] = [a / b if b else 0 for a, b in zip(values[::2], values[1::2])]
    return tags


def jpeg_segments(data):
    """(marker, payload) of everything before the scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xff:
        size = struct.unpack(">H", data[at + 2:at + 4])[0]
        yield data[at + 1], data[at + 4:at + 2 + size]
        if data[at + 1] == 0xda:
            return
        at += 2 + size


def jpeg_insert(data, marker, payload):
    """A segment right after the start of the file."""
    return data[:2] + struct.pack(">BBH", 0xff, marker, len(payload) + 2) + payload + data[2:]


def picture_info(data):
    """Format, size, bits and channels; raises when the file is not complete."""
    if data[:3] == b"\xff\xd8\xff":
        assert data[-2:] == b"\xff\xd9", "JPEG does not end"
        frame = next(p for m, p in jpeg_segments(data) if m in (0xc0, 0xc1, 0xc2))
        bits, height, width, channels = struct.unpack(">BHHB", frame[:6])
        return dict(format="jpeg", width=width, height=height, bits=bits, channels=channels)
    if data[:4] == b"\x89PNG":
        chunks = list(read_chunks(data))
        assert chunks[-1][0] == b"IEND", "PNG does not end"
        width, height, bits, kind = struct.unpack(">IIBB", dict(chunks)[b"IHDR"][:10])
        return dict(format="png", width=width, height=height, bits=bits, chunks=chunks,
                    channels={0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind])
    tags = tiff_tags(data)
    for at, size in zip(tags.get(273, ()), tags.get(279, ())):
        assert at + size <= len(data), "TIFF ends before its pixels"
    return dict(format="tiff", width=tags[256][0], height=tags[257][0], bits=tags[258][0], tags=tags,
                channels=tags.get(277, [1])[0], compression=tags[259][0])
