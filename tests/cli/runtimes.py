# SPDX-License-Identifier: GPL-3.0-or-later
"""Real ONNX Runtimes for the tests, and what those have in common. Each is one exact version, fetched with pip or npm,
compared with its digest and kept: in the folder that DT_TEST_RUNTIMES names, else in .deps/test-runtimes. Only the long
test run (DT_TEST_LONG) fetches; what is there already is used by the quick one as well. An archive that was put into the
folder by hand is used like one that was fetched."""
import array
import contextlib
import fcntl
import fnmatch
import functools
import glob
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile

import harness
from harness import CliTest

SECONDS = 900  # for one download
MACHINES = {"x86_64": "x64", "aarch64": "arm64"}
PACKAGE = "onnxruntime-node"  # as npm calls it

# archive: what it is called by its client, and its SHA-256
NODE = {
    "1.18.0": "d9ffdc4b27fa5d65878153b6c6182c6634fad7102673eddba0cf12f919fb9edd",
    "1.21.0": "c711a4048a8b460a70de25a5008b1628e3773878ef9deec1dd4a4ccab46de01a",
    "1.30.0": "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75",
}
OPENVINO = ("onnxruntime_openvino-1.24.1-cp312-cp312-manylinux_2_28_x86_64.whl",
            "d617fac2f59a6ab5ea59a788c3e1592240a129642519aaeaa774761dfe35150e")
SWIFTSHADER = ("sparticuz-chromium-147.0.0.tgz", "18fe5404ce845594cd7d592fc07f37a19514079ba4d9c27192ad8b908743f16b")


def onnxruntime(version):
    """The library of that version, from npm."""
    machine = _machine("x86_64", "aarch64")
    folder = _provide("%s-%s.tgz" % (PACKAGE, version), NODE[version], _npm("%s@%s" % (PACKAGE, version)),
                      _untar("package/bin/napi-v*/linux/%s/libonnxruntime.so*" % machine))
    # one library, in some versions under two names
    return sorted(glob.glob(os.path.join(folder, "libonnxruntime.so*")))[0]


def openvino():
    """The library of the runtime with OpenVINO, its parts beside it."""
    _machine("x86_64")
    fetch = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-cache-dir", "download",
             "--quiet", "--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version=3.12",
             "--abi=cp312", "--platform=manylinux_2_28_x86_64", "--dest={}", "onnxruntime-openvino==1.24.1"]
    folder = _provide(*OPENVINO, fetch, _unzip)
    return glob.glob(os.path.join(folder, "libonnxruntime.so*"))[0]


def swiftshader():
    """The folder of a Vulkan driver that computes on the processor, and of the loader that opens it."""
    _machine("x86_64")
    return _provide(*SWIFTSHADER, _npm("@sparticuz/chromium@147.0.0"), _unpack_swiftshader)


# --- fetching

def _machine(*known):
    machine = platform.machine()
    if not sys.platform.startswith("linux") or machine not in known:
        raise unittest.SkipTest("there is no such runtime for %s on %s" % (sys.platform, machine))
    return MACHINES[machine]


def _folder():
    return os.environ.get("DT_TEST_RUNTIMES") or os.path.join(harness.SOURCE, ".deps", "test-runtimes")


def _npm(package):
    return ["npm", "pack", "--ignore-scripts", "--no-progress", "--no-update-notifier", "--cache={}/.npm",
            "--pack-destination={}", package]


def _provide(archive, digest, fetch, unpack):
    """The folder with what unpack() takes out of the archive. Tests run side by side: one of them fetches."""
    if harness.SANITIZED:
        raise unittest.SkipTest("other people's libraries are not run under sanitizers")
    top = _folder()
    folder = os.path.join(top, "%s-%s" % (archive.rsplit(".", 1)[0], digest[:12]))
    local = os.path.join(top, archive)
    if not os.path.isdir(folder) and not os.path.exists(local) and not harness.LONG:
        raise unittest.SkipTest("%s is not in %s; make test-long fetches it" % (archive, top))
    os.makedirs(top, exist_ok=True)
    with _lock(os.path.join(top, ".lock")):
        if not os.path.isdir(folder):
            with tempfile.TemporaryDirectory(prefix=".incoming-", dir=top) as incoming:
                path = local if os.path.exists(local) else _fetch(archive, fetch, incoming)
                _verify(path, digest)
                wanted = os.path.join(incoming, "wanted")
                os.mkdir(wanted)
                unpack(path, wanted)
                os.rename(wanted, folder)
    return folder


