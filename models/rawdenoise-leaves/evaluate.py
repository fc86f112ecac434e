# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the raw denoiser on what it was not trained on and prints tables.

    python3 evaluate.py weights.pt --folder FOLDER [--only NAME …] [--halve]
    python3 evaluate.py weights.pt --chart colorchart.dng [--picture OUT.png]

The first sees pictures with a simulated camera, the second takes a real raw with a ColorChecker in it.
"""
import argparse
import glob
import math

import numpy as np
import torch
from PIL import Image

import data
import network

CROP = 512
GAINS = np.array([2.0, 1, 1.6])
SPEEDS = (800, 1600, 3200, 6400, 12800, 25600)

# The DNG: one strip of packed 14-bit samples, and the visible part of it.
STRIP, WIDTH, HEIGHT = 1536, 1888, 1182
TOP, LEFT, BOTTOM, RIGHT = 26, 152, 1182, 1886
BLACK, WHITE = 2056, 15000
CHART_GAINS = np.array([2.477, 1, 1.462])
# Middles of the 24 patches in visible pixels, row by row; a box of 64 × 56 around each lies well inside.
PATCHES = ((716, 626), (822, 624), (930, 622), (1034, 618), (1144, 616), (1252, 614),
           (712, 726), (818, 722), (926, 720), (1034, 718), (1144, 716), (1254, 714),
           (706, 826), (816, 824), (926, 822), (1036, 820), (1146, 818), (1256, 816),
           (704, 930), (814, 928), (924, 926), (1034, 924), (1146, 922), (1260, 922))
BOX = (32, 28)


# --- the network -------------------------------------------------------------------------------------

MARGIN = 64  # pixels of mirrored picture around it; even, so that colours stay on their sites


def run(net, planes):
    """Picture [h, w, 3] of planes that have the margin."""
    ends = [(0, 0)] + [(0, -n % net.STRIDE) for n in planes.shape[1:]]
    padded = np.pad(planes, ends, "edge")[None].astype(np.float32)
    with torch.no_grad():
        out = net(torch.from_numpy(padded))[0].numpy()
    scale = out.shape[1] // padded.shape[2]
    rows, columns = (slice(MARGIN, n * scale - MARGIN) for n in planes.shape[1:])
    return out[:, rows, columns].transpose(1, 2, 0)


def bayer(net, m):
    """Camera RGB of a mosaic of even size."""
    return run(net, data.pack(np.pad(m, MARGIN, "reflect")))


def bilinear(m):
    return bayer(network.Bilinear(), m)


def linear(net, p):
    return run(net, np.pad(p.transpose(2, 0, 1), ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)), "reflect"))


# --- simulated --------------------------------------------------------------------------------------

def crops(folder, only, halve):
    """Up to two crops of each picture, linear light."""
    for path in sorted(glob.glob(folder + "/*.jpg") + glob.glob(folder + "/*.png")):
        if only and not any(n in path for n in only):
            continue
        p = Image.open(path).convert("RGB")
        p = np.asarray(p.resize((p.width // 2, p.height // 2), Image.BOX) if halve else p, np.float32) / 255
        h, w = (min(CROP, n // 8 * 8) for n in p.shape[:2])
        for y, x in [(0, 0), ((p.shape[0] - h) // 2, (p.shape[1] - w) // 2)][-1 if h == p.shape[0] else 0:]:
            yield data.srgb_to_linear(p[y:y + h, x:x + w])


def psnr(a, b):
    return -10 * math.log10(np.mean((a - b) ** 2) + 1e-12)


def speed_noise(iso):
    """(scale, read) in the middle of what the training draws for this speed."""
    t = math.log2(iso / 100) / 8
    return 10 ** (-5 + 3.48 * t), 10 ** (-4 + 2.48 * t)


def measure(net, kind, pictures, iso):
    """Mean PSNR of bilinear, Malvar and network as seen (white balanced, sRGB, cut to 0..1), and how much
    brighter the network's picture is than the clean one, in percent."""
    rng, rows = np.random.default_rng(7), []
    for scene in pictures:
        clean = np.minimum(scene / GAINS, 1)
        m = data.mosaic_of(clean)
        if iso:
            scale, read = speed_noise(iso)
            m = np.minimum(rng.poisson(m / scale) * scale + rng.normal(size=m.shape) * read, 1)
        good = data.malvar(m, GAINS)
        out = bayer(net, m) if kind == "bayer" else linear(net, good * GAINS) / GAINS
        see = lambda p: data.linear_to_srgb(np.clip(p * GAINS, 0, 1))
        rows.append([psnr(see(clean), see(p)) for p in (bilinear(m), good, out)]
                    + [100 * (out.mean() / clean.mean() - 1)])
    return np.mean(rows, 0)


