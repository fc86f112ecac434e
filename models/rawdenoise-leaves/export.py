# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports trained weights in the contract bayer_v1 or linear_v1.

    python3 export.py bayer weights.pt FOLDER/model_bayer.onnx
    python3 export.py linear weights.pt FOLDER/model_linear.onnx
"""
import os
import sys

import onnx
import onnx.numpy_helper
import torch

import network


def tidy(model):
    """Writes down what the exporter leaves to be computed: the amount of padding, and the output's shape."""
    graph = model.graph
    around = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]).numpy()
    for pad in (n for n in graph.node if n.op_type == "Pad"):
        graph.initializer.append(onnx.numpy_helper.from_array(around, "one_cell_around"))
        del pad.input[1:]
        pad.input.append("one_cell_around")
    needed, kept = {"output"}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.insert(0, node)
    del graph.node[:]
    graph.node.extend(kept)
    graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.checker.check_model(model)
    return model


def main():
    kind, weights, target = sys.argv[1:]
    net = network.load(weights, kind)
    out = "output_" if kind == "bayer" else ""  # twice as large as the input, or as large
    axes = {"input": {2: "height", 3: "width"}, "output": {2: out + "height", 3: out + "width"}}
    torch.onnx.export(net, torch.zeros(1, net.CHANNELS, 64, 64), target + ".part", opset_version=13,
                      input_names=["input"], output_names=["output"], dynamic_axes=axes)
    onnx.save(tidy(onnx.load(target + ".part")), target)
    os.remove(target + ".part")
    print(f"{os.path.getsize(target)} bytes, {net.flops_per_pixel() / 1000:.0f} kFLOP per pixel")


if __name__ == "__main__":
    main()
