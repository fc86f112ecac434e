# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports trained weights as model_x2.onnx or model_x4.onnx.

    python3 export.py 2 RUN2/weights.pt ../../data/models/upscale-leaves/model_x2.onnx
"""
import sys

import torch

import network  # also puts models/common on the path
from exporting import export


def main():
    scale, weights, target = sys.argv[1:]
    export(network.load(weights, int(scale)), torch.zeros(1, 3, 64, 64), target, larger=int(scale), pad=2)


if __name__ == "__main__":
    main()
