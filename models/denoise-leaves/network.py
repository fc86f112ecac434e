# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: a U-Net of residual blocks over features of half resolution that predicts the noise."""
import os
import sys

import torch
from torch import nn
from torch.nn.functional import pixel_shuffle

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
from layers import Scales, start  # noqa: E402

# half, quarter, eighth resolution: channels, blocks on the way down, blocks on the way up
SIZES = {
    "small": ((48, 64, 96), (1, 1, 2), (1, 1, 0)),
    "medium": ((64, 96, 128), (1, 2, 2), (2, 2, 0)),
    "large": ((64, 128, 160), (2, 2, 2), (2, 2, 0)),
}


class Denoiser(nn.Module):
    """[n, 3, h, w] to the same; h and w multiples of 8."""
    STRIDE = 8

    def __init__(self, size="medium"):
        super().__init__()
        widths, before, after = SIZES[size]
        self.enter = nn.Conv2d(3, widths[0], 4, stride=2, padding=1)
        self.scales = Scales(widths, before, after)
        self.leave = nn.Conv2d(widths[0], 12, 3, padding=1)
        start(self)

    def forward(self, x):
        return x - pixel_shuffle(self.leave(self.scales(self.enter(x))), 2)


def load(path, size="medium"):
    net = Denoiser(size)
    net.load_state_dict(torch.load(path, map_location="cpu"))
    return net.eval()
