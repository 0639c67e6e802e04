"""A network for the digits of 8 x 8 pixels that costs a tenth of the embedded one: for tests of what a run does.

Two convolutions of random weights with batch norms, and a Gemm that least squares fits to the training images: made in
a moment, and nine in ten digits right.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
import onnx
import torch
import toys
from onnx import helper
from torch import Tensor
from torch.nn import functional

from harden.data.embedded import content
from harden.streams import numpy_generator

NAME = "small.onnx"
DATA = ("train.npz", "test.npz")
_WIDTHS = {"conv": 8, "block": 16}


@functools.cache
def network() -> bytes:
    """The file."""
    embedded = onnx.load_from_string(content("digits_cnn.onnx"))
    with np.load(io.BytesIO(content("train.npz"))) as archive:
        hidden = torch.from_numpy((archive["x"][:, None] / 16.0 - 0.306) / 0.375).float()
        labels = archive["y"]
    rng, source, nodes, channels = numpy_generator(0, "small digits"), "x", [], 1
    tensors: dict[str, np.ndarray] = {}
    for stride, (block, width) in enumerate(_WIDTHS.items(), start=1):
        weight = rng.normal(0, (9 * channels) ** -0.5, (width, channels, 3, 3)).astype(np.float32)
        hidden = functional.conv2d(hidden, torch.from_numpy(weight), stride=stride, padding=1)
        mean, variance = hidden.mean((0, 2, 3)), hidden.var((0, 2, 3))
        hidden = functional.batch_norm(hidden, mean, variance).relu()
        norm = {"g": np.ones(width), "b": np.zeros(width), "m": mean.numpy(), "v": variance.numpy()}
        channels = width
        tensors |= {f"{block}.weight": weight, **{f"{block}.{key}": value for key, value in norm.items()}}
        conv = {"pads": [1, 1, 1, 1], "strides": [stride, stride]}
        nodes += [
            helper.make_node("Conv", [source, f"{block}.weight"], [f"{block}.c"], name=f"{block}.conv", **conv),
            helper.make_node(
                "BatchNormalization", [f"{block}.{key}" for key in "cgbmv"], [f"{block}.n"], name=f"{block}.norm"
            ),
            helper.make_node("Relu", [f"{block}.n"], [source := f"{block}.r"], name=f"{block}.relu"),
        ]
    tensors |= _fitted(hidden.flatten(1), labels)
    nodes += [
        helper.make_node("Flatten", [source], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["logits"], name="fc", transB=1),
    ]
    model = toys.model(nodes, {"x": ["batch", 1, 8, 8]}, {"logits": ["batch", 10]}, tensors).proto
    model.metadata_props.extend(embedded.metadata_props)
    return model.SerializeToString()


def _fitted(features: Tensor, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Ridge regression of logits."""
    wide = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    wanted = 10.0 * functional.one_hot(torch.from_numpy(labels).long(), 10).double()
    gram = wide.T @ wide + 10.0 * torch.eye(wide.shape[1], dtype=torch.float64)
    solved = torch.linalg.solve(gram, wide.T @ wanted).T.float().numpy()
    return {"fc.weight": np.ascontiguousarray(solved[:, :-1]), "fc.bias": solved[:, -1].copy()}


def write(folder: Path) -> None:
    """The network and the digits, as files in a folder."""
    (folder / NAME).write_bytes(network())
    for name in DATA:
        (folder / name).write_bytes(content(name))