def simulated(net, args):
    pictures = list(crops(args.folder, args.only, args.halve))
    print(f"{len(pictures)} crops\n")
    print("| ISO | bilinear | Malvar | network | brightness |\n|---|---|---|---|---|")
    for iso in (0,) + SPEEDS:
        plain, good, out, shift = measure(net, args.kind, pictures, iso)
        print(f"| {iso or 'no noise'} | {plain:.2f} | {good:.2f} | {out:.2f} | {shift:+.2f} % |", flush=True)


# --- real -------------------------------------------------------------------------------------------

def read_chart(path):
    packed = np.fromfile(path, np.uint8)[STRIP:][:WIDTH * HEIGHT * 14 // 8]
    bits = np.unpackbits(packed).reshape(HEIGHT, WIDTH, 14).astype(np.int64)
    samples = (bits << np.arange(13, -1, -1)).sum(-1)[TOP:BOTTOM, LEFT:RIGHT]
    return (samples - BLACK) / (WHITE - BLACK)


def sites(m, colour):
    """The samples of one colour; of green those of the red rows first."""
    return (m[::2, ::2], np.stack([m[::2, 1::2], m[1::2, ::2]]), m[1::2, 1::2])[colour]


def report(name, values):
    values = np.ravel(values)
    print(f"| {name} | {np.median(values):.2f} | {values.min():.2f} | {values.max():.2f} |")


def chart(net, args):
    m = read_chart(args.chart)
    out, plain = bayer(net, m), bilinear(m)
    by_site, by_bilinear, moved = [], [], []
    for x, y in PATCHES:
        rows, columns = slice(y - BOX[1], y + BOX[1]), slice(x - BOX[0], x + BOX[0])
        for c in range(3):
            raw, o, p = sites(m[rows, columns], c), out[rows, columns, c], plain[rows, columns, c]
            by_site.append(raw.std() / o.std())
            by_bilinear.append(p.std() / o.std())
            moved.append(100 * abs(o.mean() / raw.mean() - 1))
    print("24 patches, 3 channels\n\n|  | median | least | most |\n|---|---|---|---|")
    report("noise of the sites over noise of the result", by_site)
    report("noise of bilinear over noise of the result", by_bilinear)
    report("mean moved, %", moved)
    if args.picture:
        see = lambda p: np.clip(data.linear_to_srgb(p * CHART_GAINS * 5), 0, 1)[520:1020, 560:1340]
        both = np.hstack([see(plain), see(out)])
        Image.fromarray((both * 255 + 0.5).astype(np.uint8)).save(args.picture)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("weights")
    a.add_argument("--kind", choices=network.KINDS, default="bayer", help="linear is given what Malvar makes")
    a.add_argument("--folder")
    a.add_argument("--only", nargs="*")
    a.add_argument("--halve", action="store_true", help="measure at half size, which is sharper")
    a.add_argument("--chart")
    a.add_argument("--picture", help="write the chart, before | after")
    args = a.parse_args()
    torch.set_num_threads(1)
    net = network.load(args.weights, args.kind)
    if args.folder:
        simulated(net, args)
    if args.chart:
        chart(net, args)


if __name__ == "__main__":
    main()
