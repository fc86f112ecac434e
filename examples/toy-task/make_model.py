#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes models/toy-luminance/model.onnx: a 1×1 convolution with the weights of Rec.709 luminance.

    python3 make_model.py        (needs onnx, e.g. apt install python3-onnx)

The weights are those of ITU-R BT.709; nothing is trained. The same bytes come out every time.
"""
import os

from onnx import TensorProto, checker, helper

WEIGHTS = [0.2126, 0.7152, 0.0722]


def main():
    image = ["batch", 3, "height", "width"]
    result = ["batch", 1, "height", "width"]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["rgb", "weights"], ["luminance"], kernel_shape=[1, 1])],
        "toy-luminance",
        [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("luminance", TensorProto.FLOAT, result)],
        [helper.make_tensor("weights", TensorProto.FLOAT, [1, 3, 1, 1], WEIGHTS)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)],
                              producer_name="darktable-ai")
    model.ir_version = 8
    checker.check_model(model)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models", "toy-luminance",
                        "model.onnx")
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    print(path, os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()
