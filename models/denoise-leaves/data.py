# SPDX-License-Identifier: GPL-3.0-or-later
"""Training data: clean pictures (dead leaves, photographs) and the noise of cameras.

Dead-leaves pictures are drawn, not found: discs and polygons of power-law sizes that hide one another,
with gradients and textures. They have the edges and occlusions of photographs and no licence at all.
Free photographs can be added as a folder; a part of every batch then comes from them.
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


# --- clean pictures ---------------------------------------------------------------------------------

def _texture(rng, size):
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


def _colour(rng):
    """Muted more often than saturated, as in photographs."""
    value, chroma = rng.uniform(0.02, 1), rng.random() ** 2 * 0.6
    return np.clip(value * (1 + chroma * rng.normal(size=3)), 0, 1)


def dead_leaves(rng, size=256, leaves=700):
    """One picture, [size, size, 3] sRGB in 0..1, drawn at twice the size and halved for clean edges."""
    big = 2 * size
    picture = np.ones((big, big, 3)) * _colour(rng)
    textures = [_texture(rng, big) for _ in range(3)]
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
        leaf = np.clip(shade[..., None] * _colour(rng), 0, 1)
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


# --- noise ------------------------------------------------------------------------------------------

def filter_mask(h, w, phase):
    """RGGB, shifted by phase: which colour each photosite sees, as three 0/1 planes."""
    y, x = np.mgrid[0:h, 0:w]
    colour = ((x + phase[0]) & 1) + ((y + phase[1]) & 1)
    return np.stack([colour == c for c in range(3)], -1).astype(np.float32)


def _blur3(p, k):
    """Separable three-tap filter (k, 1-2k, k), edges repeated."""
    q = np.pad(p, ((1, 1), (1, 1), (0, 0)), "edge")
    q = k * (q[:-2] + q[2:]) + (1 - 2 * k) * q[1:-1]
    return k * (q[:, :-2] + q[:, 2:]) + (1 - 2 * k) * q[:, 1:-1]


def demosaic_noise(site, mask):
    """Bilinear interpolation of each colour's photosites, normalised by what is there."""
    kernel_sum = _blur3(mask, 0.25)
    spread = _blur3(site[..., None] * mask, 0.25) / np.maximum(kernel_sum, 1e-6)
    return np.where(mask > 0, site[..., None], spread)


def camera_noise(rng, clean):
    """Sensor noise of a picture [h, w, 3] sRGB: shot and read noise per photosite, interpolated, white
    balanced and colour mixed. Returns the noisy picture, sRGB, not clipped."""
    linear = srgb_to_linear(clean)
    gain, read = 10 ** rng.uniform(-4.2, -1.5), 10 ** rng.uniform(-3.5, -1.3)
    wb = np.array([rng.uniform(1, 2.4), 1, rng.uniform(1, 2.4)])
    mask = filter_mask(*clean.shape[:2], rng.integers(0, 2, 2))
    signal = (linear / wb * mask).sum(-1)
    site = rng.normal(size=signal.shape) * np.sqrt(gain * np.maximum(signal, 0) + read ** 2)
    noise = demosaic_noise(site, mask) * wb
    s = rng.uniform(0, 0.5)  # saturation of the colour matrix: rows sum to one
    matrix = np.eye(3) * (1 + s) - s / 2 * (1 - np.eye(3))
    noise = noise @ matrix.T
    if rng.random() < 0.3:
        noise = _blur3(noise, rng.uniform(0.05, 0.3)) * 1.3  # lens corrections, resampling
    return linear_to_srgb(linear + noise)


def gaussian_noise(rng, clean):
    sigma = rng.uniform(0, 55) / 255 * (rng.uniform(0.5, 1.5, 3) if rng.random() < 0.3 else 1)
    noise = rng.normal(size=clean.shape)
    if rng.random() < 0.25:
        noise = _blur3(noise, rng.uniform(0.05, 0.25)) * 1.4
    return clean + sigma * noise


def add_noise(rng, clean):
    kind = rng.random()
    if kind < 0.05:
        return clean + rng.normal(size=clean.shape) * rng.uniform(0, 1.5) / 255
    return camera_noise(rng, clean) if kind < 0.65 else gaussian_noise(rng, clean)
