"""Where a file keeps its tensors: initializers, Constant nodes, nested graphs, local functions.

The same walk finds the same tensors in a copy of the file, which is how tuned numbers go back to where they came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

from harden.errors import ModelError
from harden.graph.ops import NEWEST, lookup
from harden.graph.tensors import LARGEST, elements, numpy_type, problem_of, to_numpy

Scope = tuple[str, ...]
DEEPEST = 16
"""Graphs nested deeper than this are refused."""


@dataclass(eq=False)
class Slot:
    """One tensor that the file holds.

    Attributes:
        name: Its name, unique in the file.
        scope: The nested graph or function it is in; empty for the main graph.
        local: Its name there.
        message: The message that holds the numbers.
        kind: ``"initializer"``, ``"constant"`` (a Constant node's value), ``"sparse"`` (the values of a sparse
            initializer), or ``"fill"`` (a ConstantOfShape node that makes a weight).
        filled: The shape of a ``"fill"``.
    """

    name: str
    scope: Scope
    local: str
    message: TensorProto | AttributeProto | NodeProto
    kind: str
    filled: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        if isinstance(self.message, TensorProto):
            return tuple(self.message.dims)
        if isinstance(self.message, NodeProto):
            return self.filled
        lengths = {AttributeProto.FLOATS: len(self.message.floats), AttributeProto.INTS: len(self.message.ints)}
        return (lengths[self.message.type],) if self.message.type in lengths else ()

    @property
    def data_type(self) -> int:
        """The tensor's ONNX type."""
        if isinstance(self.message, TensorProto):
            return self.message.data_type
        if isinstance(self.message, NodeProto):
            return self.message.attribute[0].t.data_type if self.message.attribute else TensorProto.FLOAT
        return (
            TensorProto.FLOAT
            if self.message.type in (AttributeProto.FLOAT, AttributeProto.FLOATS)
            else TensorProto.INT64
        )

    @property
    def size(self) -> int:
        """The number of elements."""
        return elements(self.shape)

    def array(self) -> np.ndarray:
        """The numbers, in the file's own type."""
        if isinstance(self.message, TensorProto):
            return to_numpy(self.message, f"tensor '{self.name}'")
        if isinstance(self.message, NodeProto):
            value = to_numpy(self.message.attribute[0].t).reshape(-1)[0] if self.message.attribute else 0.0
            return np.full(self.filled, value, numpy_type(self.data_type))
        value = onnx.helper.get_attribute_value(self.message)
        return np.asarray(value, dtype=numpy_type(self.data_type))

    def write(self, array: np.ndarray) -> None:
        """Replace the numbers; type and shape stay. A ConstantOfShape becomes a Constant.

        Args:
            array: The numbers, of the slot's own type and shape.
        """
        if isinstance(self.message, AttributeProto):
            _write_attribute(self.message, array)
            return
        if isinstance(self.message, NodeProto):
            self.message.op_type = "Constant"
            del self.message.input[:], self.message.attribute[:]
            tensor = onnx.numpy_helper.from_array(np.asarray(array, order="C"), self.local)
            self.message.attribute.append(onnx.helper.make_attribute("value", tensor))
            return
        data = np.asarray(array, order="C")
        if data.dtype.byteorder == ">":
            data = data.astype(data.dtype.newbyteorder("<"))
        raw = onnx.numpy_helper.from_array(data).raw_data
        for name in ("float_data", "double_data", "int32_data", "int64_data", "uint64_data"):
            self.message.ClearField(name)
        self.message.raw_data = raw


def _write_attribute(attribute: AttributeProto, array: np.ndarray) -> None:
    values = array.reshape(-1).tolist()
    field = {AttributeProto.FLOATS: "floats", AttributeProto.INTS: "ints"}.get(attribute.type)
    if field:
        del getattr(attribute, field)[:]
        getattr(attribute, field).extend(values)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = values[0]
    else:
        attribute.i = values[0]


def node_label(node: NodeProto, index: int) -> str:
    """A node's name, or its type and position where it has none."""
    return node.name or f"{node.op_type}_{index}"


def constant_message(node: NodeProto) -> TensorProto | AttributeProto | None:
    """The message that holds a Constant node's value; None for strings and sparse values."""
    if len(node.attribute) != 1 or node.attribute[0].ref_attr_name:
        return None
    attribute = node.attribute[0]
    if attribute.type == AttributeProto.TENSOR:
        return attribute.t
    numbers = (AttributeProto.FLOAT, AttributeProto.FLOATS, AttributeProto.INT, AttributeProto.INTS)
    return attribute if attribute.type in numbers else None


