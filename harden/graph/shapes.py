"""Shapes of a graph's values, as far as ONNX's own inference tells them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import onnx
import onnx.inliner
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper

from harden.graph.editor import graphs_of
from harden.graph.program import Program

Dims = tuple[int | None, ...]
"""Sizes of axes; None where a size is open."""
_SMALL = 4096
"""Bytes of the largest tensor whose numbers may decide a shape."""


class Shapes:
    """The shapes of a program's values; they are inferred when the first one is asked for.

    Args:
        program: The graph.
    """

    def __init__(self, program: Program) -> None:
        self._program = program

    def of(self, value: int) -> Dims | None:
        """The sizes of a value, or None where not even its axes can be told."""
        slot = self._program.stored.get(value)
        return slot.shape if slot is not None else self._inferred.get(self._program.names[value])

    @cached_property
    def _inferred(self) -> dict[str, Dims]:
        model = _without_weights(self._program.proto)
        try:
            if model.functions:
                model = onnx.inliner.inline_local_functions(model)
            whole = onnx.shape_inference.infer_shapes(model, data_prop=True)
        except onnx.shape_inference.InferenceError:  # a file that ONNX Runtime may run all the same
            return {}
        return {item.name: dims for item in _described(whole.graph) if (dims := _dims(item)) is not None}


def _without_weights(proto: ModelProto) -> ModelProto:
    """A model of the same values; large tensors are inputs of their shapes."""
    model = ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import, functions=proto.functions)
    source, graph = proto.graph, model.graph
    graph.name = source.name or "graph"
    for field in ("node", "output", "value_info"):
        getattr(graph, field).extend(getattr(source, field))
    graph.initializer.extend(tensor for tensor in source.initializer if _is_small(tensor))
    graph.input.extend(source.input)
    declared = {item.name for item in source.input}
    large = (tensor for tensor in source.initializer if not _is_small(tensor) and tensor.name not in declared)
    graph.input.extend(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in large)
    return model


def _is_small(tensor: TensorProto) -> bool:
    return tensor.ByteSize() <= _SMALL


def _described(graph: GraphProto) -> Iterator[ValueInfoProto]:
    yield from (*graph.input, *graph.output, *graph.value_info)
    for node in graph.node:
        for inner in graphs_of(node):
            yield from _described(inner)


def _dims(item: ValueInfoProto) -> Dims | None:
    if not item.type.tensor_type.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in item.type.tensor_type.shape.dim)
