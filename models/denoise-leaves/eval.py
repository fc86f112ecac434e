# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the denoiser through `darktable-ai denoise`, beside FFDNet and BM3D, and prints the tables of card.md.

    python3 eval.py [--build ../../build] [--candidate FOLDER] [--quick] [--bm3d]

FFDNet is told the true sigma, or is given the best of several for each picture; the bundled model is told
nothing. Needs the evaluation data (see common/product.py).
"""
import argparse

import numpy as np
import torch

import network  # noqa: F401  puts models/common on the path
import noise
from product import Program, head, kodak, psnr, row

ISO = (800, 1600, 3200, 6400, 12800, 25600)
BEST_OF = (0.5, 0.75, 1.0, 1.4, 2.0)  # of the noise's size over all pictures


def gaussian(pictures, sigma):
    rng = np.random.default_rng(7)
    return [(p + rng.normal(size=p.shape) * sigma / 255).astype(np.float32) for p in pictures]


def camera(pictures, iso):
    """A camera's noise in developed pictures, cut to 0..1 as files are. Half a stop per photosite and ISO:
    33 electrons at saturation at ISO 25600, gains of daylight, a usual colour matrix."""
    generator = torch.Generator().manual_seed(7)
    noisy = []
    for p in pictures:
        clean = torch.from_numpy(p.transpose(2, 0, 1)[None].copy())
        chance = noise.Chance(1, "cpu", generator)
        gain, read = torch.tensor(0.03 * iso / 25600), torch.tensor(0.02 * (iso / 25600) ** 0.8)
        gains = torch.tensor([2.0, 1.0, 1.6]).reshape(1, 3, 1, 1)
        out = noise.camera_noise(clean, chance, gain, read, gains, torch.tensor([[[[0.35]]]]),
                                 generator=generator)
        noisy.append(out[0].clamp(0, 1).permute(1, 2, 0).numpy())
    return noisy


def mean_psnr(clean, other):
    return np.mean([psnr(c, o) for c, o in zip(clean, other)])


def bm3d_of(noisy, sigma):
    import bm3d
    return [bm3d.bm3d_rgb(n, sigma / 255).astype(np.float32) for n in noisy]


def gaussian_table(program, clean, with_bm3d):
    print("\nKodak eight, Gaussian noise, PSNR in dB, means of pictures:")
    head("sigma", "noisy", "denoise-leaves, blind", "FFDNet, true sigma", "difference", *(["BM3D, true sigma"] * with_bm3d))
    for sigma in (15, 25, 50):
        noisy = gaussian(clean, sigma)
        ours = mean_psnr(clean, program.pictures("denoise", noisy, "--model", "denoise-leaves"))
        ffdnet = mean_psnr(clean, program.pictures("denoise", noisy, "--model", "denoise-ffdnet",
                                                   "--sigma", str(sigma)))
        other = [f"{mean_psnr(clean, bm3d_of(noisy, sigma)):.2f}"] if with_bm3d else []
        row(sigma, f"{mean_psnr(clean, noisy):.2f}", f"{ours:.2f}", f"{ffdnet:.2f}", f"{ours - ffdnet:+.2f}", *other)


def best_of(clean, tries):
    """The best PSNR of each picture, mean."""
    return np.mean(np.max([[psnr(c, o) for c, o in zip(clean, t)] for t in tries], 0))


def camera_table(program, clean, isos, with_bm3d):
    print("\nKodak eight, a camera's noise, sRGB cut to 0..1, PSNR in dB:")
    head("ISO", "noisy", "denoise-leaves", "FFDNet, best sigma", "difference", *(["BM3D, best sigma"] * with_bm3d))
    for iso in isos:
        noisy = camera(clean, iso)
        ours = mean_psnr(clean, program.pictures("denoise", noisy, "--model", "denoise-leaves"))
        size = 255 * np.sqrt(np.mean([np.mean((c - n) ** 2) for c, n in zip(clean, noisy)]))
        sigmas = [max(1, round(size * f)) for f in BEST_OF]
        ffdnet = best_of(clean, [program.pictures("denoise", noisy, "--model", "denoise-ffdnet", "--sigma", str(s))
                                 for s in sigmas])
        other = [f"{best_of(clean, [bm3d_of(noisy, s) for s in sigmas]):.2f}"] if with_bm3d else []
        row(iso, f"{mean_psnr(clean, noisy):.2f}", f"{ours:.2f}", f"{ffdnet:.2f}", f"{ours - ffdnet:+.2f}", *other)


def clean_table(program, clean):
    print("\nClean pictures:")
    out = program.pictures("denoise", clean, "--model", "denoise-leaves")
    values = [psnr(c, o) for c, o in zip(clean, out)]
    shifts = [100 * abs(o[..., k].mean() / c[..., k].mean() - 1) for c, o in zip(clean, out) for k in range(3)]
    head("PSNR, mean", "least", "colour shift, mean %", "most %")
    row(f"{np.mean(values):.2f}", f"{min(values):.2f}", f"{np.mean(shifts):.3f}", f"{max(shifts):.3f}")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build")
    a.add_argument("--candidate", nargs="*", help="folders of models to use instead of the bundled ones")
    a.add_argument("--quick", action="store_true", help="three ISO values")
    a.add_argument("--bm3d", action="store_true", help="BM3D of the package bm3d too; slow")
    args = a.parse_args()
    clean = [p for _, p in kodak()]
    with Program(args.build, args.candidate) as program:
        gaussian_table(program, clean, args.bm3d)
        clean_table(program, clean)
        camera_table(program, clean, ISO[::2] if args.quick else ISO, args.bm3d)


if __name__ == "__main__":
    main()
