# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports trained weights as model.onnx in the contract of single-input denoise models.

    python3 export.py RUN/weights.pt ../../data/models/denoise-leaves/model.onnx
"""
import sys

import torch

import network  # also puts models/common on the path
from exporting import export


def main():
    weights, target = sys.argv[1:]
    export(network.load(weights), torch.zeros(1, 3, 64, 64), target)


if __name__ == "__main__":
    main()
