# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures that are drawn for training: dead leaves and fine patterns.

Dead-leaves pictures are drawn, not found: discs and polygons of power-law sizes that hide one another,
with gradients and textures. They have the edges and occlusions of photographs and no licence at all. Fine
patterns (gratings, zone plates, letters, thin lines) are in linear light.
"""
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont


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


def _waves(rng, size):
    """A grating or a zone plate, 0..1: periods from two pixels on (four at twice the size)."""
    y, x = np.mgrid[0:size, 0:size] - size / 2
    angle = rng.uniform(0, math.pi) if rng.random() < 0.6 else rng.integers(4) * math.pi / 4
    period = 4 * 5 ** rng.random()
    if rng.random() < 0.3:
        phase = (x * x + y * y) / (size * rng.uniform(2, 5))
    else:
        phase = (x * math.cos(angle) + y * math.sin(angle)) / period + rng.random()
    wave = np.sin(2 * math.pi * phase)
    return (wave > 0).astype(float) if rng.random() < 0.4 else 0.5 + 0.5 * wave


def _strokes(rng, size):
    """Letters or thin lines, 0 or 1."""
    picture = Image.new("L", (size, size))
    draw = ImageDraw.Draw(picture)
    if rng.random() < 0.5:
        letters = Image.new("L", (size // 2, size // 2))
        pen = ImageDraw.Draw(letters)
        for y in range(0, size // 2, 11):
            line = "".join(map(chr, rng.integers(33, 127, size // 8)))
            pen.text((0, y), line, font=ImageFont.load_default(), fill=255)
        zoom = int(rng.integers(2, 5))
        picture = letters.resize((size // 2 * zoom,) * 2, Image.NEAREST).crop((0, 0, size, size))
        picture = picture.rotate(rng.uniform(-30, 30) if rng.random() < 0.5 else 0, Image.BILINEAR)
    else:
        for _ in range(rng.integers(5, 40)):
            draw.line(list(rng.uniform(0, size, 4)), fill=255, width=int(rng.integers(1, 7)))
    return np.asarray(picture, float) / 255


def pattern(rng, size=128):
    """Two colours, half the time greys, laid out by waves or strokes; drawn at twice the size and halved."""
    mask = (_waves if rng.random() < 0.6 else _strokes)(rng, 2 * size)[..., None]
    a, b = (np.full(3, rng.uniform(0, 1)) if rng.random() < 0.5 else colour(rng) for _ in range(2))
    picture = srgb_to_linear(a) * (1 - mask) + srgb_to_linear(b) * mask
    return picture.reshape(size, 2, size, 2, 3).mean((1, 3)).astype(np.float32)
