# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the denoiser on pictures it was not trained on and prints a table (PSNR in dB, sRGB, not clipped).

    python3 evaluate.py weights.pt FOLDER [--only NAME …]
"""
import argparse

import numpy as np
import torch

import data
import network

CROP = 512


def camera(gain, read):
    """Noise as `make demo` adds it: per photosite, bilinear demosaic, no white balance."""
    def add(rng, clean):
        linear = data.srgb_to_linear(clean)
        mask = data.filter_mask(*clean.shape[:2], (0, 0))
        signal = (linear * mask).sum(-1)
        site = rng.normal(size=signal.shape) * np.sqrt(gain * np.maximum(signal, 0) + read ** 2)
        return data.linear_to_srgb(linear + data.demosaic_noise(site, mask))
    return add


def gaussian(sigma):
    return lambda rng, clean: clean + rng.normal(size=clean.shape) * sigma / 255


CASES = {
    "no noise": lambda rng, clean: clean,
    "camera, low (0.001, 0.003)": camera(0.001, 0.003),
    "camera, medium (0.006, 0.01)": camera(0.006, 0.01),
    "camera, high (0.02, 0.03)": camera(0.02, 0.03),
    "Gaussian 15": gaussian(15),
    "Gaussian 25": gaussian(25),
    "Gaussian 50": gaussian(50),
}


def crops(folder, only):
    """Two crops of each picture, at full size: kept apart from training by name."""
    from PIL import Image
    import glob
    for path in sorted(glob.glob(folder + "/*.jpg") + glob.glob(folder + "/*.png")):
        if only and not any(n in path for n in only):
            continue
        p = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
        h, w = (n // 4 * 4 for n in p.shape[:2])
        for y, x in {(0, 0), (max(0, (h - CROP) // 2), max(0, (w - CROP) // 2))}:
            yield p[y:y + min(CROP, h), x:x + min(CROP, w)][:min(CROP, h) // 4 * 4, :min(CROP, w) // 4 * 4]


def psnr(a, b):
    return -10 * np.log10(np.mean((a - b) ** 2) + 1e-12)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("weights")
    a.add_argument("folder")
    a.add_argument("--only", nargs="*")
    args = a.parse_args()
    torch.set_num_threads(1)
    net = network.load(args.weights)
    pictures = list(crops(args.folder, args.only))
    print(f"{len(pictures)} crops\n\n| noise | noisy | denoised | brightness |\n|---|---|---|---|")
    for name, add in CASES.items():
        rng, rows = np.random.default_rng(7), []
        for clean in pictures:
            noisy = add(rng, clean).astype(np.float32)
            with torch.no_grad():
                out = net(torch.from_numpy(noisy.transpose(2, 0, 1)[None].copy()))[0].numpy().transpose(1, 2, 0)
            rows.append((psnr(clean, noisy), psnr(clean, out), out.mean() / clean.mean() - 1))
        noisy, denoised, shift = np.mean(rows, 0)
        print(f"| {name} | {'–' if noisy > 100 else f'{noisy:.2f}'} | {denoised:.2f} | {100 * shift:+.2f} % |")


if __name__ == "__main__":
    main()
