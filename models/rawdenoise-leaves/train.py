# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the raw denoiser on the CPU.

    python3 train.py --out weights.pt --minutes 43 [--photographs FOLDER --only NAME …] [--threads 1]
    python3 train.py --kind linear --begin bayer.pt --out linear.pt --minutes 15 …
"""
import argparse
import math
import os
import time

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

import data
import network

BORDER = 4  # pixels that see too little of their surroundings to count
SAMPLE = {"bayer": data.bayer_sample, "linear": data.linear_sample}


def batch(rng, sources, shares, args):
    """Noisy [n, …], clean [n, 3, size, size], gains [n, 3, 1, 1], noise [n, 1, 1, 1]."""
    draw = SAMPLE[args.kind]
    noisy, clean, gains, ratio = zip(*(draw(rng, sources, shares, args.size) for _ in range(args.batch)))
    to = lambda a: torch.from_numpy(np.stack(a).astype(np.float32))
    return to(noisy), to(clean), to(gains)[..., None, None], to(ratio)[:, None, None, None]


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


def parse():
    a = argparse.ArgumentParser()
    a.add_argument("--out", required=True)
    a.add_argument("--kind", choices=network.KINDS, default="bayer")
    a.add_argument("--begin", help="weights to begin with, of either kind")
    a.add_argument("--anew", nargs="*", default=[], help="parts that begin anew all the same")
    a.add_argument("--minutes", type=float, default=55)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--batch", type=int, default=8)
    a.add_argument("--size", type=int, default=80)
    a.add_argument("--drawn", type=int, default=120)
    a.add_argument("--photographs")
    a.add_argument("--only", nargs="*", help="use photographs whose path contains one of these")
    a.add_argument("--seed", type=int, default=1)
    return a.parse_args()


def save(average, path):
    torch.save(average, path + ".part")
    os.replace(path + ".part", path)


def begin(args):
    net = network.KINDS[args.kind]()
    if args.begin:
        fresh = net.state_dict()
        fits = lambda k, v: k in fresh and v.shape == fresh[k].shape and not k.startswith(tuple(args.anew))
        old = {k: v for k, v in torch.load(args.begin).items() if fits(k, v)}
        net.load_state_dict({**fresh, **old})
    return net.to(memory_format=torch.channels_last)


def main():
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    sources, shares = data.pools(rng, args.drawn, args.photographs, args.only)
    print(f"{[len(s) for s in sources]} pictures: drawn, patterns, photographs", flush=True)
    net = begin(args)
    print(f"{net.flops_per_pixel() / 1000:.0f} kFLOP per pixel", flush=True)
    average = {k: v.clone() for k, v in net.state_dict().items()}
    learned = [p for p in net.parameters() if p.requires_grad]
    adam = torch.optim.Adam(learned, lr=0)
    start, step, losses = time.time(), 0, []
    while (done := (time.time() - start) / (60 * args.minutes)) < 1:
        for group in adam.param_groups:  # warm up, then a cosine down to nothing
            group["lr"] = 1e-3 * min(1, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * done))
        noisy, clean, gains, ratio = batch(rng, sources, shares, args)
        loss = loss_of(net(noisy.contiguous(memory_format=torch.channels_last)), clean, gains, ratio)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        adam.step()
        step += 1
        keep = min(0.999, step / (step + 50))
        for k, v in net.state_dict().items():
            average[k].mul_(keep).add_(v, alpha=1 - keep)
        losses.append(loss.item())
        if step % 100 == 0:
            print(f"step {step} loss {np.mean(losses[-100:]):.5f} {100 * done:.0f} %", flush=True)
        if step % 500 == 0:
            save(average, args.out)
    save(average, args.out)


if __name__ == "__main__":
    main()
