"""Files made for one batch size, run at another."""

from __future__ import annotations

import numpy as np
import torch
from onnx import GraphProto, numpy_helper

from harden.errors import HardenError
from harden.graph.editor import copied
from harden.graph.file import Model
from harden.graph.storage import constant_tensors

_BATCH = "batch"


def fixed_batch(model: Model) -> int | None:
    """The batch size that a file is made for: the first size of its inputs, where all of them name the same number."""
    if not all(item.type.tensor_type.elem_type for item in model.proto.graph.input):
        return None  # a sequence or an optional
    sizes = {spec.shape[0] if spec.shape else None for spec in model.inputs}
    (size,) = sizes if len(sizes) == 1 else (None,)
    return size if isinstance(size, int) else None


def whole_examples(model: Model) -> bool:
    """Whether the inputs have no batch axis in common, so that an example is a whole feed: a signal with its states.

    True where the first sizes of several inputs differ: a number beside an open size, or two numbers.
    """
    if not all(item.type.tensor_type.elem_type for item in model.proto.graph.input):
        return False  # a sequence or an optional
    sizes = {spec.shape[0] if spec.shape and isinstance(spec.shape[0], int) else None for spec in model.inputs}
    return len(sizes) > 1


def open_batch(model: Model, seed: int = 0) -> Model | None:
    """The same network for any batch size, or None where the graph does not allow it.

    Sizes in the graph's inputs and outputs are opened, and the first size of constant Reshape targets, where it is
    the batch size. What comes out must compute, example by example, what the file computes.

    Args:
        model: A model with a fixed batch size, or an open one (which is returned as it is).
        seed: Seeds the random inputs of the comparison.
    """
    size = fixed_batch(model)
    if size is None:
        return model
    if any(not all(isinstance(s, int) for s in spec.shape[1:]) for spec in model.inputs):
        return None
    for reshapes in (False, True):
        proto = copied(model.proto)
        _open(proto.graph, size, reshapes)
        candidate = model.replaced(proto)
        if _agrees(model, candidate, size, seed):
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


def _agrees(model: Model, candidate: Model, size: int, seed: int) -> bool:
    """Whether one example more changes nothing for the others, and gets what it would get alone."""
    stream = np.random.Generator(np.random.SFC64(seed))
    inputs = []
    for spec in model.inputs:
        shape = (size + 1, *(int(s) for s in spec.shape[1:] if isinstance(s, int)))
        kind = spec.dtype.kind
        numbers = stream.normal(size=shape) if kind == "f" else stream.integers(0, 2, shape)
        inputs.append(torch.from_numpy(numbers.astype(spec.dtype)))
    try:
        with torch.no_grad():
            module, opened = model.module().eval(), candidate.module().eval()
            parts = [module(*(item[start : start + size] for item in inputs)) for start in (0, 1)]
            whole = opened(*inputs)
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
