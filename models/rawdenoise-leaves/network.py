# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: bilinear demosaicking, plus what a three-scale U-Net over the mosaic's cells adds to it.

No convolution has a bias, so the result scales with the picture: an exposure halved is the same picture
halved, down to the deepest shadow. Only local operators, so that tiles can be exact.
"""
import os
import sys

import torch
from torch import nn
from torch.nn.functional import leaky_relu, pixel_shuffle

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
from layers import start  # noqa: E402


def bilinear_weights():
    """[12, 4, 3, 3]: from cells (R, G1, G2, B) to their pixels' red, green, blue: means of nearest sites."""
    sites = {0: [(0, 0)], 1: [(0, 1), (1, 0)], 2: [(1, 1)]}  # (row, column) in the cell
    weights = torch.zeros(12, 4, 3, 3)
    for colour, places in sites.items():
        for pixel in range(4):
            here = weights[colour * 4 + pixel]
            for row, column in places:
                for i in range(9):
                    dy = abs(2 * (i // 3 - 1) + row - pixel // 2)
                    dx = abs(2 * (i % 3 - 1) + column - pixel % 2)
                    near = max(0, 2 - dy - dx) if colour == 1 else max(0, 2 - dy) * max(0, 2 - dx)
                    here[row * 2 + column, i // 3, i % 3] = near
            if colour == 1 and here.max() == 2:  # a green site is its own value
                here[here < 2] = 0
            here /= here.sum()
    return weights


class Bilinear(nn.Conv2d):
    """The mean of the nearest sites of each colour: cells to pixels, exact for constants."""
    STRIDE = 1

    def __init__(self):
        super().__init__(4, 12, 3, padding=1, padding_mode="replicate", bias=False)
        self.weight = nn.Parameter(bilinear_weights(), requires_grad=False)

    def cells(self, x):
        """The pixels' colours as planes of cells."""
        return super().forward(x)

    def forward(self, x):
        return pixel_shuffle(self.cells(x), 2)


class Block(nn.Module):
    """Two convolutions whose result is added to what came in. Without biases plain ReLUs die here."""

    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x):
        return x + self.second(leaky_relu(self.first(x), 0.1))


def blocks(channels, n):
    return nn.Sequential(*(Block(channels) for _ in range(n)))


class Denoiser(nn.Module):
    """What both kinds share: from cells of two by two pixels to what is to be added to their colours."""
    STRIDE = 4  # over cells

    def __init__(self, enter, cell=64, half=64, quarter=96):
        super().__init__()
        self.enter = enter
        self.before = blocks(cell, 1)
        self.down = nn.Conv2d(cell, half, 2, stride=2, bias=False)
        self.half_before = blocks(half, 2)
        self.half_down = nn.Conv2d(half, quarter, 2, stride=2, bias=False)
        self.quarter = blocks(quarter, 4)
        self.half_up = nn.Conv2d(quarter, half * 4, 1, bias=False)
        self.half_after = blocks(half, 2)
        self.up = nn.Conv2d(half, cell * 4, 1, bias=False)
        self.after = blocks(cell, 2)
        self.leave = nn.Conv2d(cell, 12, 3, padding=1, bias=False)
        self._start()

    def _start(self):
        """Each layer keeps the signal's size, blocks begin near doing nothing, and so does the whole. Half of
        a block's features see no constants at first: brightness would drown what is to be told from noise."""
        start(self)
        for name, m in self.named_modules():
            if isinstance(m, nn.Conv2d) and "first" in name:
                blind = m.weight.data[::2]
                blind -= blind.mean((2, 3), keepdim=True)

    def added(self, x):
        full = self.before(self.enter(x))
        half = self.half_before(self.down(full))
        low = self.quarter(self.half_down(half))
        half = self.half_after(half + pixel_shuffle(self.half_up(low), 2))
        return self.leave(self.after(full + pixel_shuffle(self.up(half), 2)))


class BayerDenoiser(Denoiser):
    """[1, 4, H, W] cells R, G, G, B to camera RGB [1, 3, 2H, 2W]."""
    CHANNELS = 4

    def __init__(self):
        super().__init__(nn.Conv2d(4, 64, 3, padding=1, bias=False))
        self.bilinear = Bilinear()

    def forward(self, x):
        return pixel_shuffle(self.bilinear.cells(x) + self.added(x), 2)


class LinearDenoiser(Denoiser):
    """[1, 3, H, W] linear RGB to the same."""
    STRIDE = 8
    CHANNELS = 3

    def __init__(self):
        super().__init__(nn.Conv2d(3, 64, 4, stride=2, padding=1, bias=False))

    def forward(self, x):
        return x + pixel_shuffle(self.added(x), 2)


KINDS = {"bayer": BayerDenoiser, "linear": LinearDenoiser}


def load(path, kind="bayer"):
    net = KINDS[kind]()
    net.load_state_dict(torch.load(path, map_location="cpu"))
    return net.eval()
