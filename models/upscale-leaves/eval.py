# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures enlarging through `darktable-ai upscale` beside bicubic, and prints the tables of card.md.

    python3 eval.py [--build ../../build] [--candidate FOLDER]

The small pictures are the Kodak photographs shrunk by Pillow's bicubic filter and rounded to 8 bits. A second
table adds JPEG compression to them.
"""
import argparse
import io

import numpy as np
from PIL import Image

import network  # noqa: F401  puts models/common on the path
from product import Program, head, kodak, psnr, row, ssim


def resized(picture, width, height):
    planes = [Image.fromarray(np.ascontiguousarray(picture[..., c])).resize((width, height), Image.BICUBIC)
              for c in range(3)]
    return np.stack([np.asarray(p) for p in planes], -1)


def shrunk(picture, scale, quality):
    small = resized(picture, picture.shape[1] // scale, picture.shape[0] // scale)
    eight = np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)
    if quality:
        buffer = io.BytesIO()
        Image.fromarray(eight).save(buffer, "JPEG", quality=quality)
        eight = np.asarray(Image.open(buffer))
    return eight.astype(np.float32) / 255


def table(program, clean, quality):
    print(f"\nKodak eight, shrunk{f', JPEG quality {quality}' if quality else ''}; PSNR in dB / SSIM:")
    head("scale", "bicubic", "upscale-leaves", "difference")
    for scale in (2, 4):
        small = [shrunk(p, scale, quality) for p in clean]
        cubic = [np.clip(resized(s, c.shape[1], c.shape[0]), 0, 1) for s, c in zip(small, clean)]
        ours = [np.clip(o, 0, 1) for o in program.pictures("upscale", small, "--scale", str(scale), "--model",
                                                          "upscale-leaves")]
        figures = [[np.mean([f(c, o) for c, o in zip(clean, out)]) for f in (psnr, ssim)] for out in (cubic, ours)]
        row(f"×{scale}", *(f"{p:.2f} / {s:.4f}" for p, s in figures),
            f"{figures[1][0] - figures[0][0]:+.2f} / {figures[1][1] - figures[0][1]:+.4f}")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build")
    a.add_argument("--candidate", nargs="*", help="folders of models to use instead of the bundled ones")
    args = a.parse_args()
    clean = [p for _, p in kodak()]
    with Program(args.build, args.candidate) as program:
        table(program, clean, None)
        table(program, clean, 85)


if __name__ == "__main__":
    main()
