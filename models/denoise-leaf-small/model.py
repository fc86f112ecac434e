# This file is part of darktable-ai.
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: a two-scale residual CNN of local operators only. Height and width: multiples of 4."""
import torch.nn as nn
import torch.nn.functional as F

STRIDE = 4
WIDTH, DEEP = 48, 96                # channels at 1/2 and at 1/4 of the size
BLOCKS = (1, 3, 2)                  # residual blocks: before, at 1/4, after


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a = nn.Conv2d(c, c, 3, padding=1)
        self.b = nn.Conv2d(c, c, 3, padding=1)
        nn.init.zeros_(self.b.weight)
        nn.init.zeros_(self.b.bias)

    def forward(self, x):
        return x + self.b(F.relu(self.a(x)))


class Net(nn.Module):
    def __init__(self, width=WIDTH, deep=DEEP, blocks=BLOCKS):
        super().__init__()
        self.head = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.before = nn.Sequential(*[Block(width) for _ in range(blocks[0])])
        self.down = nn.Conv2d(width, deep, 2, stride=2)
        self.middle = nn.Sequential(*[Block(deep) for _ in range(blocks[1])])
        self.up = nn.Conv2d(deep, 4 * width, 1)
        self.after = nn.Sequential(*[Block(width) for _ in range(blocks[2])])
        self.tail = nn.Conv2d(width, 12, 3, padding=1)

    def forward(self, x):
        fine = self.before(F.relu(self.head(x)))
        coarse = self.middle(F.relu(self.down(fine)))
        fine = self.after(fine + F.pixel_shuffle(self.up(coarse), 2))
        return x - F.pixel_shuffle(self.tail(fine), 2)


def receptive_radius(blocks=BLOCKS):
    """Farthest input pixel, in either direction, that an output pixel can depend on.

    Backwards from one output pixel: an interval [lo, hi] of rows at each scale, worst phase.
    """
    worst = 0
    for o in range(STRIDE):
        lo = hi = o // 2                                    # tail, at 1/2
        fine = 1 + 2 * blocks[2]
        lo, hi = lo - fine, hi + fine
        clo, chi = lo // 2 - 2 * blocks[1], hi // 2 + 2 * blocks[1]     # up, middle, at 1/4
        lo, hi = min(lo, 2 * clo), max(hi, 2 * chi + 1)     # down
        lo, hi = lo - 2 * blocks[0], hi + 2 * blocks[0]     # before
        lo, hi = 2 * lo - 1, 2 * hi + 2                     # head
        worst = max(worst, o - lo, hi - o)
    return worst


def flop_per_pixel(net):
    """Two per multiply-add of the convolutions, for one input pixel."""
    scale = {"head": 4, "before": 4, "down": 16, "middle": 16, "up": 16, "after": 4, "tail": 4}
    return sum(2 * m.weight.numel() / scale[n.split(".")[0]]
               for n, m in net.named_modules() if isinstance(m, nn.Conv2d))
