# This file is part of darktable-ai.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the trained network as ONNX and check what it is made of.

    python3 export.py weights.pt model.onnx
"""
import os
import sys

import onnx
import torch

from model import STRIDE, Net, flop_per_pixel, receptive_radius

LOCAL = {"Conv", "Relu", "Add", "Sub", "DepthToSpace"}


def main():
    weights, path = sys.argv[1:]
    net = Net().eval()
    net.load_state_dict(torch.load(weights))
    part = path + ".part"
    torch.onnx.export(net, torch.zeros(1, 3, 64, 64), part, opset_version=13,
                      input_names=["input"], output_names=["output"],
                      dynamic_axes={n: {2: "height", 3: "width"} for n in ("input", "output")})
    m = onnx.load(part)
    for value in (m.graph.input[0], m.graph.output[0]):     # the plain contract
        for d, name in zip(value.type.tensor_type.shape.dim, (1, 3, "height", "width")):
            if isinstance(name, str):
                d.dim_param = name
            else:
                d.dim_value = name
    del m.graph.value_info[:]
    onnx.checker.check_model(m)
    ops = {n.op_type for n in m.graph.node}
    assert ops <= LOCAL, ops - LOCAL
    onnx.save(m, part)
    os.replace(part, path)
    print(f"{path}: {os.path.getsize(path) / 1e6:.2f} MB, {flop_per_pixel(net) / 1e3:.1f} kFLOP per "
          f"pixel, stride {STRIDE}, receptive radius {receptive_radius()}, {', '.join(sorted(ops))}")


if __name__ == "__main__":
    main()
