# SPDX-License-Identifier: GPL-3.0-or-later
"""Training data: clean pictures (models/common/scenes.py) and the noise of cameras."""
import os
import sys

import numpy as np

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
from scenes import dead_leaves, linear_to_srgb, photographs, srgb_to_linear  # noqa: E402,F401


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
