# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures how well a mask model understands clicks, through the program's own command line.

    python3 masks.py FOLDER [--model ID] [--raw] [--json FILE]
    python3 masks.py --score-only A.png B.png

FOLDER holds photographs with their true masks. A simulated person clicks where the mask is most wrong, sees the
new mask, and clicks again. README.md beside this file says how exactly, and what the figures mean.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageOps

try:
    from scipy import ndimage
except ImportError:
    ndimage = None

PHOTOS = (".jpg", ".jpeg", ".tif", ".tiff")
COUNTS = (1, 3, 5, 10)
GOALS = (0.85, 0.90)
FALL = 0.05
Image.MAX_IMAGE_PIXELS = None  # the folder is the user's own


class Problem(Exception):
    """What a person has to put right."""


# --- pictures

def open_upright(path):
    """The picture as it is seen, by its own orientation tag."""
    try:
        return ImageOps.exif_transpose(Image.open(path))
    except (OSError, SyntaxError, ValueError) as error:
        raise Problem("%s cannot be read as a picture (%s). Check the file." % (path, error))


def grey_of(picture):
    """Values 0 to 255; of a picture with a palette the indices."""
    if picture.mode == "P":
        return np.asarray(picture).astype(np.int32)
    if picture.mode.startswith("I"):
        return np.asarray(picture).astype(np.int32) >> 8
    if picture.mode in ("LA", "RGBA"):
        values = np.asarray(picture.convert("LA")).astype(np.int32)
        return values[..., 0] * values[..., 1] // 255
    return np.asarray(picture.convert("L")).astype(np.int32)


def read_mask(path, ignore=None):
    """(what is object, what counts) as two arrays of bool, upright."""
    picture = open_upright(path)
    grey = grey_of(picture)
    valid = np.ones(grey.shape, bool) if ignore is None else grey != ignore
    return (grey >= (1 if picture.mode == "P" else 128)) & valid, valid


