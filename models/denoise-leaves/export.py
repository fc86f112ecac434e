# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports trained weights as model.onnx in the contract of single-input denoise models.

    python3 export.py weights.pt FOLDER/model.onnx
"""
import os
import sys

import torch

import network


def main():
    weights, target = sys.argv[1:]
    net = network.load(weights)
    torch.onnx.export(net, torch.zeros(1, 3, 64, 64), target + ".part", opset_version=13,
                      input_names=["input"], output_names=["output"],
                      dynamic_axes={n: {2: "height", 3: "width"} for n in ("input", "output")})
    os.replace(target + ".part", target)
    print(f"{os.path.getsize(target)} bytes, {net.flops_per_pixel() / 1000:.0f} kFLOP per pixel")


if __name__ == "__main__":
    main()
