"""Small graphs for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

Shape = Sequence[int | str | None]


def model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Sequence[str],
    tensors: Mapping[str, np.ndarray] | None = None,
    opset: int = 17,
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (tensors or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.SFC64(seed)).normal(size=shape).astype(np.float32)


def agrees(a: np.ndarray, b: np.ndarray) -> bool:
    """The project's parity: |a - b| <= 1e-4 max|b| + 1e-3 |b|."""
    b = np.asarray(b)
    if a.shape != b.shape:
        return False
    scale = np.abs(b).max() if b.size else 0.0
    return bool((np.abs(a - b) <= 1e-4 * scale + 1e-3 * np.abs(b)).all())
