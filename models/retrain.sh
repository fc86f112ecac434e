#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Trains a bundled model anew and puts the result into data/models; `make models NAME=…` calls it. What was
# begun goes on: states lie in RUNS.
#
#   retrain.sh denoise-leaves|upscale-leaves|rawdenoise-leaves
#
# PYTHON: with torch, onnx, numpy, scipy and Pillow. RUNS: where training keeps its states. PACKAGES: where Debian's
# packages of backgrounds are, / when they are installed. MINUTES: of training, each network.
set -eu

name=${1:-}
here=$(dirname "$0")
python=${PYTHON:-python3}
runs=${RUNS:-$here/../build/models}
packages=${PACKAGES:-/}
minutes=${MINUTES:-60}
bundled=$here/../data/models
tiles=$runs/tiles.npy

train() { # script, run, options
  script=$1 run=$runs/$2
  shift 2
  "$python" "$here/$script/train.py" --tiles "$tiles" --run "$run" --minutes "$minutes" --muon 0.002 "$@"
}

case $name in
  denoise-leaves | upscale-leaves | rawdenoise-leaves) ;;
  *) echo "Which model? NAME=denoise-leaves, upscale-leaves or rawdenoise-leaves." >&2; exit 2 ;;
esac
mkdir -p "$runs" "$bundled/$name"
[ -e "$tiles" ] || "$python" "$here/common/tiles.py" "$tiles" --root "$packages"

case $name in
  denoise-leaves)
    train denoise-leaves denoise --batch 12 --size 80
    "$python" "$here/denoise-leaves/export.py" "$runs/denoise/weights.pt" "$bundled/$name/model.onnx"
    ;;
  upscale-leaves)
    train upscale-leaves upscale2 --scale 2 --batch 12 --size 96
    train upscale-leaves upscale4 --scale 4 --batch 12 --size 128 --begin "$runs/upscale2/weights.pt"
    for scale in 2 4; do
      "$python" "$here/upscale-leaves/export.py" $scale "$runs/upscale$scale/weights.pt" \
        "$bundled/$name/model_x$scale.onnx"
    done
    ;;
  rawdenoise-leaves)
    train rawdenoise-leaves bayer --kind bayer
    "$python" "$here/rawdenoise-leaves/export.py" bayer "$runs/bayer/weights.pt" "$bundled/$name/model_bayer.onnx"
    ;;
esac
