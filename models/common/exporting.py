# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a trained network as ONNX: open height and width, weights stored as float16.

The weights are cast back to float32 inside the graph, which the runtime does once when it loads: half the
file, the same arithmetic. What rounding the weights costs is measured through the program, not assumed.
"""
import os

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def write_down_padding(model, pad):
    """The exporter leaves the amount of padding to be computed; here it is a constant, pad on each side."""
    graph = model.graph
    around = np.array([0, 0, pad, pad, 0, 0, pad, pad], np.int64)
    for node in (n for n in graph.node if n.op_type == "Pad"):
        if not any(i.name == "around" for i in graph.initializer):
            graph.initializer.append(numpy_helper.from_array(around, "around"))
        del node.input[1:]
        node.input.append("around")
    needed, kept = {"output"}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.insert(0, node)
    del graph.node[:]
    graph.node.extend(kept)
    graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1


def halve_weights(model):
    """Float initialisers of 64 values and more as float16, with a Cast behind each."""
    graph = model.graph
    casts = []
    for i, tensor in enumerate(list(graph.initializer)):
        name, values = tensor.name, numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < 64:
            continue
        graph.initializer[i].CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + ".half"))
        casts.append(helper.make_node("Cast", [name + ".half"], [name], name + ".cast", to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)


def export(net, sample, target, larger=1, pad=0):
    """net with input `input` and output `output`, which is larger so many times; sample: an input; pad: what the
    network itself pads pictures with. Written atomically."""
    older = {"dynamo": False} if torch.__version__ >= "2.5" else {}
    out = "output_" if larger > 1 else ""
    axes = {"input": {2: "height", 3: "width"}, "output": {2: out + "height", 3: out + "width"}}
    part = target + ".part"
    torch.onnx.export(net.eval(), sample, part, opset_version=OPSET, input_names=["input"],
                      output_names=["output"], dynamic_axes=axes, **older)
    model = onnx.load(part)
    write_down_padding(model, pad)
    halve_weights(model)
    onnx.checker.check_model(model)
    onnx.save(model, part)
    os.replace(part, target)
    print(f"{target}: {os.path.getsize(target)} bytes")
