#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a mask model in the shape of mask-object-sam21-small: its tensors' names and sizes, its layers, its cost, and
random weights, so that it costs what the published one costs and means nothing.

    make_sam21.py FOLDER     writes FOLDER/mask-object-sam21-shape (about 160 MB)

Layers after the papers: Hiera (Ryali and others, 2023), SAM (Kirillov and others, 2023), SAM 2 (Ravi and others, 2024).
Needs numpy and onnx.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fixtures/models"))
sys.dont_write_bytecode = True
from make_models import Net  # noqa: E402

ID = "mask-object-sam21-shape"
SQUARE = [1, 3, 1024, 1024]


class Layers(Net):
    """Layers of transformers on top of a graph under construction."""

    def weight(self, *shape, gain=1.0):
        fan = int(np.prod(shape[:-1])) if len(shape) == 2 else int(np.prod(shape[1:]))
        return self.constant(self.random.standard_normal(shape, dtype=np.float32) * np.float32(gain / np.sqrt(fan)))

    def reshape(self, x, *shape):
        return self.op("Reshape", x, self.constant(shape, np.int64))

    def transpose(self, x, *perm):
        return self.op("Transpose", x, perm=list(perm))

    def linear(self, x, n_in, n_out, gain=1.0):
        return self.add(self.op("MatMul", x, self.weight(n_in, n_out, gain=gain)), self.constant(np.zeros(n_out)))

    def norm(self, x, n):
        return self.op("LayerNormalization", x, self.constant(np.ones(n)), self.constant(np.zeros(n)), axis=-1,
                       epsilon=1e-6)

    def norm_channels(self, x, n):
        return self.transpose(self.norm(self.transpose(x, 0, 2, 3, 1), n), 0, 3, 1, 2)

    def gelu(self, x):
        half = self.op("Mul", x, self.constant(0.5))
        return self.op("Mul", half, self.add(self.op("Erf", self.op("Mul", x, self.constant(2 ** -0.5))),
                                             self.constant(1)))

    def mlp(self, x, n, hidden, n_out=None, act=None):
        return self.linear((act or self.gelu)(self.linear(x, n, hidden)), hidden, n_out or n, gain=0.3)

    def heads(self, x, heads, width):
        """[B, N, heads * width] -> [B, heads, N, width]"""
        return self.transpose(self.reshape(x, 0, -1, heads, width), 0, 2, 1, 3)

    def attend(self, q, k, v, heads, width):
        q, k, v = (self.heads(x, heads, width) for x in (q, k, v))
        scores = self.op("MatMul", self.op("Mul", q, self.constant(width ** -0.5)), self.transpose(k, 0, 1, 3, 2))
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), v)
        return self.reshape(self.transpose(mixed, 0, 2, 1, 3), 0, -1, heads * width)

    def pool(self, x):
        """[B, H, W, C] -> half of H and W"""
        x = self.op("MaxPool", self.transpose(x, 0, 3, 1, 2), kernel_shape=[2, 2], strides=[2, 2])
        return self.transpose(x, 0, 2, 3, 1)


# --- the encoder: Hiera small ----------------------------------------------------------------------

STAGES, WINDOWS, GLOBAL, WIDTH = (1, 2, 11, 2), (8, 4, 14, 7), (7, 10, 13), 96