def find_pairs(folder):
    """[(photograph, mask)] by name, and the names of pictures that have no partner."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise Problem("%s cannot be read (%s). Give a folder with photographs and masks." % (folder, error.strerror))
    pairs, used = {}, set()
    for name in names:
        stem, ending = os.path.splitext(name)
        masks = [m for m in (stem + ".png", stem + "_mask.png") if m in names and m != name]
        if ending.lower() in PHOTOS and masks:
            if stem in pairs or len(masks) > 1:
                raise Problem("%s: several photographs or masks are called %s. Remove all but one." % (folder, stem))
            pairs[stem] = (name, masks[0])
            used.update(pairs[stem])
    for name in names:
        stem, ending = os.path.splitext(name)
        if ending == ".png" and name not in used and stem + "_mask.png" in names:
            pairs[stem] = (name, stem + "_mask.png")
            used.update(pairs[stem])
    lone = [n for n in names if os.path.splitext(n)[1].lower() in PHOTOS + (".png",) and n not in used]
    return [tuple(os.path.join(folder, n) for n in pairs[stem]) for stem in sorted(pairs)], lone


def check_size(path, shape, truth_path, truth_shape):
    if shape != truth_shape:
        raise Problem("%s is %d x %d pixels and %s %d x %d, both upright. Correct the mask: sizes must agree."
                      % (path, shape[1], shape[0], truth_path, truth_shape[1], truth_shape[0]))


# --- geometry

def squared_distance(inside):
    """Squared Euclidean distance of each pixel to the nearest one outside; beyond the border all is outside."""
    inside = np.pad(inside, 1)
    if ndimage:
        return np.rint(ndimage.distance_transform_edt(inside) ** 2).astype(np.int64)[1:-1, 1:-1]
    rows = np.arange(inside.shape[0])[:, None]
    above = np.maximum.accumulate(np.where(inside, -1, rows), axis=0)
    below = np.minimum.accumulate(np.where(inside, len(rows), rows)[::-1], axis=0)[::-1]
    # within the column first, then from column to column, as far as it can matter
    column = np.minimum(rows - above, below - rows).astype(np.int64) ** 2
    best, step = column.copy(), 1
    while step < inside.shape[1] and step * step < best.max():
        np.minimum(best[:, step:], column[:, :-step] + step * step, out=best[:, step:])
        np.minimum(best[:, :-step], column[:, step:] + step * step, out=best[:, :-step])
        step += 1
    return best[1:-1, 1:-1]


def find_runs(marked):
    """Rows, beginnings and ends (exclusive) of the horizontal runs, in reading order."""
    edges = np.diff(np.pad(marked, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, begins = np.nonzero(edges == 1)
    return rows.tolist(), begins.tolist(), np.nonzero(edges == -1)[1].tolist()


def join_runs(rows, begins, ends):
    """For each run the number of the first run of its component (8 neighbours)."""
    parent = list(range(len(rows)))

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    above = 0
    for i, row in enumerate(rows):
        while rows[above] < row - 1 or (rows[above] == row - 1 and ends[above] < begins[i]):
            above += 1
        j = above
        while j < i and rows[j] == row - 1 and begins[j] <= ends[i]:
            a, b = root(i), root(j)
            parent[max(a, b)] = min(a, b)
            j += 1
    return [root(i) for i in range(len(rows))]


def largest_component(marked):
    """(the component of most pixels, its size); of equal ones the first in reading order. (None, 0) if empty."""
    if not marked.any():
        return None, 0
    if ndimage:
        labels, _ = ndimage.label(marked, np.ones((3, 3), int))
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        return labels == sizes.argmax(), int(sizes.max())
    rows, begins, ends = find_runs(marked)
    roots = np.array(join_runs(rows, begins, ends))
    sizes = np.bincount(roots, np.subtract(ends, begins))
    found = np.zeros(marked.shape, bool)
    for i in np.nonzero(roots == sizes.argmax())[0]:
        found[rows[i], begins[i]:ends[i]] = True
    return found, int(sizes.max())


def centre_of(component, clicked):
    """(x, y) of the pixel farthest from the edge, never one clicked before; None if there is no other."""
    ys, xs = np.nonzero(component)
    top, left = ys.min(), xs.min()
    distance = squared_distance(component[top:ys.max() + 1, left:xs.max() + 1])
    for x, y in clicked:
        if 0 <= y - top < distance.shape[0] and 0 <= x - left < distance.shape[1]:
            distance[y - top, x - left] = 0
    y, x = np.unravel_index(distance.argmax(), distance.shape)
    return (int(x + left), int(y + top)) if distance[y, x] else None


def next_click(truth, mask, valid, clicks):
    """(x, y, is on the object) where the mask is most wrong; None when nothing is left to click on."""
    missed, missed_size = largest_component(truth & ~mask & valid)
    wrong, wrong_size = largest_component(mask & ~truth & valid)
    if not missed_size and not wrong_size:
        return None
    is_object = missed_size >= wrong_size
    place = centre_of(missed if is_object else wrong, [c[:2] for c in clicks])
    return place and place + (is_object,)


def iou_of(a, b, valid=True):
    """Intersection over union; 1 where both are empty."""
    union = int(np.count_nonzero((a | b) & valid))
    return int(np.count_nonzero(a & b & valid)) / union if union else 1.0


# --- the program

def command_of(options, photo, clicks, output):
    command = [options.program]
    for name in ("configdir", "cachedir"):
        if getattr(options, name):
            command += ["--" + name, getattr(options, name)]
    command += ["mask", os.path.abspath(photo), "--overwrite", "-o", output]
    command += ["--model", options.model] if options.model else []
    command += ["--raw"] if options.raw else []
    for x, y, is_object in clicks:
        command += ["--point", "%d,%d%s" % (x, y, "" if is_object else ",-")]
    return command


def ask(options, photo, clicks, output):
    """The program's mask for all clicks so far."""
    command = command_of(options, photo, clicks, output)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError as error:
        raise Problem("%s cannot be run (%s). Name it with --program." % (command[0], error.strerror))
    if done.returncode:
        raise Problem("the program failed with exit code %d: %s\n%s"
                      % (done.returncode, " ".join(command), done.stderr.decode(errors="replace").strip()))
    return read_mask(output)[0]


def evaluate_photo(options, photo, truth_path, output):
    """Clicks and the IoU after each of them."""
    truth, valid = read_mask(truth_path, options.ignore)
    check_size(photo, open_upright(photo).size[::-1], truth_path, truth.shape)
    if not truth.any():
        raise Problem("%s: there is no object in this mask. Give one with white on black." % truth_path)
    mask, clicks, ious = np.zeros_like(truth), [], []
    while len(ious) < options.clicks and not (len(ious) >= max(COUNTS) and max(ious) >= max(GOALS)):
        click = next_click(truth, mask, valid, clicks)
        if not click:
            break
        clicks.append(click)
        mask = ask(options, photo, clicks, output)
        check_size("the program's mask of " + photo, mask.shape, truth_path, truth.shape)
        ious.append(iou_of(truth, mask, valid))
    return clicks, ious


# --- figures

def figures_of(ious, cap):
    """What is reported of one photograph."""
    figures = {"iou_at_%d" % n: ious[min(n, len(ious)) - 1] for n in COUNTS if n <= cap}
    for goal in GOALS:
        reached = [n for n, iou in enumerate(ious, 1) if iou >= goal]
        figures["clicks_to_%.2f" % goal] = reached[0] if reached else cap
        figures["reached_%.2f" % goal] = bool(reached)
    figures["further_clicks"] = len(ious) - 1
    figures["falls"] = sum(after < before - FALL for before, after in zip(ious, ious[1:]))
    return figures


