# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the raw denoiser through `darktable-ai rawdenoise` and `export`, and prints the tables of card.md.

    python3 eval.py [--build ../../build] [--candidate FOLDER]

Raws are made of the Kodak photographs: a camera whose colours are sRGB's, white balance 2.0, 1, 1.6, 14 bits.
All are developed alike (linear, no tone curve): the noisy raw with the best demosaic and the wavelet denoiser of
the pixelpipe, the denoised one without, and the truth, a linear raw without noise.
"""
import argparse
import glob
import os
import sys

import numpy as np

import network  # noqa: F401  puts models/common on the path
from product import EVALUATION, ROOT, Program, head, kodak, psnr, read_pfm, row, srgb_to_linear

sys.path.append(os.path.join(ROOT, "tests", "cli"))
import raws  # noqa: E402

GAINS = np.array([2.0, 1.0, 1.6])
BLACK, WHITE = 512, 16383
ISO = (800, 1600, 3200, 6400, 12800, 25600)
DEVELOP = ("--history", "none", "--module", "sigmoid=off", "--format", "pfm")
STRENGTHS = (0.5, 1.0, 1.5)  # of the wavelet denoiser; the best counts for each picture


def expose(rng, picture, iso):
    """A mosaic in codes; iso 0: no noise. 33 electrons at saturation at ISO 25600."""
    camera = srgb_to_linear(picture) / GAINS
    mosaic = camera[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = camera[::2, ::2, 0], camera[1::2, 1::2, 2]
    if iso:
        scale, read = 0.03 * iso / 25600, 0.02 * (iso / 25600) ** 0.8
        mosaic = rng.poisson(mosaic / scale) * scale + rng.normal(size=mosaic.shape) * read
    return np.clip(np.round(mosaic * (WHITE - BLACK) + BLACK), 0, WHITE).astype(int)


def write_raw(path, samples, pattern):
    neutral = {raws.NEUTRAL: (raws.RATIONAL, [1 / g for g in GAINS])}
    flat = samples.reshape(-1).tolist()
    with open(path, "wb") as f:
        f.write(raws.dng(samples.shape[1], samples.shape[0], pattern, flat, 16, BLACK, WHITE, tags=neutral))


def developed(program, folder, *options):
    """Every raw of a folder, as sRGB."""
    out = folder + "-developed"
    os.makedirs(out, exist_ok=True)
    paths = sorted(glob.glob(os.path.join(folder, "*.dng")))
    program.call("export", "--overwrite", "-o", out, *DEVELOP, *options, *paths)
    return [read_pfm(p) for p in sorted(glob.glob(os.path.join(out, "*")))]


def folder_of(program, name):
    path = os.path.join(program.home, name)
    os.makedirs(path, exist_ok=True)
    return path


def shown(a, b):
    """PSNR of what a file would hold, without the border that demosaicking guesses."""
    inner = (slice(8, -8), slice(8, -8))
    return psnr(np.clip(a[inner], 0, 1), np.clip(b[inner], 0, 1))


def figures(program, truth, pictures, iso):
    """PSNR of the plain demosaic, with wavelets, and of the network; brightness of the network's."""
    rng = np.random.default_rng(7)
    noisy, done = folder_of(program, f"raw-{iso}"), folder_of(program, f"denoised-{iso}")
    for name, picture in pictures:
        write_raw(os.path.join(noisy, name + ".dng"), expose(rng, picture, iso), "RGGB")
    plain = developed(program, noisy)
    tries = [plain] + [developed(program, noisy, "--module", f"denoiseprofile.strength={s}") for s in STRENGTHS]
    program.call("rawdenoise", "-o", done, *sorted(glob.glob(os.path.join(noisy, "*.dng"))))
    ours = developed(program, done)
    scores = lambda outs: [shown(t, o) for t, o in zip(truth, outs)]
    light = [srgb_to_linear(o).mean() / srgb_to_linear(t).mean() - 1 for t, o in zip(truth, ours)]
    return (np.mean(scores(plain)), np.mean(np.max([scores(t) for t in tries], 0)), np.mean(scores(ours)),
            100 * np.mean(light))


def table(program, isos):
    pictures = kodak()
    clean = folder_of(program, "truth")
    for name, picture in pictures:
        linear = srgb_to_linear(picture) / GAINS * (WHITE - BLACK) + BLACK
        write_raw(os.path.join(clean, name + ".dng"), np.round(linear).astype(int), "LINEAR")
    truth = developed(program, clean)
    print("\nKodak eight as raws, PSNR in dB of the developed pictures:")
    head("ISO", "demosaic", "and wavelets, best strength", "rawdenoise-leaves", "difference", "brightness")
    for iso in isos:
        plain, wavelets, ours, light = figures(program, truth, pictures, iso)
        row(iso or "no noise", f"{plain:.2f}", f"{wavelets:.2f}", f"{ours:.2f}", f"{ours - wavelets:+.2f}",
            f"{light:+.2f} %")


def patches(picture):
    """Where it is flat: the 24 boxes of 40 pixels whose means differ most from a smooth picture least."""
    size, found = 40, []
    for y in range(0, picture.shape[0] - size, size):
        for x in range(0, picture.shape[1] - size, size):
            box = picture[y:y + size, x:x + size]
            slope = np.abs(box[:size // 2].mean((0, 1)) - box[size // 2:].mean((0, 1))).max() \
                + np.abs(box[:, :size // 2].mean((0, 1)) - box[:, size // 2:].mean((0, 1))).max()
            if box.mean() > 0.02 and box.max() < 0.98:
                found.append((slope / box.mean(), y, x))
    return [(slice(y, y + size), slice(x, x + size)) for _, y, x in sorted(found)[:24]]


def chart(program):
    """A real raw: how much less noise in flat boxes."""
    real = os.path.join(EVALUATION, "raw", "colorchart.dng")
    if not os.path.exists(real):
        return
    noisy, done = folder_of(program, "chart"), folder_of(program, "chart-denoised")
    os.symlink(os.path.abspath(real), os.path.join(noisy, "chart.dng"))
    program.call("rawdenoise", "-o", done, os.path.join(noisy, "chart.dng"))
    before, wavelets, after = (srgb_to_linear(developed(program, *how)[0]) for how in (
        (noisy,), (noisy, "--module", "denoiseprofile.strength=1"), (done,)))
    boxes = patches(after)
    noise = lambda p: np.array([p[b].std((0, 1)) for b in boxes])
    shift = np.abs([after[b].mean((0, 1)) / before[b].mean((0, 1)) - 1 for b in boxes])
    print(f"\ncolorchart.dng, {len(boxes)} flat boxes of 40 × 40 pixels, linear light, medians:")
    head("noise over noise of the result: demosaic", "and wavelets", "mean moved %")
    row(f"{np.median(noise(before) / noise(after)):.1f}", f"{np.median(noise(wavelets) / noise(after)):.1f}",
        f"{100 * np.median(shift):.2f}")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build")
    a.add_argument("--candidate", nargs="*", help="folders of models to use instead of the bundled ones")
    a.add_argument("--quick", action="store_true", help="three ISO values")
    args = a.parse_args()
    with Program(args.build, args.candidate) as program:
        table(program, ISO[1::2] if args.quick else (0,) + ISO)
        chart(program)


if __name__ == "__main__":
    main()
