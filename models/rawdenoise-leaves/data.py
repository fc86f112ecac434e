# SPDX-License-Identifier: GPL-3.0-or-later
"""Training data: clean linear scenes as a camera's sensor sees them, with and without its noise.

All is linear light, in batches [n, c, h, w] on any device. 1 is saturation; red is at (0, 0).
"""
import os
import sys

import torch
from torch.nn.functional import conv2d, pad

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
from noise import Chance, apply_matrix, filter_mask, srgb_to_linear  # noqa: E402

SRGB_TO_REC2020 = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))


class Cameras:
    """A plausible sensor and exposure for each picture, drawn at random.

    scale, read: noise of variance scale*x + read^2; from ISO 100 to about 25600.
    gains: what white balance will multiply red, green and blue with; raw red and blue are that much darker.
    """

    def __init__(self, chance):
        n, device = chance.n, chance.device
        one = torch.ones(n, 1, 1, 1, device=device)
        self.gains = torch.cat([chance.uniform(1.2, 3), one, chance.uniform(1.1, 2.5)], 1)
        strength = chance.uniform(0, 0.5).reshape(n, 1, 1)  # filters see other colours too: rows sum to one
        others = torch.rand(n, 3, 3, generator=chance.generator).to(device) + 0.05
        others = others / others.sum(2, keepdim=True)
        self.mix = torch.eye(3, device=device) * (1 - strength) + strength * others
        usual, any_exposure = chance.uniform(0.3, 1.5), 2 ** chance.uniform(-6, 0)
        self.exposure = torch.where(chance.some(0.5), usual, any_exposure)
        self.exposure = torch.where(chance.some(0.08), chance.uniform(1.5, 4), self.exposure)  # green clips first
        iso = chance.uniform(0, 1)
        self.scale = 10 ** (-5 + 3.48 * iso)
        scattered = -4 + 2.48 * iso + 0.25 * chance.normal(n, 1, 1, 1)
        self.read = (10 ** scattered).clamp(max=0.04)
        self.saturation = torch.where(chance.some(0.2), chance.uniform(1, 1.1), one)  # white levels are cautious
        self.loud = ~chance.some(0.04)
        self.rows = chance.some(0.15) * chance.uniform(0.05, 0.3) * self.read
        self.hot = chance.some(0.1) * 10 ** chance.uniform(-4.5, -3)
        pedestal = chance.uniform(0.008, 0.13)  # black level, share of the converter's range
        self.levels = 2.0 ** torch.round(chance.uniform(11.5, 14.5)) * (1 - pedestal)
        self.least = -pedestal / (1 - pedestal)

    def see(self, scene):
        """Camera RGB of a linear scene: normalised, not white balanced, saturated."""
        raw = apply_matrix(self.mix, scene) / self.gains * self.exposure
        return torch.minimum(raw, self.saturation)

    def expose(self, chance, mosaic):
        """What is read out for clean mosaics: photons, reading, rows, hot sites, saturation, whole numbers."""
        photons = torch.poisson((mosaic / self.scale).cpu(), generator=chance.generator).to(mosaic.device)
        v = photons * self.scale + chance.normal(*mosaic.shape) * self.read
        v = v + chance.normal(*mosaic.shape[:3], 1) * self.rows
        v = torch.where(self.loud, v, mosaic)
        luck = torch.rand(2, *mosaic.shape, generator=chance.generator).to(mosaic.device)
        v = torch.where(luck[0] < self.hot, luck[1], v)
        v = torch.maximum(torch.minimum(v, self.saturation), self.least)
        return torch.round(v * self.levels) / self.levels


def mosaic_of(rgb):
    """[n, 1, h, w] of [n, 3, h, w]."""
    return (rgb * filter_mask(*rgb.shape[2:], rgb.device)).sum(1, keepdim=True)


def pack(mosaic):
    """[n, 1, h, w] to cells [n, 4, h/2, w/2]: R, G beside it, G beside B, B."""
    return torch.cat([mosaic[..., y::2, x::2] for y in (0, 1) for x in (0, 1)], 1)


def malvar(mosaic, gains):
    """Gradient-corrected linear interpolation (Malvar, He, Cutler 2004), balanced while at it."""
    mask = filter_mask(*mosaic.shape[2:], mosaic.device)
    site = (mosaic * mask * gains).sum(1, keepdim=True)
    row = [[0, 0, 1, 0, 0], [0, -2, 0, -2, 0], [-2, 8, 10, 8, -2], [0, -2, 0, -2, 0], [0, 0, 1, 0, 0]]
    kernels = torch.tensor([
        [[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2], [0, 0, 4, 0, 0], [0, 0, -2, 0, 0]],
        row, [list(r) for r in zip(*row)],
        [[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]]],
        dtype=site.dtype, device=site.device)[:, None] / 16
    green, beside, above, across = conv2d(pad(site, (2, 2, 2, 2), mode="reflect"), kernels).split(1, 1)
    red, at_green, blue = mask.split(1, 1)
    even_row = torch.zeros_like(red)
    even_row[..., ::2, :] = 1
    r = red * site + at_green * torch.where(even_row > 0, beside, above) + blue * across
    b = blue * site + at_green * torch.where(even_row > 0, above, beside) + red * across
    return torch.cat([r, at_green * site + (1 - at_green) * green, b], 1) / gains


def sample(tiles, generator, args):
    """Noisy mosaics, clean camera RGB, the cameras, and noise of the mean over the mean."""
    scene = srgb_to_linear(tiles.draw(args.batch, args.size))
    chance = Chance(args.batch, scene.device, generator)
    cameras = Cameras(chance)
    clean = cameras.see(scene)
    mean = clean[:, 1:2].mean((2, 3), keepdim=True) + 1e-4
    ratio = cameras.loud * torch.sqrt(cameras.scale * mean + cameras.read ** 2) / mean
    return cameras.expose(chance, mosaic_of(clean)), clean, cameras, ratio, chance


def bayer_sample(tiles, generator, args):
    """Packed noisy mosaics, clean camera RGB, white balance gains, noise over the mean."""
    noisy, clean, cameras, ratio, _ = sample(tiles, generator, args)
    return pack(noisy), clean, cameras.gains, ratio


def linear_sample(tiles, generator, args):
    """The same demosaicked, white balanced and taken to linear Rec.2020."""
    noisy, clean, cameras, ratio, chance = sample(tiles, generator, args)
    noisy = malvar(noisy, cameras.gains)
    k = chance.some(0.5) * chance.uniform(0, 0.25)  # how alike neighbours' noise is depends on the method
    p = pad(noisy, (1, 1, 1, 1), mode="reflect")
    p = k * (p[:, :, :-2] + p[:, :, 2:]) + (1 - 2 * k) * p[:, :, 1:-1]
    noisy = k * (p[..., :-2] + p[..., 2:]) + (1 - 2 * k) * p[..., 1:-1]
    to_rec2020 = torch.tensor(SRGB_TO_REC2020, device=clean.device) @ torch.linalg.inv(cameras.mix)
    develop = lambda v: apply_matrix(to_rec2020, v * cameras.gains)
    return develop(noisy), develop(clean), torch.ones_like(cameras.gains), ratio
