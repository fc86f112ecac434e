#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""export beside darktable-cli, on the CPU, in turns: the same 24 MP raw to a JPEG of full size.

    bench_export.py BUILD_DIR [ROUNDS]

Both do what a raw needs to be seen: levels, white balance, highlights, demosaic, colour matrix, orientation, encoding; no
tone mapping. What a program needs to start is told apart, with a raw of 64 x 64 pixels. Without darktable-cli there is no
ratio.
"""
import array
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "cli"))
import raws  # noqa: E402

WIDTH, HEIGHT, BLOCK = 6000, 4000, (600, 400)


def write_raw(path, width, height):
    """A scene with noise, a block of it repeated."""
    generator = random.Random(1)
    block = [min(16383, max(0, round(value + generator.gauss(0, 40)))) for value in raws.mosaic("RGGB", *BLOCK)]
    lines = [array.array("H", (block[y * BLOCK[0]:(y + 1) * BLOCK[0]] * (width // BLOCK[0] + 1))[:width])
             for y in range(BLOCK[1])]
    samples = array.array("H")
    for y in range(height):
        samples.extend(lines[y % BLOCK[1]])
    path.write_bytes(raws.dng(width, height, "RGGB", samples=samples))


def seconds(command, output):
    output.unlink(missing_ok=True)
    start = time.monotonic()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    took = time.monotonic() - start
    if done.returncode or not output.exists():
        sys.exit(f"{command[0]} failed:\n{done.stderr}")
    return took


def main():
    program = pathlib.Path(sys.argv[1]) / "bin" / "darktable-ai"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        large, small, out = folder / "large.dng", folder / "small.dng", folder / "out.jpg"
        write_raw(large, WIDTH, HEIGHT)
        write_raw(small, 64, 64)
        ours = [program, "--configdir", folder / "ours", "--cachedir", folder / "cache", "--conf", "opencl=FALSE", "export",
                "--module", "sigmoid=off", "--overwrite", "-o", out]
        theirs = lambda raw: ["darktable-cli", raw, out, "--core", "--configdir", folder / "theirs", "--library", ":memory:",
                              "--disable-opencl", "--conf", "plugins/darkroom/workflow=none"]
        has_peer = shutil.which("darktable-cli") is not None
        times = {name: [] for name in ("ours", "ours, start", "darktable-cli", "darktable-cli, start")}
        for _ in range(rounds):
            times["ours"].append(seconds(ours + [large], out))
            times["ours, start"].append(seconds(ours + [small], out))
            if has_peer:
                times["darktable-cli"].append(seconds(theirs(large), out))
                times["darktable-cli, start"].append(seconds(theirs(small), out))
        median = {name: statistics.median(values) for name, values in times.items() if values}
        print(f"{WIDTH} x {HEIGHT} raw to JPEG, {os.cpu_count()} cores, medians of {rounds}:")
        for name, value in median.items():
            print(f"  {name:22} {value:7.2f} s")
        if not has_peer:
            print("darktable-cli is not installed: no ratio")
            return
        whole = median["ours"] / median["darktable-cli"]
        work = (median["ours"] - median["ours, start"]) / (median["darktable-cli"] - median["darktable-cli, start"])
        print(f"ratio {whole:.2f}, without the start {work:.2f}; the aim is at most 1.0: {'yes' if max(whole, work) <= 1 else 'NO'}")


main()
