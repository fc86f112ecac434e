# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: residual blocks at the small picture's resolution, a coarser scale for context, and a last
convolution whose planes become pixels. It adds to a bicubic enlargement, and begins as one."""
import os
import sys

import torch
from torch import nn
from torch.nn.functional import pixel_shuffle

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
from layers import Scales, start  # noqa: E402

# full and half resolution: channels, blocks on the way down, blocks on the way up
SIZES = {
    "small": ((32, 48), (1, 1), (2, 0)),
    "medium": ((48, 64), (2, 2), (3, 0)),
    "large": ((64, 64), (3, 2), (3, 0)),
}


def cubic(t):
    """Keys's kernel, a = -0.5."""
    t = abs(t)
    if t < 1:
        return 1.5 * t ** 3 - 2.5 * t ** 2 + 1
    return -0.5 * t ** 3 + 2.5 * t ** 2 - 4 * t + 2 if t < 2 else 0


class Bicubic(nn.Conv2d):
    """Enlarges by convolution: every new pixel has weights of its own. To be shuffled."""

    def __init__(self, scale):
        super().__init__(3, 3 * scale * scale, 5, padding=2, padding_mode="replicate", bias=False)
        rows = torch.zeros(scale, 5)
        for i in range(scale):
            at = (i + 0.5) / scale - 0.5
            rows[i] = torch.tensor([cubic(k - 2 - at) for k in range(5)])
        weight = torch.zeros(3, scale, scale, 3, 5, 5)
        for c in range(3):
            weight[c, :, :, c] = rows[:, None, :, None] * rows[None, :, None, :]
        self.weight = nn.Parameter(weight.reshape(-1, 3, 5, 5), requires_grad=False)


class Upscaler(nn.Module):
    """[n, 3, h, w] to [n, 3, scale*h, scale*w]; h and w even."""
    STRIDE = 2

    def __init__(self, scale, size="medium"):
        super().__init__()
        self.scale = scale
        widths, before, after = SIZES[size]
        self.enter = nn.Conv2d(3, widths[0], 3, padding=1)
        self.scales = Scales(widths, before, after)
        self.leave = nn.Conv2d(widths[0], 3 * scale * scale, 3, padding=1)
        start(self)
        self.bicubic = Bicubic(scale)

    def forward(self, x):
        features = self.enter(x)
        added = self.leave(features + self.scales(features))
        return pixel_shuffle(self.bicubic(x) + added, self.scale)


def load(path, scale, size="medium"):
    net = Upscaler(scale, size)
    net.load_state_dict(torch.load(path, map_location="cpu"))
    return net.eval()
