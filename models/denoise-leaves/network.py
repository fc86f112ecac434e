# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: a two-scale U-Net over half-resolution features that predicts the noise.

Half resolution (stride-2 convolution), quarter resolution (another), back by pixel shuffle, and the noise
subtracted from the input. Only local operators, so that tiles can be exact.
"""
import torch
from torch import nn


def _convs(channels, n):
    layers = []
    for _ in range(n):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Denoiser(nn.Module):
    STRIDE = 4

    def __init__(self, half=48, quarter=96, deep=5):
        super().__init__()
        self.enter = nn.Conv2d(3, half, 4, stride=2, padding=1)
        self.before = _convs(half, 2)
        self.down = nn.Conv2d(half, quarter, 4, stride=2, padding=1)
        self.deep = _convs(quarter, deep)
        self.up = nn.Conv2d(quarter, half * 4, 1)
        self.after = _convs(half, 2)
        self.leave = nn.Conv2d(half, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        h = self.before(self.relu(self.enter(x)))
        q = self.deep(self.relu(self.down(h)))
        h = self.after(h + self.shuffle(self.up(q)))
        return x - self.shuffle(self.leave(h))

    def flops_per_pixel(self):
        """Two per multiply and add, per input pixel."""
        total = 0
        for name, m in self.named_modules():
            if isinstance(m, nn.Conv2d):
                at_quarter = name.startswith(("down", "deep", "up"))
                total += 2 * m.weight.numel() / (16 if at_quarter else 4)
        return total


def load(path):
    net = Denoiser()
    net.load_state_dict(torch.load(path, map_location="cpu"))
    return net.eval()