def mean_of(rows):
    """The mean of the rows; reached and falls become shares."""
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]
             if name not in ("falls", "further_clicks")}
    further = sum(row["further_clicks"] for row in rows)
    means["share_of_falls"] = sum(row["falls"] for row in rows) / further if further else 0.0
    return means


def table_of(photos, means, cap):
    """Markdown, a row for each photograph and one for all."""
    counts = [n for n in COUNTS if n <= cap]
    heads = ["photograph"] + ["IoU, %s" % ("1 click" if n == 1 else "%d clicks" % n) for n in counts]
    heads += ["clicks to %.2f" % goal for goal in GOALS] + ["clicks that harm"]
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1)]
    for photo in photos:
        row = [photo["name"].replace("|", "\\|")] + ["%.3f" % photo["iou_at_%d" % n] for n in counts]
        row += ["%d" % photo["clicks_to_%.2f" % g] if photo["reached_%.2f" % g] else "> %d" % cap for g in GOALS]
        lines.append(row + ["%d of %d" % (photo["falls"], photo["further_clicks"])])
    row = ["**mean of %d**" % len(photos)] + ["%.3f" % means["iou_at_%d" % n] for n in counts]
    row += ["%.2f" % means["clicks_to_%.2f" % goal] for goal in GOALS]
    lines.append(row + ["%.1f %%" % (100 * means["share_of_falls"])])
    return "\n".join("| %s |" % " | ".join(line) for line in lines)


def evaluate_folder(options):
    """Everything, as it is written to the JSON file."""
    pairs, lone = find_pairs(options.folder)
    if lone:
        print("left out, without a partner: " + ", ".join(lone), file=sys.stderr)
    if not pairs:
        raise Problem("%s: no photograph with a mask. Name them photo.jpg and photo.png or photo_mask.png."
                      % options.folder)
    photos = []
    with tempfile.TemporaryDirectory(prefix="mask-eval-") as scratch:
        for photo, truth in pairs:
            clicks, ious = evaluate_photo(options, photo, truth, os.path.join(scratch, "mask.png"))
            photos.append({"name": os.path.basename(photo), "iou": ious,
                           "clicks": [[x, y, "+" if is_object else "-"] for x, y, is_object in clicks],
                           **figures_of(ious, options.clicks)})
    means = mean_of([{k: v for k, v in p.items() if k not in ("name", "iou", "clicks")} for p in photos])
    return {"schema_version": 1, "model": options.model, "edges": "raw" if options.raw else "default",
            "clicks": options.clicks, "photographs": photos, "mean": means}


def score(a, b, ignore):
    """IoU of two mask files; B is the true one."""
    mask, (truth, valid) = read_mask(a)[0], read_mask(b, ignore)
    check_size(a, mask.shape, b, truth.shape)
    return iou_of(mask, truth, valid)


def write_report(path, result):
    try:
        with open(path, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
    except OSError as error:
        raise Problem("%s cannot be written (%s). Give another name to --json." % (path, error.strerror))


def parse_arguments():
    parser = argparse.ArgumentParser(description="Measures a mask model with simulated clicks.")
    parser.add_argument("folder", nargs="?", help="photo.jpg with photo.png or photo_mask.png, …")
    parser.add_argument("--score-only", nargs=2, metavar=("A", "B"), help="print the IoU of two masks, no more")
    parser.add_argument("--program", default="darktable-ai", help="the command (default: %(default)s)")
    parser.add_argument("--configdir", help="passed on to the program")
    parser.add_argument("--cachedir", help="passed on to the program")
    parser.add_argument("--model", metavar="ID", help="default: the active one")
    parser.add_argument("--raw", action="store_true", help="the model's mask as it is, edges not improved")
    parser.add_argument("--clicks", type=int, default=20, metavar="N", help="at most so many (default: %(default)s)")
    parser.add_argument("--ignore", type=int, metavar="VALUE", help="pixels of this value in true masks do not count")
    parser.add_argument("--json", metavar="FILE", help="write all figures, clicks included")
    options = parser.parse_args()
    if bool(options.folder) == bool(options.score_only):
        parser.error("give a folder, or --score-only with two masks")
    if options.clicks < 1:
        parser.error("--clicks takes 1 or more")
    return options


def main():
    options = parse_arguments()
    try:
        if options.score_only:
            print("%.6f" % score(*options.score_only, options.ignore))
            return
        result = evaluate_folder(options)
        print(table_of(result["photographs"], result["mean"], options.clicks))
        if options.json:
            write_report(options.json, result)
    except Problem as problem:
        sys.exit("masks.py: %s" % problem)


if __name__ == "__main__":
    main()
