# SPDX-License-Identifier: GPL-3.0-or-later
"""Clean pictures that all recipes learn from: dead leaves, and free photographs.

Dead-leaves pictures are drawn, not found: discs and polygons of power-law sizes that hide one another,
with gradients and textures. They have the edges and occlusions of photographs and no licence at all.
"""
import glob
import math

import numpy as np
from PIL import Image, ImageDraw


def srgb_to_linear(v):
    """IEC 61966-2-1, continued as an odd function."""
    a = np.abs(v)
    return np.sign(v) * np.where(a <= 0.04045, a / 12.92, ((a + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(v):
    a = np.abs(v)
    return np.sign(v) * np.where(a <= 0.0031308, a * 12.92, 1.055 * a ** (1 / 2.4) - 0.055)


def texture(rng, size):
    """1/f noise of random roughness, or a grating, in -1..1."""
    if rng.random() < 0.3:
        y, x = np.mgrid[0:size, 0:size]
        angle, period = rng.uniform(0, math.pi), rng.uniform(2, 24)
        return np.sin(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / period)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    f[0, 0] = 1
    spectrum = f ** -rng.uniform(0.5, 1.8) * np.exp(2j * math.pi * rng.random((size, size)))
    t = np.fft.ifft2(spectrum).real
    return t / (np.abs(t).max() + 1e-9)


def colour(rng):
    """Muted more often than saturated, as in photographs."""
    value, chroma = rng.uniform(0.02, 1), rng.random() ** 2 * 0.6
    return np.clip(value * (1 + chroma * rng.normal(size=3)), 0, 1)


def dead_leaves(rng, size=256, leaves=700):
    """One picture, [size, size, 3] sRGB in 0..1, drawn at twice the size and halved for clean edges."""
    big = 2 * size
    picture = np.ones((big, big, 3)) * colour(rng)
    textures = [texture(rng, big) for _ in range(3)]
    for _ in range(leaves):
        radius = min(4 * rng.random() ** -0.7, big / 3)  # many small, few large
        cx, cy = rng.uniform(0, big, 2)
        box = [int(max(0, cx - radius)), int(max(0, cy - radius)),
               int(min(big, cx + radius + 1)), int(min(big, cy + radius + 1))]
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        stencil = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        draw = ImageDraw.Draw(stencil)
        if rng.random() < 0.5:
            draw.ellipse([cx - radius - box[0], cy - radius - box[1], cx + radius - box[0],
                          cy + radius - box[1]], fill=1)
        else:
            angles = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(3, 8)))
            draw.polygon([(cx + radius * math.cos(a) - box[0], cy + radius * math.sin(a) - box[1])
                          for a in angles], fill=1)
        mask = np.asarray(stencil, bool)
        ys, xs = slice(box[1], box[3]), slice(box[0], box[2])
        gx, gy = rng.normal(0, 0.15, 2)
        ramp = gx * (np.arange(box[0], box[2]) - cx)[None, :] / radius \
            + gy * (np.arange(box[1], box[3]) - cy)[:, None] / radius
        shade = 1 + ramp + rng.choice([0, 0.05, 0.2, 0.4]) * textures[rng.integers(3)][ys, xs]
        leaf = np.clip(shade[..., None] * colour(rng), 0, 1)
        picture[ys, xs][mask] = leaf[mask]
    return picture.reshape(size, 2, size, 2, 3).mean((1, 3)).astype(np.float32)


def photographs(folder, names=None):
    """The pictures of a folder, halved: that hides JPEG artefacts and their own noise."""
    for path in sorted(glob.glob(folder + "/*.jpg") + glob.glob(folder + "/*.png")):
        if names and not any(n in path for n in names):
            continue
        p = Image.open(path).convert("RGB")
        p = p.resize((p.width // 2, p.height // 2), Image.BOX)
        yield path, np.asarray(p, np.float32) / 255
