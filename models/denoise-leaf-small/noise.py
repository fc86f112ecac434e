# This file is part of darktable-ai.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera-like and synthetic noise for training, evaluation and demos.

Pictures are float32 arrays of shape [height, width, 3], sRGB-encoded, nominally 0..1. Noise is
never clipped unless said so: a noisy value may lie below 0 or above 1. Needs numpy; Pillow only for
JPEG and for the command line.
"""
import argparse
import io
import struct

import numpy as np

# The camera of the evaluation and of demos: white-balance gains and camera -> sRGB matrix.
WB = np.array([2.0, 1.0, 1.6], np.float32)
MATRIX = np.array([[1.60, -0.50, -0.10], [-0.20, 1.50, -0.30], [0.00, -0.50, 1.50]], np.float32)
READ = 0.05                                                # share of read noise at middle grey
LEVELS = {1: 4.0 / 255, 2: 9.0 / 255, 3: 18.0 / 255}       # weak, moderate, strong


def to_linear(y):
    """Inverse sRGB curve; its linear toe goes on below 0."""
    return np.where(y <= 0.04045, y / 12.92,
                    ((np.maximum(y, 0.04045) + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(x):
    """sRGB curve; its linear toe goes on below 0, its power law above 1."""
    return np.where(x <= 0.0031308, x * 12.92,
                    1.055 * np.maximum(x, 0.0031308) ** (1 / 2.4) - 0.055).astype(np.float32)


def _filter(m, taps):
    """Correlate a plane with the 5x5 kernel given as {(dy, dx): weight}; edges mirrored."""
    h, w = m.shape
    p = np.pad(m, 2, mode="reflect")
    out = np.zeros_like(m)
    for (dy, dx), k in taps.items():
        out += np.float32(k) * p[2 + dy:2 + dy + h, 2 + dx:2 + dx + w]
    return out


def _taps(rows, scale):
    return {(y - 2, x - 2): v / scale for y, r in enumerate(rows) for x, v in enumerate(r) if v}


_BILINEAR = dict(
    g=_taps([[0] * 5, [0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0] * 5], 4),
    row=_taps([[0] * 5, [0] * 5, [0, 1, 0, 1, 0], [0] * 5, [0] * 5], 2),
    col=_taps([[0] * 5, [0, 0, 1, 0, 0], [0] * 5, [0, 0, 1, 0, 0], [0] * 5], 2),
    diag=_taps([[0] * 5, [0, 1, 0, 1, 0], [0] * 5, [0, 1, 0, 1, 0], [0] * 5], 4))
_ROW = [[0, 0, .5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, .5, 0, 0]]
_GRADIENT = dict(                                           # Malvar, He, Cutler 2004
    g=_taps([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0],
             [0, 0, -1, 0, 0]], 8),
    row=_taps(_ROW, 8), col=_taps(np.transpose(_ROW).tolist(), 8),
    diag=_taps([[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0],
                [0, 0, -1.5, 0, 0]], 8))


def demosaic(m, gradient):
    """RGGB plane -> RGB, bilinear or gradient-corrected. Both are linear in m."""
    k = _GRADIENT if gradient else _BILINEAR
    g, row, col, diag = (_filter(m, k[n]) for n in ("g", "row", "col", "diag"))
    out = np.stack([m, m, m], -1)
    r0, r1 = slice(0, None, 2), slice(1, None, 2)
    out[r0, r0, 1], out[r0, r0, 2] = g[r0, r0], diag[r0, r0]            # at red
    out[r1, r1, 1], out[r1, r1, 0] = g[r1, r1], diag[r1, r1]            # at blue
    out[r0, r1, 0], out[r0, r1, 2] = row[r0, r1], col[r0, r1]           # green in a red row
    out[r1, r0, 0], out[r1, r0, 2] = col[r1, r0], row[r1, r0]           # green in a blue row
    return out


def camera(y, rng, s, read=READ, wb=WB, matrix=MATRIX, gradient=True):
    """Poisson-Gaussian noise of a Bayer sensor, seen after demosaic, white balance, matrix, curve.

    s is the standard deviation, in sRGB units, of one green photosite at middle grey (linear 0.18);
    read is the share of signal-independent variance there. In raw units:
        v = (s / 1.2)^2,  a = (1 - read) v / 0.18,  b = read v,  raw' = a Poisson(raw / a) + N(0, b).
    Only the noise goes through the (linear) demosaic: the picture keeps its own detail.
    """
    lin = to_linear(y)
    raw = np.maximum(lin @ np.linalg.inv(matrix).T.astype(np.float32), 0) / wb
    m = raw[..., 1].copy()
    m[0::2, 0::2], m[1::2, 1::2] = raw[0::2, 0::2, 0], raw[1::2, 1::2, 2]
    v = (s / 1.2) ** 2
    a, b = (1 - read) * v / 0.18, read * v
    n = (a * rng.poisson(m / a) - m).astype(np.float32)
    n += np.sqrt(b) * rng.standard_normal(m.shape, np.float32)
    return to_srgb(lin + (demosaic(n, gradient) * wb) @ np.asarray(matrix, np.float32).T)


def blur(n, sigma):
    """Separable Gaussian blur of [h, w, c] noise, scaled back to the variance it had."""
    x = np.arange(-3, 4)
    k = np.exp(-0.5 * (x / sigma) ** 2)
    k /= np.sqrt((k ** 2).sum())
    for axis in (0, 1):
        p = np.pad(n, [(3, 3) if i == axis else (0, 0) for i in range(3)], mode="reflect")
        n = sum(np.float32(c) * np.take(p, range(i, i + n.shape[axis]), axis)
                for i, c in enumerate(k))
    return n


def jpeg(y, quality):
    """One round through an 8-bit JPEG (which clips)."""
    from PIL import Image
    buf = io.BytesIO()
    Image.fromarray((np.clip(y, 0, 1) * 255 + 0.5).astype(np.uint8)).save(buf, "JPEG",
                                                                         quality=int(quality))
    return np.asarray(Image.open(buf), np.float32) / 255


def random_camera(y, rng):
    """camera() with a camera and a level drawn at random."""
    mix = rng.uniform(0.02, 0.16, (3, 3))
    np.fill_diagonal(mix, 0)
    np.fill_diagonal(mix, 1 - mix.sum(1))                   # sRGB -> camera, rows sum to 1
    wb = np.array([rng.uniform(1.3, 2.6), 1, rng.uniform(1.2, 2.6)], np.float32)
    return camera(y, rng, s=np.exp(rng.uniform(np.log(1.2), np.log(32))) / 255,
                  read=np.exp(rng.uniform(np.log(0.003), np.log(0.4))), wb=wb,
                  matrix=np.linalg.inv(mix).astype(np.float32), gradient=rng.random() < 0.6)


def random_gaussian(y, rng, correlated):
    """Additive Gaussian in sRGB: white or blurred, per channel, perhaps growing with the signal."""
    sigma = rng.uniform(0, 55) / 255
    if rng.random() < 0.4:
        sigma = sigma * rng.uniform(0.4, 1.3, 3).astype(np.float32)
    n = rng.standard_normal(y.shape, np.float32)
    if correlated:
        n = blur(n, rng.uniform(0.3, 1.1))
        if rng.random() < 0.5:                              # luma and chroma parts of their own
            luma = blur(rng.standard_normal(y.shape[:2] + (1,), np.float32), rng.uniform(0.3, 0.8))
            t = rng.uniform(0.2, 0.9)
            n = np.sqrt(t) * luma + np.sqrt(1 - t) * n
        k = rng.uniform(0, 1)
        n = n * np.sqrt(1 - k + 2 * k * np.clip(y, 0, 1))
    return y + (sigma * n).astype(np.float32)


def random_noise(y, rng):
    """What one training patch gets: see README.md, "Noise"."""
    t = rng.random()
    if t < 0.07:                                            # nearly clean
        out = y + rng.uniform(0, 1.5) / 255 * rng.standard_normal(y.shape, np.float32) \
            if rng.random() < 0.6 else y.copy()
    elif t < 0.62:
        out = random_camera(y, rng)
    else:
        out = random_gaussian(y, rng, correlated=t > 0.86)
    u = rng.random()
    if u < 0.06:
        out = jpeg(out, rng.integers(80, 99))
    elif u < 0.25:
        out = np.clip(out, 0, 1)
    return out


def write_tiff(path, y):
    """Uncompressed 32-bit float RGB TIFF."""
    h, w, _ = y.shape
    extra = 8 + 2 + 12 * 12 + 4                             # header, directory
    entries = [(256, 4, 1, w), (257, 4, 1, h), (258, 3, 3, extra), (259, 3, 1, 1), (262, 3, 1, 2),
               (273, 4, 1, extra + 12), (277, 3, 1, 3), (278, 4, 1, h), (279, 4, 1, 12 * h * w),
               (284, 3, 1, 1), (274, 3, 1, 1), (339, 3, 3, extra + 6)]
    with open(path, "wb") as f:
        f.write(struct.pack("<2sHIH", b"II", 42, 8, len(entries)))
        for e in sorted(entries):
            f.write(struct.pack("<HHII", *e))
        f.write(struct.pack("<I6H", 0, 32, 32, 32, 3, 3, 3))
        f.write(np.ascontiguousarray(y, "<f4").tobytes())


def main():
    from PIL import Image
    p = argparse.ArgumentParser(description="Add camera-like noise to a picture (float TIFF out).")
    p.add_argument("picture")
    p.add_argument("output")
    p.add_argument("--level", type=int, choices=sorted(LEVELS), default=2)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    y = np.asarray(Image.open(a.picture).convert("RGB"), np.float32) / 255
    write_tiff(a.output, camera(y, np.random.default_rng(a.seed), LEVELS[a.level]))


if __name__ == "__main__":
    main()
