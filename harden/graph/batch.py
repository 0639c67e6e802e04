"""Graphs made for one batch size, run at another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from onnx import GraphProto, ModelProto, numpy_helper

from harden.errors import HardenError
from harden.graph.build import build
from harden.graph.editor import copied
from harden.graph.module import GraphModule
from harden.graph.storage import constant_tensors
from harden.graph.tensors import TensorSpec

_BATCH = "batch"


def batch_size(inputs: Sequence[TensorSpec]) -> int | None:
    """The batch size that inputs are made for: their first size, where all of them name the same number."""
    sizes = {spec.shape[0] if spec.shape else None for spec in inputs}
    (size,) = sizes if len(sizes) == 1 else (None,)
    return size if isinstance(size, int) else None


def whole_examples(inputs: Sequence[TensorSpec]) -> bool:
    """Whether inputs have no batch axis in common, so that an example is a whole feed: a signal with its states.

    True where the first sizes of several inputs differ: a number beside an open size, or two numbers.
    """
    sizes = {spec.shape[0] if spec.shape and isinstance(spec.shape[0], int) else None for spec in inputs}
    return len(sizes) > 1


def with_open_batch(proto: ModelProto, inputs: Sequence[TensorSpec], seed: int = 0) -> ModelProto | None:
    """The same network for any batch size, or None where the graph does not allow it.

    Sizes in the graph's inputs and outputs are opened, and the first size of constant Reshape targets, where it is
    the batch size. What comes out must compute, example by example, what the file computes.

    Args:
        proto: A model that is made for one batch size.
        inputs: What its inputs are.
        seed: Seeds the random inputs of the comparison.
    """
    size = batch_size(inputs)
    if size is None or any(not all(isinstance(s, int) for s in spec.shape[1:]) for spec in inputs):
        return None
    for reshapes in (False, True):
        candidate = copied(proto)
        _open(candidate.graph, size, reshapes)
        if _agrees(proto, candidate, _examples(inputs, size + 1, seed)):
            return candidate
    return None


def _open(graph: GraphProto, size: int, reshapes: bool) -> None:
    del graph.value_info[:]
    held = {tensor.name for tensor in graph.initializer}
    for item in (*graph.input, *graph.output):
        dims = item.type.tensor_type.shape.dim
        if item.name not in held and dims and dims[0].dim_value == size:
            dims[0].dim_param = _BATCH
    if not reshapes:
        return
    tensors = constant_tensors(graph)
    for node in graph.node:
        if node.op_type != "Reshape" or len(node.input) < 2 or node.input[1] not in tensors:
            continue
        target = tensors[node.input[1]]
        shape = numpy_helper.to_array(target).copy()
        if shape.ndim == 1 and shape.size and shape[0] == size:
            shape[0] = 0 if (shape == -1).any() else -1
            target.CopyFrom(numpy_helper.from_array(shape, target.name))


def _examples(inputs: Sequence[TensorSpec], count: int, seed: int) -> list[torch.Tensor]:
    stream = np.random.Generator(np.random.SFC64(seed))
    examples = []
    for spec in inputs:
        shape = (count, *(int(s) for s in spec.shape[1:] if isinstance(s, int)))
        numbers = stream.normal(size=shape) if spec.dtype.kind == "f" else stream.integers(0, 2, shape)
        examples.append(torch.from_numpy(numbers.astype(spec.dtype)))
    return examples


def _agrees(proto: ModelProto, candidate: ModelProto, examples: Sequence[torch.Tensor]) -> bool:
    """Whether one example more changes nothing for the others, and gets what it would get alone."""
    size = len(examples[0]) - 1
    try:
        with torch.no_grad():
            module, opened = (GraphModule(build(item)).eval() for item in (proto, candidate))
            parts = [module(*(item[start : start + size] for item in examples)) for start in (0, 1)]
            whole = opened(*examples)
    except HardenError:
        return False
    first, second, whole = (item if isinstance(item, tuple) else (item,) for item in (*parts, whole))
    for a, b, c in zip(first, second, whole, strict=True):
        if c.shape[:1] != (size + 1,) or a.shape[1:] != c.shape[1:]:
            return False
        limit = 1e-4 * max(float(c.abs().max()), 1e-12)
        if float((c[:size] - a).abs().max()) > limit or float((c[1:] - b).abs().max()) > limit:
            return False
    return True
