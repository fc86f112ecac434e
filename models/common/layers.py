# SPDX-License-Identifier: GPL-3.0-or-later
"""What the networks of all recipes are made of: local convolutions only, so that tiles can be exact."""
import torch
from torch import nn
from torch.nn.functional import pixel_shuffle


class Block(nn.Module):
    """Two convolutions whose result is added to what came in."""

    def __init__(self, channels, bias=True):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)

    def forward(self, x):
        return x + self.second(torch.relu(self.first(x)))


def blocks(channels, n, bias=True):
    return nn.Sequential(*(Block(channels, bias) for _ in range(n)))


class Scales(nn.Module):
    """A U-Net over features: blocks at each scale, down by 2x2 convolutions of stride two, up by a 1x1
    convolution and a pixel shuffle, added to what was there before.

    widths: channels of each scale; before, after: blocks on the way down and up; the last has before only.
    """

    def __init__(self, widths, before, after, bias=True):
        super().__init__()
        self.before = blocks(widths[0], before[0], bias)
        self.inner = None
        if len(widths) > 1:
            self.down = nn.Conv2d(widths[0], widths[1], 2, stride=2, bias=bias)
            self.inner = Scales(widths[1:], before[1:], after[1:], bias)
            self.up = nn.Conv2d(widths[1], 4 * widths[0], 1, bias=bias)
            self.after = blocks(widths[0], after[0], bias)

    def forward(self, x):
        x = self.before(x)
        if self.inner is None:
            return x
        return self.after(x + pixel_shuffle(self.up(self.inner(self.down(x))), 2))


def start(net):
    """Each layer keeps the signal's size; blocks, and the whole, begin near doing nothing."""
    for name, m in net.named_modules():
        if isinstance(m, nn.Conv2d) and m.weight.requires_grad:
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu" if "first" in name else "linear")
            m.weight.data *= 0.1 if name.endswith(("leave", "second")) else 1
            if m.bias is not None:
                nn.init.zeros_(m.bias)


def flops_per_pixel(net, sample):
    """Two per multiply and add of all convolutions, per pixel of the sample [1, c, h, w]."""
    total = [0]
    count = lambda m, _, out: total.__setitem__(
        0, total[0] + 2 * m.weight.numel() * out.shape[2] * out.shape[3])
    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        net(sample)
    for h in hooks:
        h.remove()
    return total[0] / (sample.shape[2] * sample.shape[3])