@contextlib.contextmanager
def _lock(path):
    with open(path, "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _fetch(archive, command, folder):
    """What hinders the client, hinders the test: that is no failure of ours."""
    command = [word.replace("{}", folder) for word in command]
    try:
        done = subprocess.run(command, timeout=SECONDS, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise unittest.SkipTest("%s cannot be fetched: %s" % (archive, error))
    path = os.path.join(folder, archive)
    if done.returncode != 0 or not os.path.exists(path):
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if "error" in line.lower()]
        raise unittest.SkipTest("%s cannot be fetched: %s" % (archive, "; ".join(lines[:3]) or "no reason given"))
    return path


def _verify(path, digest):
    sha256 = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            sha256.update(block)
    assert sha256.hexdigest() == digest, "%s has the SHA-256 %s, not %s" % (path, sha256.hexdigest(), digest)


# --- unpacking: files by name, all into one folder

def _untar(pattern):
    def unpack(path, folder):
        with tarfile.open(path) as t:
            _take(folder, ((m.name, t.extractfile(m)) for m in t if m.isfile() and fnmatch.fnmatch(m.name, pattern)))
    return unpack


def _unzip(path, folder):
    """One name of each library: the wheel has the versioned ones two or three times."""
    patterns = ("libonnxruntime*.so*", "libopenvino*.so", "libopenvino*.so.2541", "libtbb*.so*")
    with zipfile.ZipFile(path) as z:
        names = (n for n in z.namelist() if any(fnmatch.fnmatch(os.path.basename(n), p) for p in patterns))
        _take(folder, ((n, z.open(n)) for n in names))


def _unpack_swiftshader(path, folder):
    with tarfile.open(path) as t:
        packed = t.extractfile("package/bin/swiftshader.tar.br").read()
    with tarfile.open(fileobj=io.BytesIO(_unbrotli(packed))) as t:
        wanted = ("libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json")
        _take(folder, ((m.name, t.extractfile(m)) for m in t if os.path.basename(m.name) in wanted))


def _take(folder, files):
    n = 0
    for name, source in files:
        with source, open(os.path.join(folder, os.path.basename(name)), "wb") as f:
            shutil.copyfileobj(source, f)
        n += 1
    assert n, "nothing that is wanted is in the archive"


def _unbrotli(data):
    try:
        import brotli
        return brotli.decompress(data)
    except ImportError:
        pass
    script = "process.stdout.write(require('zlib').brotliDecompressSync(require('fs').readFileSync(0)))"
    try:
        return subprocess.run(["node", "-e", script], input=data, stdout=subprocess.PIPE, timeout=120, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise unittest.SkipTest("neither Python's brotli nor node unpacks the driver: %s" % error)


# --- tests

def samples(path):
    """The floats of an uncompressed TIFF."""
    data = harness.read_bytes(path)
    tags = harness.tiff_tags(data)
    values = array.array("f")
    for offset, size in zip(tags[273], tags[279]):
        values.frombytes(data[offset:offset + size])
    return values


@functools.lru_cache(maxsize=None)
def _crop(side):
    """The middle of a real photograph as a PNG, or None where the shared test data is absent."""
    base = os.environ.get("DT_TEST_DATA") or os.path.join(harness.SOURCE, "..", "shared", "data")
    path = os.path.join(base, "kodak", "kodim23.png")
    if not os.path.exists(path):
        return None
    data = harness.read_bytes(path)
    info = harness.picture_info(data)
    all_samples, stride = harness.png_samples(data), info["width"] * 3
    x, y = (info["width"] - side) // 2 * 3, (info["height"] - side) // 2
    rows = [all_samples[(y + i) * stride + x:(y + i) * stride + x + side * 3] for i in range(side)]
    return harness.png(side, side, 3, 8, [value for row in rows for value in row])


class RuntimeTest(CliTest):
    """Tests with a real runtime, self.library. What it has compiled and tried is shared by the tests of the class,
    unless they ask for a cache of their own."""

    models = ("denoise-conv3", "denoise-sigma", "denoise-unet")
    library = None

    @classmethod
    def setUpClass(cls):
        cls.kept = tempfile.mkdtemp(prefix="dt-runtime-")
        cls.addClassCleanup(shutil.rmtree, cls.kept, True)

    def setUp(self):
        super().setUp()
        self.cache = self.kept
        self.use(self.library)

    def use(self, library):
        path = "plugins/ai/ort_library_path=%s\n" % library if library else ""
        self.write_airc("plugins/ai/enabled=TRUE\nplugins/ai/models/active/denoise=denoise-conv3\n" + path)

    def fresh_cache(self):
        self.cache = self.path("cache")

    def bundled_model(self):
        """The id of a model that comes with the program."""
        return sorted(os.listdir(os.path.join(harness.SOURCE, "data", "models")))[0]

    def photograph(self, side=256):
        data = _crop(side)
        if not data:
            self.skipTest("the shared test data is not here")
        return self.write("photograph-%d.png" % side, data)

    def floats(self, picture, provider, *more, **options):
        """What the run said, and the floats it wrote."""
        out = self.file("floats.tif")
        result = self.assert_ok(self.denoise("--provider", provider, "--bit-depth", 32, "--compression", "none",
                                             "--overwrite", "-o", out, *more, picture, **options))
        return result, samples(out)

    def assert_close(self, one, other, limit, what):
        """The largest difference; it is printed, so that a log of the tests tells it."""
        self.assertEqual(len(one), len(other), what)
        worst = max(abs(a - b) for a, b in zip(one, other))
        spread = max(one) - min(one)
        print("%s: differs by at most %.2g, values spread over %.2g" % (what, worst, spread), file=sys.stderr)
        self.assertGreater(spread, 0.1, "a picture without contents shows nothing")
        self.assertLessEqual(worst, limit, what)
