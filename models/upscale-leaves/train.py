# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the enlarging networks; see card.md for the runs that made the bundled weights.

    python3 train.py --scale 2 --tiles tiles.npy --run RUN2
    python3 train.py --scale 4 --begin RUN2/weights.pt --tiles tiles.npy --run RUN4
"""
import torch
from torch.nn.functional import interpolate

import network  # also puts models/common on the path
import noise
import training
from layers import flops_per_pixel


def shrunk(clean, scale, generator):
    """Bicubic for most, softer or harder for some; a few with a little noise or JPEG artefacts, which are
    not to be enlarged with the picture."""
    chance = noise.Chance(clean.shape[0], clean.device, generator)
    small = interpolate(clean, scale_factor=1 / scale, mode="bicubic", antialias=True)
    soft = interpolate(clean, scale_factor=1 / scale, mode="bilinear", antialias=True)
    hard = torch.nn.functional.avg_pool2d(clean, scale)
    kind = chance.uniform(0, 1)
    small = torch.where(kind < 0.1, soft, torch.where(kind < 0.2, hard, small))
    grain = chance.normal(*small.shape) * chance.some(0.12) * chance.uniform(0, 4) / 255
    return noise.some_jpeg((small + grain).clamp(0, 1), 0.1, generator, 75, 99)


def make(tiles, generator, args):
    clean = tiles.draw(args.batch, args.size)
    return shrunk(clean, args.scale, generator), clean


def loss_of(out, clean):
    return torch.sqrt((out - clean) ** 2 + 1e-6).mean()


def main():
    a = training.arguments(batch=16, size=112)
    a.add_argument("--scale", type=int, choices=(2, 4), default=2)
    a.add_argument("--capacity", choices=network.SIZES, default="medium")
    args = a.parse_args()
    training.setup(args)
    net = network.Upscaler(args.scale, args.capacity)
    print(f"{flops_per_pixel(net, torch.zeros(1, 3, 64, 64)) / 1000:.0f} kFLOP per input pixel, "
          f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M weights", flush=True)
    training.Run(net, training.Draw(make, args), loss_of, args).go()


if __name__ == "__main__":
    main()