def constant_tensors(graph: GraphProto) -> dict[str, TensorProto]:
    """The tensors of a graph's initializers and Constant nodes, by the name that nodes read them by."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        message = constant_message(node) if node.op_type == "Constant" and node.output else None
        if isinstance(message, TensorProto):
            tensors[node.output[0]] = message
    return tensors


def slots(proto: ModelProto) -> list[Slot]:
    """Every tensor that the file holds, in file order, with a name that is unique in the file.

    A tensor of a nested graph keeps its own name unless another tensor has it too; then the names of the nodes it is
    nested in are put before it.
    """
    tensors = [*_of_graph(proto.graph, (), 0)]
    for function in proto.functions:
        tensors += _of_nodes(function.node, function_scope(function), 0)
    counts = Counter(slot.local for slot in tensors)
    for slot in tensors:
        slot.name = slot.local if counts[slot.local] == 1 or not slot.scope else "/".join((*slot.scope, slot.local))
    return tensors


def stores(node: NodeProto, scope: Scope, filled: Container[tuple[Scope, str]]) -> bool:
    """Whether a node only holds a tensor: a Constant, or a ConstantOfShape that makes a weight.

    Args:
        node: The node.
        scope: The graph or function it is in.
        filled: Scope and name of each slot of the kind ``"fill"``.
    """
    if node.op_type == "ConstantOfShape":
        return bool(node.output) and (scope, node.output[0]) in filled
    plain = node.op_type == "Constant" and normal_domain(node.domain) == "" and len(node.output) == 1
    return plain and constant_message(node) is not None


def normal_domain(domain: str) -> str:
    """The domain's name; ONNX's own is the empty string."""
    return "" if domain == "ai.onnx" else domain


def local_functions(proto: ModelProto) -> dict[str, FunctionProto]:
    """A file's local functions by key."""
    return {_function_key(item.domain, item.name, item.overload): item for item in proto.functions}


def called(node: NodeProto, functions: Mapping[str, FunctionProto]) -> FunctionProto | None:
    """The local function that a node calls, if it calls one."""
    return functions.get(_function_key(node.domain, node.op_type, node.overload)) if functions else None


def function_scope(function: FunctionProto) -> Scope:
    """The scope of a local function's body."""
    return (_function_key(function.domain, function.name, function.overload),)


def _function_key(domain: str, name: str, overload: str) -> str:
    return ":".join(part for part in (domain, name, overload) if part)


def _of_graph(graph: GraphProto, scope: Scope, depth: int) -> Iterator[Slot]:
    if depth > DEEPEST:
        raise ModelError(f"graphs are nested more than {DEEPEST} deep", where="/".join(scope))
    for tensor in graph.initializer:
        yield Slot(tensor.name, scope, tensor.name, tensor, "initializer")
    for sparse in graph.sparse_initializer:
        yield Slot(sparse.values.name, scope, sparse.values.name, sparse.values, "sparse")
    yield from _fills(graph, scope)
    yield from _of_nodes(graph.node, scope, depth)


def _fills(graph: GraphProto, scope: Scope) -> Iterator[Slot]:
    """ConstantOfShape nodes that a layer reads as weights."""
    makers = {
        node.output[0]: node for node in graph.node if node.op_type == "ConstantOfShape" and len(node.output) == 1
    }
    if not makers:
        return
    constants = constant_tensors(graph)
    learned = {
        name
        for node in graph.node
        if (operator := lookup("", node.op_type, NEWEST)) is not None and node.op_type != "Gather"
        for position, name in enumerate(node.input)
        if position in operator.learned and name in makers
    }
    for name in sorted(learned):
        source = constants.get(makers[name].input[0]) if makers[name].input else None
        if source is not None and problem_of(source) is None:
            shape = tuple(int(size) for size in to_numpy(source).reshape(-1))
            if all(size >= 0 for size in shape) and elements(shape) <= LARGEST:
                yield Slot(name, scope, name, makers[name], "fill", shape)


def _of_nodes(nodes: object, scope: Scope, depth: int) -> Iterator[Slot]:
    for index, node in enumerate(nodes):  # type: ignore[arg-type]
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx") and node.output:
            message = constant_message(node)
            if message is not None:
                yield Slot(node.output[0], scope, node.output[0], message, "constant")
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _of_graph(attribute.g, (*scope, node_label(node, index), attribute.name), depth + 1)