def to_windows(net, x, side, window, n):
    """[1, H, W, C] -> [windows, window, window, C], padded; and the padded side"""
    padded = -(-side // window) * window
    if padded != side:
        pads = [0, 0, 0, 0, 0, padded - side, padded - side, 0]
        x = net.op("Pad", x, net.constant(pads, np.int64))
    k = padded // window
    x = net.transpose(net.reshape(x, 1, k, window, k, window, n), 0, 1, 3, 2, 4, 5)
    return net.reshape(x, k * k, window, window, n), padded


def from_windows(net, x, side, padded, window, n):
    k = padded // window
    x = net.transpose(net.reshape(x, 1, k, k, window, window, n), 0, 1, 3, 2, 4, 5)
    x = net.reshape(x, 1, padded, padded, n)
    if padded != side:
        x = net.op("Slice", x, net.constant([0, 0], np.int64), net.constant([side, side], np.int64),
                   net.constant([1, 2], np.int64))
    return x


def block(net, x, side, n_in, n_out, window, heads):
    """One block of Hiera; where it widens, queries and the way past it are pooled. Returns it and its side."""
    y = net.norm(x, n_in)
    after = side
    if n_in != n_out:
        x, after = net.pool(net.linear(y, n_in, n_out)), side // 2
    y, padded = to_windows(net, y, side, window, n_in) if window else (y, side)
    inner = window or side
    qkv = net.reshape(net.linear(y, n_in, 3 * n_out), -1, inner * inner, 3, n_out)
    q, k, v = (net.reshape(part, -1, inner * inner, n_out)
               for part in net.op("Split", qkv, net.constant([1, 1, 1], np.int64), axis=2, outputs=3))
    if after != side:
        q = net.pool(net.reshape(q, -1, inner, inner, n_out))
        q, inner, padded = net.reshape(q, -1, inner * inner // 4, n_out), inner // 2, padded // 2
    y = net.linear(net.attend(q, k, v, heads, n_out // heads), n_out, n_out, gain=0.3)
    if window:
        y = from_windows(net, net.reshape(y, -1, inner, inner, n_out), after, padded, inner, n_out)
    else:
        y = net.reshape(y, 1, after, after, n_out)
    x = net.add(x, y)
    return net.add(x, net.mlp(net.norm(x, n_out), n_out, 4 * n_out)), after


def encoder(net):
    x = net.conv(net.input("image", SQUARE), 3, WIDTH, kernel=7, strides=[4, 4], pads=[3] * 4)
    x = net.add(net.transpose(x, 0, 2, 3, 1), net.weight(1, 256, 256, WIDTH))
    side, n, heads, index, levels = 256, WIDTH, 1, 0, []
    for stage, blocks in enumerate(STAGES):
        for i in range(blocks):
            wider = n * 2 if stage and i == 0 else n
            heads = heads * 2 if wider != n else heads
            window = WINDOWS[stage - 1] if wider != n else WINDOWS[stage]
            x, side = block(net, x, side, n, wider, 0 if index in GLOBAL else window, heads)
            n, index = wider, index + 1
        levels.append((net.transpose(x, 0, 3, 1, 2), n))
    flat = [net.conv(y, channels, 256, kernel=1) for y, channels in levels]
    up = net.op("Resize", flat[3], "", net.constant([1, 1, 2, 2]), mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric")
    embed = net.add(net.add(flat[2], up), net.weight(1, 256, 1, 1))
    net.output(net.conv(flat[0], 256, 32, kernel=1), [1, 32, "h0", "w0"], name="high_res_feats_0")
    net.output(net.conv(flat[1], 256, 64, kernel=1), [1, 64, "h1", "w1"], name="high_res_feats_1")
    net.output(embed, [1, 256, 64, 64], name="image_embed")


# --- the decoder: prompts, two-way transformer, masks ----------------------------------------------

def cross(net, q, k, v, inner=128):
    q, k, v = net.linear(q, 256, inner), net.linear(k, 256, inner), net.linear(v, 256, inner)
    return net.linear(net.attend(q, k, v, 8, inner // 8), inner, 256, gain=0.3)


def fourier(net, places, gauss):
    """Places from 0 to 1 as 256 waves."""
    x = net.op("Sub", net.op("Mul", places, net.constant(2)), net.constant(1))
    x = net.op("Mul", net.op("MatMul", x, gauss), net.constant(2 * np.pi))
    return net.op("Concat", net.op("Sin", x), net.op("Cos", x), axis=-1)


def prompt_tokens(net, gauss):
    points, labels = net.input("point_coords", [1, "num_points", 2]), net.input("point_labels", [1, "num_points"])
    places = net.op("Mul", net.add(points, net.constant(0.5)), net.constant(1 / 1024))
    row = net.op("Cast", net.add(labels, net.constant(1)), to=TensorProto.INT64)
    kind = net.op("Gather", net.weight(5, 256, gain=2), row)
    real = net.op("Cast", net.op("Greater", labels, net.constant(-0.5)), to=TensorProto.FLOAT)
    waves = net.op("Mul", fourier(net, places, gauss), net.op("Unsqueeze", real, net.constant([2], np.int64)))
    return net.add(waves, kind), labels


def previous_mask(net):
    x, flag = net.input("mask_input", [1, 1, 256, 256]), net.input("has_mask_input", [1])
    x = net.gelu(net.norm_channels(net.conv(x, 1, 4, kernel=2, strides=[2, 2], pads=[0] * 4), 4))
    x = net.gelu(net.norm_channels(net.conv(x, 4, 16, kernel=2, strides=[2, 2], pads=[0] * 4), 16))
    x = net.op("Mul", net.conv(x, 16, 256, kernel=1), flag)
    nothing = net.op("Mul", net.weight(1, 256, 1, 1), net.op("Sub", net.constant(1), flag))
    return net.add(x, nothing)


def two_way(net, tokens, image, places):
    first = tokens
    for layer in range(2):
        q = tokens if layer == 0 else net.add(tokens, first)
        tokens = net.norm(net.add(tokens, cross(net, q, q, tokens, inner=256)), 256)
        pictured = net.add(image, places)
        tokens = net.norm(net.add(tokens, cross(net, net.add(tokens, first), pictured, image)), 256)
        tokens = net.norm(net.add(tokens, net.mlp(tokens, 256, 2048, act=net.relu)), 256)
        image = net.norm(net.add(image, cross(net, pictured, net.add(tokens, first), tokens)), 256)
    last = cross(net, net.add(tokens, first), net.add(image, places), image)
    return net.norm(net.add(tokens, last), 256), image


def enlarge(net, x, n_in, n_out, skip):
    x = net.op("ConvTranspose", x, net.weight(n_in, n_out, 2, 2), net.constant(np.zeros(n_out)), kernel_shape=[2, 2],
               strides=[2, 2])
    return net.add(x, skip)


def pick(net, tokens, i):
    return net.op("Gather", tokens, net.constant(i, np.int64), axis=1)


def decoder(net):
    embed = net.input("image_embed", [1, 256, 64, 64])
    large = net.input("high_res_feats_0", [1, 32, 256, 256])
    middle = net.input("high_res_feats_1", [1, 64, 128, 128])
    gauss = net.weight(2, 128, gain=1.5)
    points, labels = prompt_tokens(net, gauss)
    tokens = net.op("Concat", net.weight(1, 6, 256), points, axis=1)
    grid = (np.stack(np.meshgrid(np.arange(64), np.arange(64)), -1).reshape(1, 4096, 2) + 0.5) / 64
    places = fourier(net, net.constant(grid), gauss)
    image = net.transpose(net.reshape(net.add(embed, previous_mask(net)), 1, 256, 4096), 0, 2, 1)
    tokens, image = two_way(net, tokens, image, places)
    x = net.reshape(net.transpose(image, 0, 2, 1), 1, 256, 64, 64)
    x = net.gelu(net.norm_channels(enlarge(net, x, 256, 64, middle), 64))
    x = net.reshape(net.gelu(enlarge(net, x, 64, 32, large)), 1, 32, 65536)
    kernels = [net.mlp(net.relu(net.linear(pick(net, tokens, 2 + i), 256, 256)), 256, 256, 32, net.relu)
               for i in range(1, 4)]
    kernels = net.op("Concat", *[net.reshape(kernel, 1, 1, 32) for kernel in kernels], axis=1)
    masks = net.reshape(net.op("MatMul", kernels, x), 1, 3, 256, 256)
    masks = net.op("Clip", masks, net.constant(-32), net.constant(32))
    nothing = net.op("ReduceSum", net.op("Mul", labels, net.constant(0)), keepdims=0)
    end = net.op("Cast", net.add(nothing, net.constant([3])), to=TensorProto.INT64)
    masks = net.op("Slice", masks, net.constant([0], np.int64), end, net.constant([1], np.int64))
    scores = net.op("Sigmoid", net.mlp(net.relu(net.linear(pick(net, tokens, 0), 256, 256)), 256, 256, 3, net.relu))
    net.output(masks, [1, "Slicemasks_dim_1", 256, 256], name="masks")
    net.output(scores, [1, 3], name="iou_predictions")


def main():
    folder = pathlib.Path(sys.argv[1]) / ID
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in (("encoder", encoder), ("decoder", decoder)):
        net = Layers(name, opset=17)
        make(net)
        onnx.save(net.model(), str(folder / f"{name}.onnx"))
    config = {"id": ID, "name": ID, "description": "The shape of SAM 2.1 small, with random weights", "task": "mask",
              "arch": "sam2", "backend": "onnx", "version": "1.0", "tiling": False}
    (folder / "config.json").write_text(json.dumps(config, indent=4) + "\n")


if __name__ == "__main__":
    main()
