# This file is part of darktable-ai.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network on one CPU core.

    python3 train.py clean.npz weights.pt [--steps N] [--threads N]

Saves the running average of the weights to weights.pt now and then, and at the end.
"""
import argparse
import math
import os
import time

import numpy as np
import torch

from model import Net
from noise import random_noise, to_linear, to_srgb


def clean_patch(photos, weights, leaves, size, rng):
    """A random crop, [size, size, 3] in 0..1, with its colours and exposure varied."""
    for _ in range(2):                                      # flat crops get a second draw
        if photos and rng.random() < 0.55:
            p = photos[rng.choice(len(photos), p=weights)]
        else:
            p = leaves[rng.integers(len(leaves))]
        y, x = rng.integers(0, p.shape[0] - size + 1), rng.integers(0, p.shape[1] - size + 1)
        c = p[y:y + size, x:x + size]
        if c.std((0, 1)).max() > 6:
            break
    c = c.astype(np.float32) / 255
    if rng.random() < 0.3:
        c = c[..., rng.permutation(3)]
    if rng.random() < 0.4:                                  # exposure and colour cast, in light
        gain = 2 ** rng.uniform(-2.5, 0.3) * rng.uniform(0.8, 1.2, 3)
        c = to_srgb(np.minimum(to_linear(c) * gain.astype(np.float32), 1))
    elif rng.random() < 0.1:
        c = np.repeat(c.mean(2, keepdims=True), 3, 2)
    return c


def batch(data, n, size, rng):
    noisy, clean = [], []
    for _ in range(n):
        c = clean_patch(*data, size, rng)
        pair = np.concatenate([random_noise(c, rng), c], 2).astype(np.float32)
        pair = np.rot90(pair, rng.integers(4))
        pair = pair[:, ::-1] if rng.random() < 0.5 else pair
        noisy.append(pair[..., :3])
        clean.append(pair[..., 3:])
    return [torch.from_numpy(np.stack(p)).permute(0, 3, 1, 2) for p in (noisy, clean)]


def main():
    p = argparse.ArgumentParser(description="Train the denoise network.")
    p.add_argument("clean", help="archive made by data.py")
    p.add_argument("weights", help="output")
    p.add_argument("--steps", type=int, default=15000)
    p.add_argument("--rate", type=float, default=1e-3)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    rng = np.random.default_rng(a.seed)
    with np.load(a.clean) as z:
        photos = [z[k] for k in z if k[0] == "p"]
        leaves = [z[k] for k in z if k[0] == "l"]
    area = np.array([q.size for q in photos], float) ** 0.5
    data = photos, area / area.sum(), leaves

    net = Net().to(memory_format=torch.channels_last)
    mean = {k: v.clone() for k, v in net.state_dict().items()}
    adam = torch.optim.Adam(net.parameters(), a.rate, betas=(0.9, 0.99))
    start, total = time.time(), 0.0
    for step in range(1, a.steps + 1):
        t = step / a.steps
        for g in adam.param_groups:                         # warm up, then half a cosine
            g["lr"] = a.rate * min(step / 200, 0.5 + 0.5 * math.cos(math.pi * t) + 1e-3)
        noisy, clean = batch(data, *((16, 64) if t < 0.8 else (8, 96)), rng)
        out = net(noisy.contiguous(memory_format=torch.channels_last))
        loss = ((out - clean) ** 2 + 1e-6).sqrt().mean()    # Charbonnier
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        keep = min(0.999, 1 - 1 / (1 + step / 10))
        for k, v in net.state_dict().items():
            mean[k].lerp_(v, 1 - keep)
        total += loss.item()
        if step % 250 == 0 or step == a.steps:
            torch.save(mean, a.weights + ".part")
            os.replace(a.weights + ".part", a.weights)
            print(f"{step:6} loss {total / 250:.5f} {time.time() - start:.0f} s", flush=True)
            total = 0.0


if __name__ == "__main__":
    main()
