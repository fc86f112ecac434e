# SPDX-License-Identifier: GPL-3.0-or-later
"""What cameras do to pictures, for whole batches: [n, 3, h, w] tensors on any device, sRGB in 0..1.

Noise is made in the raw domain (photons, reading, rows, black level, saturation) and carried through
interpolation, white balance, colour matrix and tone curve; then perhaps through JPEG.
"""
import io

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import conv2d, pad


def srgb_to_linear(v):
    """IEC 61966-2-1, continued as an odd function."""
    a = v.abs()
    return v.sign() * torch.where(a <= 0.04045, a / 12.92, ((a + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(v):
    a = v.abs()
    return v.sign() * torch.where(a <= 0.0031308, a * 12.92, 1.055 * a.clamp(min=1e-9) ** (1 / 2.4) - 0.055)


class Chance:
    """Random numbers per picture: [n, 1, 1, 1] unless told otherwise."""

    def __init__(self, n, device, generator):
        self.n, self.device, self.generator = n, device, generator

    def uniform(self, low, high, channels=1):
        r = torch.rand(self.n, channels, 1, 1, generator=self.generator).to(self.device)
        return low + (high - low) * r

    def some(self, share):
        return self.uniform(0, 1) < share

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.generator).to(self.device)


def blur3(p, k):
    """Separable three-tap filter (k, 1-2k, k); k one number a picture."""
    q = pad(p, (1, 1, 1, 1), mode="replicate")
    q = k * (q[:, :, :-2] + q[:, :, 2:]) + (1 - 2 * k) * q[:, :, 1:-1]
    return k * (q[..., :-2] + q[..., 2:]) + (1 - 2 * k) * q[..., 1:-1]


def filter_mask(h, w, device, phase=(0, 0)):
    """RGGB, shifted by phase: [1, 3, h, w], which colour each photosite sees."""
    y = (torch.arange(h, device=device) + phase[0]) & 1
    x = (torch.arange(w, device=device) + phase[1]) & 1
    colour = y[:, None] + x[None, :]
    return torch.stack([(colour == c).float() for c in range(3)])[None]


def interpolate(sites, mask):
    """Bilinear interpolation of one value a photosite, [n, 1, h, w], to three channels."""
    kernel = torch.tensor([[1., 2, 1], [2, 4, 2], [1, 2, 1]], device=sites.device)
    kernel = kernel.expand(3, 1, 3, 3)
    around = lambda p: conv2d(pad(p, (1, 1, 1, 1), mode="reflect"), kernel, groups=3)
    return torch.where(mask > 0, sites * mask, around(sites * mask) / around(mask))


def colour_matrix(strength):
    """Camera RGB to output: rows sum to one, more saturation the larger strength is. [n, 3, 3]"""
    n = strength.shape[0]
    eye = torch.eye(3, device=strength.device).expand(n, 3, 3)
    s = strength.reshape(n, 1, 1)
    return eye * (1 + s) - s / 2 * (1 - eye)


def apply_matrix(matrix, p):
    return torch.einsum("nij,njhw->nihw", matrix, p)


def camera_noise(clean, chance, gain, read, gains, strength, rows=0.0, black=0.0, generator=None):
    """Developed picture of a noisy raw less that of a clean one, added to the clean picture in linear light.

    gain, read: noise of variance gain*x + read^2 where 1 is saturation; gains: white balance [n, 3, 1, 1].
    Only the noise is interpolated, so that a perfect denoiser gives the clean picture back.
    """
    n, _, h, w = clean.shape
    phase = torch.randint(0, 2, (2,), generator=generator).tolist()
    mask = filter_mask(h, w, clean.device, phase)
    matrix = colour_matrix(strength)
    linear = srgb_to_linear(clean)
    raw = (apply_matrix(torch.linalg.inv(matrix), linear) / gains).clamp(0, 1)
    sites = (raw * mask).sum(1, keepdim=True)
    noise = chance.normal(n, 1, h, w) * torch.sqrt(gain * sites + read ** 2)
    noise = noise + chance.normal(n, 1, h, 1) * rows + black
    noise = (sites + noise).clamp(max=1) - sites  # what exceeds saturation is lost
    return linear_to_srgb(linear + apply_matrix(matrix, interpolate(noise, mask) * gains))


def random_camera(clean, chance, generator):
    """Camera noise of any ISO from about 100 to 51200, white balance and colour matrix."""
    iso = chance.uniform(0, 1)
    gain = 10 ** (-4.3 + 2.8 * iso)
    read = 10 ** (-3.4 + 2.0 * iso + 0.2 * chance.normal(clean.shape[0], 1, 1, 1))
    gains = torch.cat([chance.uniform(1.2, 2.6), torch.ones_like(gain), chance.uniform(1.1, 2.4)], 1)
    rows = chance.some(0.12) * chance.uniform(0.05, 0.4) * read
    black = chance.some(0.1) * chance.uniform(-0.05, 0.05) * read
    noisy = camera_noise(clean, chance, gain, read, gains, chance.uniform(0, 0.6), rows, black, generator)
    softened = blur3(noisy - clean, chance.uniform(0.05, 0.25)) * 1.3 + clean  # lens corrections, resampling
    return torch.where(chance.some(0.25), softened, noisy)


def random_gaussian(clean, chance):
    sigma = chance.uniform(0, 55) / 255 * torch.where(chance.some(0.15), chance.uniform(0.5, 1.5, 3), 1.)
    noise = chance.normal(*clean.shape)
    noise = torch.where(chance.some(0.12), blur3(noise, chance.uniform(0.05, 0.25)) * 1.4, noise)
    return clean + sigma * noise


def jpeg(picture, quality, subsampling):
    """One picture [3, h, w] through JPEG, in 0..1."""
    pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(quality), subsampling=int(subsampling))
    back = np.asarray(Image.open(buffer), np.float32) / 255
    return torch.from_numpy(back.transpose(2, 0, 1).copy()).to(picture.device)


def some_jpeg(pictures, share, generator, low=60, high=99):
    """A share of the pictures goes through JPEG."""
    for i in range(pictures.shape[0]):
        r = torch.rand(3, generator=generator).tolist()
        if r[0] < share:
            pictures[i] = jpeg(pictures[i], low + r[1] * (high - low), 2 if r[2] < 0.5 else 0)
    return pictures


def add_noise(clean, generator, camera=0.45, quiet=0.08, compressed=0.08, cut=0.5):
    """Noisy pictures: a camera's, Gaussian for the rest, or almost none; some cut to 0..1, some compressed."""
    chance = Chance(clean.shape[0], clean.device, generator)
    kind = chance.uniform(0, 1)
    noisy = torch.where(kind < camera, random_camera(clean, chance, generator), random_gaussian(clean, chance))
    faint = clean + chance.normal(*clean.shape) * chance.uniform(0, 1.5) / 255
    noisy = torch.where(kind > 1 - quiet, faint, noisy)
    is_cut = (kind < camera) & chance.some(cut)
    noisy = torch.where(is_cut, noisy.clamp(0, 1), noisy)
    return some_jpeg(noisy, compressed, generator)
