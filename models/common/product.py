# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring through the product's command line: pictures go in and come out as files, in floating point.

PFM is linear light with sRGB's primaries, so nothing is rounded or cut on the way in or out.
"""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EVALUATION = os.environ.get("EVALUATION_DATA", os.path.join(ROOT, "..", "shared", "data"))
KODAK = os.path.join(EVALUATION, "kodak")


def srgb_to_linear(v):
    a = np.abs(v)
    return (np.sign(v) * np.where(a <= 0.04045, a / 12.92, ((a + 0.055) / 1.055) ** 2.4)).astype(np.float32)


def linear_to_srgb(v):
    a = np.abs(v)
    return (np.sign(v) * np.where(a <= 0.0031308, a * 12.92, 1.055 * a ** (1 / 2.4) - 0.055)).astype(np.float32)


def write_pfm(path, srgb):
    """[h, w, 3] sRGB, any range."""
    linear = srgb_to_linear(srgb)
    with open(path, "wb") as f:
        f.write(b"PF\n%d %d\n-1.0\n" % (srgb.shape[1], srgb.shape[0]))
        f.write(np.ascontiguousarray(linear[::-1], "<f4").tobytes())


def read_pfm(path):
    """[h, w, 3] sRGB."""
    with open(path, "rb") as f:
        kind, size, scale = f.readline().strip(), f.readline().split(), float(f.readline())
        data = np.frombuffer(f.read(), "<f4" if scale < 0 else ">f4")
    if kind != b"PF":
        raise ValueError(f"{path} is no PFM in colour")
    return linear_to_srgb(data.reshape(int(size[1]), int(size[0]), 3)[::-1])


def kodak():
    """[(name, picture)] of the eight, sRGB in 0..1. Never trained on."""
    from PIL import Image
    paths = sorted(glob.glob(os.path.join(KODAK, "*.png")))
    if not paths:
        sys.exit(f"{KODAK} is not there: set EVALUATION_DATA to the folder that has kodak/, models/ and raw/.")
    return [(os.path.splitext(os.path.basename(p))[0],
             np.asarray(Image.open(p).convert("RGB"), np.float32) / 255) for p in paths]


def psnr(a, b):
    return float(-10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2) + 1e-12))


def ssim(a, b):
    """Wang et al. (2004) of the luminance, Gaussian window of 11 pixels."""
    from scipy.ndimage import gaussian_filter
    x, y = (p.astype(np.float64) @ [0.299, 0.587, 0.114] for p in (a, b))
    g = lambda p: gaussian_filter(p, 1.5, truncate=3.5)
    mx, my = g(x), g(y)
    vx, vy, cov = g(x * x) - mx * mx, g(y * y) - my * my, g(x * y) - mx * my
    c1, c2 = 0.01 ** 2, 0.03 ** 2
    s = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(s[5:-5, 5:-5].mean())


class Program:
    """darktable-ai with a configuration of its own, in which FFDNet lies beside the bundled models."""

    def __init__(self, build=None, candidate=None):
        self.home = tempfile.mkdtemp(prefix="models-eval-")
        self.binary = os.path.join(build or os.path.join(ROOT, "build"), "bin", "darktable-ai")
        models = os.path.join(self.home, "config", "models")
        os.makedirs(models)
        for folder in [os.path.join(EVALUATION, "models", "denoise-ffdnet")] + (candidate or []):
            if os.path.isdir(folder):
                shutil.copytree(folder, os.path.join(models, os.path.basename(os.path.normpath(folder))))
        self.call("enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.home, True)

    def call(self, *arguments):
        """What it printed; ends the measurement when it fails."""
        command = [self.binary, "--configdir", os.path.join(self.home, "config"), "--cachedir",
                   os.path.join(self.home, "cache"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return done.stdout

    def pictures(self, task, pictures, *options):
        """The same pictures, processed: one run for all of them."""
        inside, outside = (os.path.join(self.home, n) for n in ("in", "out"))
        for folder in (inside, outside):
            shutil.rmtree(folder, True)
            os.makedirs(folder)
        paths = [os.path.join(inside, f"{i:03d}.pfm") for i in range(len(pictures))]
        for path, picture in zip(paths, pictures):
            write_pfm(path, picture)
        self.call(task, "--format", "pfm", "-o", outside, *options, *paths)
        return [read_pfm(path) for path in sorted(glob.glob(os.path.join(outside, "*")))]

    def has(self, model):
        return model in self.call("models", "list")

    def reported(self, task, *arguments):
        """Seconds of the program's own clock, for one file."""
        return json.loads(self.call(task, "--json", *arguments).splitlines()[-1])["seconds"]

    def seconds(self, task, path, *options):
        """The same, from a picture to an uncompressed TIFF."""
        out = os.path.join(self.home, "timed.tif")
        return self.reported(task, "--overwrite", "--bit-depth", "16", "--compression", "none", "-o", out,
                             *options, path)


def row(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def head(*cells):
    print()
    row(*cells)
    row(*["---"] * len(cells))
