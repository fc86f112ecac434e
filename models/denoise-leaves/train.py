# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the denoiser on the CPU.

    python3 train.py --out weights.pt --minutes 50 [--photographs FOLDER --only NAME …] [--threads 1]
"""
import argparse
import math
import time

import numpy as np
import torch

import data
from network import Denoiser


def clean_pool(args, rng):
    """Pictures to cut patches from: drawn ones, and photographs when there are any."""
    pool = [data.dead_leaves(rng) for _ in range(args.drawn)]
    photos = [p for _, p in data.photographs(args.photographs, args.only)] if args.photographs else []
    return pool, photos


def patch(rng, pool, photos, size):
    source = photos if photos and rng.random() < 0.6 else pool
    p = source[rng.integers(len(source))]
    y, x = (rng.integers(0, n - size + 1) for n in p.shape[:2])
    p = p[y:y + size, x:x + size]
    p = np.rot90(p, rng.integers(4))
    p = p[::rng.choice([-1, 1])][..., rng.permutation(3) if rng.random() < 0.3 else slice(None)]
    exposure = rng.choice([1, 1, rng.uniform(0.15, 1.3)])
    return np.clip(data.linear_to_srgb(data.srgb_to_linear(p) * exposure), 0, 1)


def batch(rng, pool, photos, n, size):
    clean = [patch(rng, pool, photos, size) for _ in range(n)]
    noisy = [data.add_noise(rng, c) for c in clean]
    to = lambda a: torch.from_numpy(np.stack(a).transpose(0, 3, 1, 2).astype(np.float32))
    return to(noisy), to(clean)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--out", required=True)
    a.add_argument("--minutes", type=float, default=50)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--batch", type=int, default=8)
    a.add_argument("--size", type=int, default=80)
    a.add_argument("--drawn", type=int, default=120)
    a.add_argument("--photographs")
    a.add_argument("--only", nargs="*", help="use photographs whose path contains one of these")
    a.add_argument("--seed", type=int, default=1)
    args = a.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    pool, photos = clean_pool(args, rng)
    print(f"{len(pool)} drawn pictures, {len(photos)} photographs", flush=True)
    net = Denoiser()
    print(f"{net.flops_per_pixel() / 1000:.0f} kFLOP per pixel", flush=True)
    average = {k: v.clone() for k, v in net.state_dict().items()}
    adam = torch.optim.Adam(net.parameters(), lr=0)
    start, step, losses = time.time(), 0, []
    while (done := (time.time() - start) / (60 * args.minutes)) < 1:
        for group in adam.param_groups:  # warm up, then a cosine down to nothing
            group["lr"] = 1e-3 * min(1, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * done))
        noisy, clean = batch(rng, pool, photos, args.batch, args.size)
        loss = torch.sqrt((net(noisy) - clean) ** 2 + 1e-6).mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        step += 1
        keep = min(0.999, step / (step + 50))
        for k, v in net.state_dict().items():
            average[k].mul_(keep).add_(v, alpha=1 - keep)
        losses.append(loss.item())
        if step % 100 == 0:
            print(f"step {step} loss {np.mean(losses[-100:]):.5f} {100 * done:.0f} %", flush=True)
        if step % 500 == 0:
            torch.save(average, args.out)
    torch.save(average, args.out)


if __name__ == "__main__":
    main()
