# SPDX-License-Identifier: GPL-3.0-or-later
"""Training data: clean linear scenes as a camera's sensor sees them, with and without its noise.

Scenes are dead leaves and free photographs (models/common/scenes.py) and drawn fine patterns, which teach
what demosaicking gets wrong. Everything here is linear light; pictures are [h, w, 3].
"""
import math
import os
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import convolve

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
from scenes import colour, dead_leaves, linear_to_srgb, photographs, srgb_to_linear  # noqa: E402,F401


SRGB_TO_REC2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


# --- fine patterns ----------------------------------------------------------------------------------

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


def pools(rng, drawn, folder, names):
    """Lists of clean linear pictures to cut patches from, and the share of patches each gets."""
    linear = lambda p: srgb_to_linear(p).astype(np.float32)
    leaves = [linear(dead_leaves(rng)) for _ in range(drawn)]
    patterns = [pattern(rng) for _ in range(3 * drawn)]
    photos = [linear(p) for _, p in photographs(folder, names)] if folder else []
    shares = (0.3, 0.2, 0.5) if photos else (0.65, 0.35, 0)
    return [leaves, patterns, photos], shares


# --- a camera ---------------------------------------------------------------------------------------

class Camera:
    """A plausible sensor and exposure, drawn at random.

    scale, read: noise of variance scale·x + read² where 1 is saturation; from ISO 100 to about 25600.
    gains: what white balance will multiply red, green and blue with; raw red and blue are that much darker.
    """

    def __init__(self, rng):
        self.gains = np.array([rng.uniform(1.2, 3), 1, rng.uniform(1.1, 2.5)])
        strength = rng.uniform(0, 0.5)  # filters of one colour see the others too: rows sum to one
        self.mix = np.eye(3) * (1 - strength) + strength * rng.dirichlet((1, 1, 1), 3)
        self.exposure = rng.uniform(0.3, 1.5) if rng.random() < 0.45 else 2 ** rng.uniform(-6, 0)
        if rng.random() < 0.08:
            self.exposure = rng.uniform(1.5, 4)  # clipped: green first, as its filter lets most through
        iso = rng.random()
        self.scale = 10 ** (-5 + 3.48 * iso)
        self.read = min(10 ** (-4 + 2.48 * iso + rng.normal(0, 0.25)), 0.04)
        self.saturation = 1 if rng.random() < 0.8 else rng.uniform(1, 1.1)  # white levels are often cautious
        self.silent = rng.random() < 0.04
        self.rows = rng.random() < 0.15 and rng.uniform(0.05, 0.3) * self.read
        self.hot = rng.random() < 0.1 and 10 ** rng.uniform(-4.5, -3)
        self.bits = rng.integers(12, 15)
        self.pedestal = rng.uniform(0.008, 0.13)  # black level, share of the converter's range

    def see(self, scene):
        """Camera RGB of a linear scene: normalised, not white balanced, saturated."""
        return np.minimum(scene @ self.mix.T / self.gains * self.exposure, self.saturation)

    def expose(self, rng, mosaic):
        """What is read out for a clean mosaic [h, w]: noise, saturation, whole numbers; black is 0 again."""
        v = mosaic
        if not self.silent:
            v = rng.poisson(mosaic / self.scale) * self.scale + rng.normal(size=v.shape) * self.read
            v = v + rng.normal(size=(v.shape[0], 1)) * self.rows
        if self.hot:
            v = np.where(rng.random(v.shape) < self.hot, rng.random(v.shape), v)
        levels = 2.0 ** self.bits * (1 - self.pedestal)
        black = 2.0 ** self.bits * self.pedestal
        return (np.clip(np.round(np.minimum(v, self.saturation) * levels + black), 0, None) - black) / levels


def mosaic_of(rgb):
    """RGGB, red at (0, 0)."""
    m = rgb[..., 1].copy()
    m[::2, ::2], m[1::2, 1::2] = rgb[::2, ::2, 0], rgb[1::2, 1::2, 2]
    return m


