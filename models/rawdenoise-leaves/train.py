# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the raw denoisers; see card.md for the runs that made the bundled weights.

    python3 train.py --tiles tiles.npy --run BAYER [--begin bayer.pt]
    python3 train.py --kind linear --begin BAYER/weights.pt --tiles tiles.npy --run LINEAR
"""
import torch
from torch.nn.functional import avg_pool2d

import data
import network  # also puts models/common on the path
import training
from layers import flops_per_pixel

BORDER = 4  # pixels that see too little of their surroundings to count
SAMPLE = {"bayer": data.bayer_sample, "linear": data.linear_sample}


def _size(error):
    return torch.sqrt(error * error + 1e-6).mean((1, 2, 3), keepdim=True)


def loss_of(out, clean, gains, ratio):
    """Error as it will be seen: white balanced, relative to the picture's brightness, shadows lifted as by a
    square root.

    Counted are the channels, their differences (coloured noise and fringes), and means over 8 and 24 pixels:
    flat areas keep their brightness and no blotches stay. Noisy samples weigh less, or nothing else counts.
    """
    edge = slice(BORDER, -BORDER)
    balanced = (clean * gains)[..., edge, edge]
    light = balanced.mean(1, keepdim=True).clamp(min=0)
    mean = light.mean((1, 2, 3), keepdim=True) + 1e-4
    error = ((out - clean) * gains)[..., edge, edge] / torch.sqrt((light + 0.05 * mean) * mean)
    loss = _size(error) + 0.5 * _size(error[:, ::2] - error[:, 1:2])
    loss = loss + 2 * _size(avg_pool2d(error, 8)) + 2 * _size(avg_pool2d(error, 24))
    return (loss * (ratio + 0.03) ** -0.7).mean()


def main():
    a = training.arguments(batch=8, size=96)
    a.add_argument("--kind", choices=network.KINDS, default="bayer")
    args = a.parse_args()
    training.setup(args)
    net = network.KINDS[args.kind]()
    size = 32 if args.kind == "bayer" else 64
    flops = flops_per_pixel(net, torch.zeros(1, net.CHANNELS, size, size)) / (4 if args.kind == "bayer" else 1)
    print(f"{flops / 1000:.0f} kFLOP per pixel, {sum(p.numel() for p in net.parameters()) / 1e6:.2f} M weights",
          flush=True)
    training.Run(net, training.Draw(SAMPLE[args.kind], args), loss_of, args).go()


if __name__ == "__main__":
    main()
