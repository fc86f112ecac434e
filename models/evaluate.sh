#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Prints every table of doc/models.md and of the cards, measured through the built program; `make models-eval`.
#
#   evaluate.sh BUILD_DIR
#
# PYTHON: with numpy, scipy, Pillow and torch; with the package bm3d there is a column for it, when BM3D=1.
# EVALUATION_DATA: the folder with kodak/, models/denoise-ffdnet and raw/colorchart.dng.
set -eu

here=$(dirname "$0")
build=$(cd "$1" && pwd)
python=${PYTHON:-python3}

echo "# denoise-leaves"
"$python" "$here/denoise-leaves/eval.py" --build "$build" ${BM3D:+--bm3d}
echo
echo "# upscale-leaves"
"$python" "$here/upscale-leaves/eval.py" --build "$build"
echo
echo "# rawdenoise-leaves"
"$python" "$here/rawdenoise-leaves/eval.py" --build "$build"
echo
echo "# Time"
"$python" "$here/common/timing.py" --build "$build"