def malvar(m, gains):
    """Gradient-corrected linear interpolation (Malvar, He, Cutler 2004), balanced while at it."""
    site = m.copy()
    site[::2, ::2] *= gains[0]
    site[1::2, 1::2] *= gains[2]
    k = lambda rows: convolve(site, np.array(rows, float) / 16, mode="mirror")
    green = k([[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2], [0, 0, 4, 0, 0], [0, 0, -2, 0, 0]])
    rows = [[0, 0, 1, 0, 0], [0, -2, 0, -2, 0], [-2, 8, 10, 8, -2], [0, -2, 0, -2, 0], [0, 0, 1, 0, 0]]
    beside, above = k(rows), k(np.transpose(rows))
    across = k([[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]])
    out = np.stack([site] * 3, -1)
    out[::2, ::2, 1], out[1::2, 1::2, 1] = green[::2, ::2], green[1::2, 1::2]
    for c, row in ((0, 0), (2, 1)):  # red's rows are the even ones, its columns too; blue's the odd ones
        here, other = slice(row, None, 2), slice(1 - row, None, 2)
        out[here, other, c], out[other, here, c] = beside[here, other], above[other, here]
        out[other, other, c] = across[other, other]
    return out / gains


def pack(m):
    """[h, w] mosaic to four planes [4, h/2, w/2]: R, G beside it, G beside B, B."""
    return np.stack([m[::2, ::2], m[::2, 1::2], m[1::2, ::2], m[1::2, 1::2]])


# --- samples -----------------------------------------------------------------------------------------

def patch(rng, sources, shares, size):
    """A clean linear scene [size, size, 3], turned, flipped, sometimes with its channels swapped."""
    source = sources[rng.choice(len(sources), p=shares)]
    p = source[rng.integers(len(source))]
    y, x = (rng.integers(0, n - size + 1) for n in p.shape[:2])
    p = np.rot90(p[y:y + size, x:x + size], rng.integers(4))[::rng.choice([-1, 1])]
    return p[..., rng.permutation(3)] if rng.random() < 0.3 else p


def sample(rng, sources, shares, size):
    """A noisy mosaic [size, size], the clean camera RGB, the camera, and noise of the mean over the mean."""
    scene = patch(rng, sources, shares, size)
    while True:  # where noise drowns everything there is nothing to learn
        camera = Camera(rng)
        clean = camera.see(scene)
        mean = clean[..., 1].mean() + 1e-4
        ratio = 0 if camera.silent else math.sqrt(camera.scale * mean + camera.read ** 2) / mean
        if ratio < 3:
            break
    noisy = camera.expose(rng, mosaic_of(clean))
    return noisy, clean, camera, ratio


def bayer_sample(rng, sources, shares, size):
    """(packed noisy mosaic [4, size/2, size/2], clean camera RGB [3, size, size], white balance gains, noise
    of the mean over the mean)."""
    noisy, clean, camera, ratio = sample(rng, sources, shares, size)
    return pack(noisy), clean.transpose(2, 0, 1), camera.gains, ratio


def linear_sample(rng, sources, shares, size):
    """The same demosaicked, white balanced and taken to linear Rec.2020: noisy and clean [3, size, size]."""
    noisy, clean, camera, ratio = sample(rng, sources, shares, size)
    noisy = malvar(noisy, camera.gains)
    if rng.random() < 0.5:  # how much the noise of neighbours is alike depends on the method
        k = rng.uniform(0, 0.25)
        noisy = convolve(noisy, np.outer(*2 * [[k, 1 - 2 * k, k]])[..., None], mode="mirror")
    matrix = np.diag(camera.gains) @ np.linalg.inv(camera.mix).T @ SRGB_TO_REC2020.T
    develop = lambda p: (p @ matrix).transpose(2, 0, 1)
    return develop(noisy), develop(clean), np.ones(3), ratio
