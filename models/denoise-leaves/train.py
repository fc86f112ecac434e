# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the denoiser; see card.md for the run that made the bundled weights.

    python3 train.py --tiles tiles.npy --run RUN [--minutes 45]
"""
import torch

import network  # also puts models/common on the path
import noise
import training
from layers import flops_per_pixel


def make(tiles, generator, args):
    """Noisy and clean pictures."""
    clean = tiles.exposed(args.batch, args.size)
    return noise.add_noise(clean, generator), clean


def loss_of(out, clean):
    return torch.sqrt((out - clean) ** 2 + 1e-6).mean()


def main():
    a = training.arguments()
    a.add_argument("--capacity", choices=network.SIZES, default="medium")
    args = a.parse_args()
    training.setup(args)
    net = network.Denoiser(args.capacity)
    print(f"{flops_per_pixel(net, torch.zeros(1, 3, 64, 64)) / 1000:.0f} kFLOP per pixel, "
          f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M weights", flush=True)
    training.Run(net, training.Draw(make, args), loss_of, args).go()


if __name__ == "__main__":
    main()
