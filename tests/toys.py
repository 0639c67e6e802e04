"""Toy graphs and numbers for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import NodeProto, TensorProto, helper, numpy_helper

from harden.graph.file import Model
from harden.tasks import Examples, classification, match

Shape = Sequence[int | str | None]
Ends = Mapping[str, Shape | None]


def proto(
    nodes: Sequence[NodeProto],
    inputs: Ends,
    outputs: Ends | Sequence[str],
    tensors: Mapping[str, np.ndarray] | None = None,
    opset: int = 17,
    dtype: int = TensorProto.FLOAT,
    ir_version: int = 8,
) -> onnx.ModelProto:
    """A graph as a file holds it.

    Args:
        nodes: In the order of computation.
        inputs: Their shapes by name.
        outputs: The same, or names alone.
        tensors: Initializers by name, each with its own type.
        opset: Version of the operators.
        dtype: Element type of inputs and outputs.
        ir_version: Version of the file format.
    """
    shapes = outputs if isinstance(outputs, Mapping) else dict.fromkeys(outputs)
    graph = helper.make_graph(
        list(nodes),
        "toy",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(array, name) for name, array in (tensors or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def model(
    nodes: Sequence[NodeProto],
    inputs: Ends,
    outputs: Ends | Sequence[str],
    tensors: Mapping[str, ArrayLike] | None = None,
) -> Model:
    """A graph that was checked, as harden holds it: initializers that are not integers become float32."""
    made = proto(nodes, inputs, outputs, {name: _tensor(np.asarray(value)) for name, value in (tensors or {}).items()})
    onnx.checker.check_model(made)
    return Model.from_proto(made)


def _tensor(array: np.ndarray) -> np.ndarray:
    return array.astype(np.int64 if array.dtype.kind == "i" else np.float32)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers."""
    return np.random.Generator(np.random.SFC64(seed)).normal(size=shape).astype(np.float32)


def agrees(a: np.ndarray, b: np.ndarray) -> bool:
    """The project's parity: |a - b| <= 1e-4 max|b| + 1e-3 |b|."""
    b = np.asarray(b)
    if a.shape != b.shape:
        return False
    scale = np.abs(b).max() if b.size else 0.0
    return bool((np.abs(a - b) <= 1e-4 * scale + 1e-3 * np.abs(b)).all())


def labels() -> classification.Task:
    """Classification with a plain output of scores."""
    return classification.Task(_scores(), Examples(0, np.zeros(0, np.int64), "toy", 3))


def matching() -> match.Task:
    """Matching, for networks of any outputs."""
    return match.Task(_scores(), Examples(0, None, "toy"))


def _scores() -> Model:
    layer = helper.make_node("MatMul", ["x", "w"], ["y"])
    return model([layer], {"x": ["n", 2]}, {"y": ["n", 3]}, {"w": np.ones((2, 3))})
