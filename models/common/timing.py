# SPDX-License-Identifier: GPL-3.0-or-later
"""Times all bundled models beside FFDNet on 12 megapixels, in turns, through the program; prints a table.

    python3 timing.py [--build ../../build] [--candidate FOLDER] [--rounds 3]

Ratios of the same round count, so that what else the machine does matters little.
"""
import argparse
import os
import sys

import numpy as np

from product import ROOT, Program, head, row, write_pfm

sys.path.append(os.path.join(ROOT, "tests", "cli"))
import raws  # noqa: E402

WIDTH, HEIGHT = 4000, 3000
JOBS = (  # what, task, options, kind of file, megapixels of the input
    ("FFDNet", "denoise", ("--model", "denoise-ffdnet", "--sigma", "25"), "picture", 12),
    ("denoise-leaves", "denoise", ("--model", "denoise-leaves"), "picture", 12),
    ("upscale-leaves ×2", "upscale", ("--model", "upscale-leaves", "--scale", "2"), "small", 3),
    ("upscale-leaves ×4", "upscale", ("--model", "upscale-leaves", "--scale", "4"), "small", 3),
    ("rawdenoise-leaves, Bayer", "rawdenoise", ("--model", "rawdenoise-leaves"), "raw", 12),
)


def files(home):
    """A picture, a quarter of it, and a raw, all random."""
    rng = np.random.default_rng(1)
    paths = {"picture": "a.pfm", "small": "b.pfm", "raw": "c.dng"}
    paths = {k: os.path.join(home, v) for k, v in paths.items()}
    picture = rng.random((HEIGHT, WIDTH, 3), np.float32)
    write_pfm(paths["picture"], picture)
    write_pfm(paths["small"], picture[::2, ::2])
    samples = rng.integers(600, 16000, HEIGHT * WIDTH).tolist()
    with open(paths["raw"], "wb") as f:
        f.write(raws.dng(WIDTH, HEIGHT, "RGGB", samples, 16))
    return paths


def seconds(program, job, paths):
    _, task, options, kind, megapixels = job
    if task != "rawdenoise":
        return program.seconds(task, paths[kind], *options) / megapixels
    out = os.path.join(program.home, "timed.dng")
    return program.reported(task, "--overwrite", "--compression", "none", "-o", out, *options, paths[kind]) / megapixels


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build")
    a.add_argument("--candidate", nargs="*")
    a.add_argument("--rounds", type=int, default=3)
    args = a.parse_args()
    with Program(args.build, args.candidate) as program:
        paths = files(program.home)
        jobs = [j for j in JOBS if program.has(j[2][1])]
        taken = np.array([[seconds(program, j, paths) for j in jobs] for _ in range(args.rounds)])
    ratios = taken / taken[:, :1]
    print(f"\n12 megapixels, {os.cpu_count()} cores, medians of {args.rounds} rounds, per megapixel of the input:")
    head("model", "seconds", "times FFDNet's")
    for i, job in enumerate(jobs):
        row(job[0], f"{np.median(taken[:, i]):.2f}", f"{np.median(ratios[:, i]):.2f}")


if __name__ == "__main__":
    main()
