# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports trained weights in the contract bayer_v1 or linear_v1.

    python3 export.py bayer BAYER/weights.pt ../../data/models/rawdenoise-leaves/model_bayer.onnx
    python3 export.py linear LINEAR/weights.pt ../../data/models/rawdenoise-leaves/model_linear.onnx
"""
import sys

import torch

import network  # also puts models/common on the path
from exporting import export


def main():
    kind, weights, target = sys.argv[1:]
    net = network.load(weights, kind)
    export(net, torch.zeros(1, net.CHANNELS, 64, 64), target, larger=2 if kind == "bayer" else 1, pad=1)


if __name__ == "__main__":
    main()
