# SPDX-License-Identifier: GPL-3.0-or-later
"""Before | after crops at 100 % for the documentation, made through the program.

    python3 crops.py ../../doc/images [--build ../../build] [--candidate FOLDER]

denoise.jpg: noisy (a camera's noise, ISO 6400), denoised, true. upscale.jpg: bicubic, ours, true; twice, then four
times. models-rawdenoise.jpg: a raw of ISO 6400 developed, with wavelets, denoised, true.
"""
import argparse
import importlib.util
import os
import sys

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "denoise-leaves"))
from product import Program, kodak  # noqa: E402

SIZE = 150
PLACES = (  # photograph, left, top: foliage, letters and wood, spokes, windows and letters, lettering and metal, eye
    ("kodim13", 90, 150), ("kodim03", 0, 110), ("kodim05", 60, 330), ("kodim08", 345, 225), ("kodim20", 110, 240),
    ("kodim23", 270, 100))


def evaluation(name):
    """eval.py of a model, as a module."""
    path = os.path.join(HERE, "..", name, "eval.py")
    spec = importlib.util.spec_from_file_location(name.replace("-", "_") + "_eval", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sheet(columns, target):
    """Each column a list of pictures in the order of PLACES; places side by side in two halves."""
    rows = []
    for i, (_, x, y) in enumerate(PLACES):
        cut = [np.clip(c[i][y:y + SIZE, x:x + SIZE], 0, 1) for c in columns]
        rows.append(np.concatenate([np.pad(p, ((0, 3), (0, 3), (0, 0)), constant_values=1) for p in cut], 1))
    half = len(rows) // 2
    both = np.concatenate([np.concatenate(rows[:half], 0), np.concatenate(rows[half:], 0)], 1)
    Image.fromarray(np.round(both * 255).astype(np.uint8)).save(target, quality=88)
    print(target, os.path.getsize(target), "bytes")


def denoised(program, pictures, folder):
    noisy = evaluation("denoise-leaves").camera(pictures, 6400)
    sheet([noisy, program.pictures("denoise", noisy, "--model", "denoise-leaves"), pictures],
          os.path.join(folder, "denoise.jpg"))


def enlarged(program, pictures, folder):
    module = evaluation("upscale-leaves")
    for scale in (2, 4):
        small = [module.shrunk(p, scale, None) for p in pictures]
        cubic = [module.resized(s, p.shape[1], p.shape[0]) for s, p in zip(small, pictures)]
        ours = program.pictures("upscale", small, "--scale", str(scale), "--model", "upscale-leaves")
        sheet([cubic, ours, pictures], os.path.join(folder, f"upscale-x{scale}.jpg"))


def raws(program, pictures, folder):
    module = evaluation("rawdenoise-leaves")
    noisy, done = (module.folder_of(program, n) for n in ("noisy", "done"))
    rng = np.random.default_rng(7)
    for i, picture in enumerate(pictures):
        module.write_raw(os.path.join(noisy, f"{i}.dng"), module.expose(rng, picture, 6400), "RGGB")
    plain = module.developed(program, noisy)
    wavelets = module.developed(program, noisy, "--module", "denoiseprofile.strength=1")
    program.call("rawdenoise", "-o", done, *(os.path.join(noisy, f"{i}.dng") for i in range(len(pictures))))
    sheet([plain, wavelets, module.developed(program, done)], os.path.join(folder, "models-rawdenoise.jpg"))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("folder")
    a.add_argument("--build")
    a.add_argument("--candidate", nargs="*")
    a.add_argument("--only", nargs="*", default=["denoise", "upscale", "raw"])
    args = a.parse_args()
    named = dict(kodak())
    pictures = [named[name] for name, _, _ in PLACES]
    with Program(args.build, args.candidate) as program:
        for name, make in (("denoise", denoised), ("upscale", enlarged), ("raw", raws)):
            if name in args.only:
                make(program, pictures, args.folder)


if __name__ == "__main__":
    main()
