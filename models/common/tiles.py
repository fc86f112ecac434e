# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures that all recipes learn from, cut into one array of tiles that a training run maps into memory.

    python3 tiles.py OUT.npy [--root /] [--drawn 300]

Photographs come from Debian's packages of backgrounds (SOURCES below, each with its licence): installed, or
unpacked with `dpkg -x` below --root. They are shrunk by two and more, which hides their own noise and JPEG
artefacts and makes textures fine. OUT.npy is uint8 [n, 128, 128, 3], sRGB; beside it OUT.weights.npy tells how
often to take each: textured ones more often than sky.
"""
import argparse
import glob
import os

import numpy as np
from PIL import Image

import scenes

TILE = 128
STEP = 112
LONG_SIDE = 640  # a photograph is shrunk no further

BACKGROUNDS = "usr/share/backgrounds/"
PLASMA = "usr/share/wallpapers/%s/contents/images/2560x1600.jpg"
# Debian package -> licence, files. What is measured on (Aqua, Dune, FreshFlower, GreenMeadow, RainDrops,
# TwoWings of mate-backgrounds; Kodak) must never be here.
SOURCES = {
    "mate-backgrounds": ("GPL-2.0-or-later", [BACKGROUNDS + "mate/nature/" + n + ".jpg" for n in (
        "Blinds", "Garden", "LadyBird", "Storm", "Wood", "YellowFlower")]),
    "lomiri-wallpapers-16.04": ("CC-BY-4.0, CC-BY-SA-4.0, CC0-1.0", [BACKGROUNDS + n + ".jpg" for n in (
        "Bridge_by_Sander_Klootwijk", "Dragonfly_by_Bolly", "Picture_0B_by_freespace",
        "Picture_1A_by_freespace", "Wine_by_Jakkub_Mede", "aitzgorri_by_Aitzol_Berasategi",
        "free_by_Peter_Nerlich", "friends_by_Aitzol_Berasategi", "greentock_by_Peter_Nerlich",
        "life_by_Aitzol_Berasategi", "picosdeeuropa_by_Aitzol_Berasategi",
        "seeding_by_Clements_Engelhardt", "sunset_by_Aitzol_Berasategi")]),
    "lomiri-wallpapers-20.04": ("CC-BY-SA-3.0", [BACKGROUNDS + "Kleiber_by_Lukas_Baubkus.jpg"]),
    "lxqt-themes": ("LGPL-2.1-or-later", ["usr/share/lxqt/wallpapers/" + n for n in (
        "Valendas.png", "after-the-rain.jpg", "appleflower.png", "butterfly.png", "cloud.png", "drop.png",
        "flowers.png", "fog.jpg", "this-is-not-windows.jpg")]),
    "plasma-workspace-wallpapers": ("GPL-2.0-or-later", [PLASMA % n for n in (
        "FallenLeaf", "Path", "DarkestHour", "summer_1am", "EveningGlow", "Kite", "ColorfulCups",
        "OneStandsOut", "ColdRipple", "BytheWater")]),
    "stellarium-data": ("GPL-2.0-or-later", [
        "usr/share/stellarium/landscapes/garching/garching-gl[1234].png",
        "usr/share/stellarium/landscapes/hurricane/hurricane[128].png"]),
}


def photographs(root):
    """(path, picture) of every source that is there, uint8, several sizes of each."""
    for package, (_, names) in SOURCES.items():
        for path in sorted(p for n in names for p in glob.glob(os.path.join(root, n))
                           + glob.glob(os.path.join(root, package, n))):
            full = Image.open(path).convert("RGB")
            long_side = max(full.size)
            for factor in (2, 3, 4.5) if long_side > 1200 else (1.25,):
                if long_side / factor >= LONG_SIDE or factor <= 2:
                    size = tuple(int(n / factor) for n in full.size)
                    yield path, np.asarray(full.resize(size, Image.LANCZOS, reducing_gap=3.0))


def texture_of(tile):
    """Mean absolute Laplacian of the luminance, in 8-bit units, edges of the picture's range left out."""
    grey = tile.astype(np.float32) @ np.array([0.3, 0.6, 0.1], np.float32)
    inner = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(np.abs(inner).mean())


def cut(picture):
    """Tiles of a picture, the last of a row or column moved back to fit."""
    spots = [sorted({*range(0, n - TILE, STEP), n - TILE}) for n in picture.shape[:2]]
    return [picture[y:y + TILE, x:x + TILE] for y in spots[0] for x in spots[1]] if min(
        picture.shape[:2]) >= TILE else []


def drawn(rng, count):
    """Dead leaves and fine patterns, as uint8 pictures."""
    as8 = lambda p: np.round(np.clip(p, 0, 1) * 255).astype(np.uint8)
    for i in range(count):
        yield as8(scenes.dead_leaves(rng))
        for _ in range(3):
            yield as8(scenes.linear_to_srgb(scenes.pattern(rng)))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("out")
    a.add_argument("--root", default="/")
    a.add_argument("--drawn", type=int, default=300)
    a.add_argument("--seed", type=int, default=1)
    args = a.parse_args()
    rng = np.random.default_rng(args.seed)
    tiles, weights, used = [], [], set()
    for path, picture in photographs(args.root):
        used.add(path)
        for tile in cut(picture):
            tiles.append(tile)
            weights.append(np.clip(texture_of(tile), 1, 25) ** 0.7)
    photo_share, photo_count = sum(weights), len(tiles)
    for picture in drawn(rng, args.drawn):
        tiles += cut(picture)
    extra = len(tiles) - photo_count  # a fifth of all that is seen is drawn
    weights += [(0.25 * photo_share or 1) / max(extra, 1)] * extra
    np.save(args.out, np.stack(tiles))
    np.save(args.out.replace(".npy", ".weights.npy"), np.array(weights) / sum(weights))
    print(f"{len(used)} photographs, {photo_count} tiles of them, {extra} drawn")


if __name__ == "__main__":
    main()
