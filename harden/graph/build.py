"""From a ModelProto to a :class:`Program`: names resolved, structure checked, local functions inlined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto

from harden.errors import ModelError
from harden.graph import schema
from harden.graph.labels import CALL, Address, labels
from harden.graph.ops import NEWEST, OWN, lookup
from harden.graph.program import Body, Node, Program, walk
from harden.graph.quantized import mark_carried
from harden.graph.storage import (
    Scope,
    Slot,
    called,
    function_scope,
    local_functions,
    node_label,
    normal_domain,
    slots,
    stores,
)
from harden.graph.tensors import sparse_positions, to_numpy, to_torch

_SHOWN = 5


def build(proto: ModelProto) -> Program:
    """Check and flatten a model's graph.

    Raises:
        ModelError: A value is used before it is made (a cycle, or a missing input), made twice, or a tensor is
            malformed.
    """
    return _Builder(proto).program()


class _Names:
    """The values that are visible in one graph; what a local function makes is named after the calling node, too."""

    def __init__(self, parent: _Names | None = None, prefix: str = "") -> None:
        self.parent = parent
        self.prefix = parent.prefix if parent else prefix
        self.own: dict[str, int] = {}

    def find(self, name: str) -> int | None:
        value = self.own.get(name)
        return value if value is not None or self.parent is None else self.parent.find(name)


@dataclass(frozen=True)
class _Scene:
    """Where nodes are being read: what they see, and what they go by.

    Attributes:
        address: Of the graph or function that they are in.
        scope: The same, as slots have it.
        names: The values that they see.
        opsets: Opset version by domain.
        attributes: What the caller of a local function sets, for attributes that refer to it.
    """

    address: Address
    scope: Scope
    names: _Names
    opsets: Mapping[str, int]
    attributes: Mapping[str, AttributeProto]


class _Builder:
    def __init__(self, proto: ModelProto) -> None:
        self.proto = proto
        self.names = [""]
        self.opsets = {normal_domain(item.domain): item.version for item in proto.opset_import}
        self.functions = local_functions(proto)
        self.slots: dict[tuple[Scope, str], Slot] = {}
        self.stored: dict[int, Slot] = {}
        self.labels: dict[Address, str] = {}
        self.problems: list[str] = []
        for slot in slots(proto):
            if (slot.scope, slot.local) in self.slots:
                self.problems.append(f"tensor '{slot.local}' is defined twice")
            self.slots[slot.scope, slot.local] = slot

    def program(self) -> Program:
        if "" not in self.opsets and any(normal_domain(node.domain) == "" for node in self.proto.graph.node):
            raise ModelError("the file does not say which ONNX opset it was made for", fix="Export the model again")
        odd = [
            f"{domain or 'ai.onnx'} {version}" for domain, version in self.opsets.items() if not 0 < version < NEWEST
        ]
        if odd:
            raise ModelError(f"the file asks for opsets that do not exist: {', '.join(odd)}")
        self.labels = labels(self.proto)
        graph = self.proto.graph
        scene = _Scene((), (), _Names(), self.opsets, {})
        inputs, nodes = self._open_graph(graph, scene)
        nodes += self._nodes(graph.node, scene)
        outputs = tuple(self._read(item.name, scene.names, "graph output") for item in graph.output)
        if not outputs:
            self.problems.append("the graph has no outputs")
        if self.problems:
            rest = len(self.problems) - _SHOWN
            more = f" (and {rest} more)" if rest > 0 else ""
            raise ModelError("malformed graph: " + "; ".join(self.problems[:_SHOWN]) + more)
        for node in walk(nodes):
            if node.bodies:
                node.captured = _captured(node)
        declared = {item.name: item.type.tensor_type.elem_type for item in graph.input}
        types = tuple(declared[self.names[value]] for value in inputs)
        program = Program(self.names, nodes, inputs, outputs, self.stored, self.opsets, types, self.proto)
        mark_carried(program)
        return program

    def _new(self, name: str) -> int:
        self.names.append(name)
        return len(self.names) - 1

    def _define(self, name: str, names: _Names, what: str) -> int:
        if not name:
            return 0
        if name in names.own:
            self.problems.append(f"{what} '{name}' is defined twice")
        names.own[name] = self._new(names.prefix + name)
        return names.own[name]

    def _read(self, name: str, names: _Names, what: str) -> int:
        if not name:
            return 0
        value = names.find(name)
        if value is None:
            self.problems.append(f"{what} reads '{name}', which nothing before it makes (a cycle, or a missing input)")
            return 0
        return value

    def _open_graph(self, graph: GraphProto, scene: _Scene) -> tuple[tuple[int, ...], list[Node]]:
        """Define a graph's inputs and initializers; sparse ones need a node to be what the graph reads."""
        held = {tensor.name for tensor in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
        inputs = tuple(self._define(item.name, scene.names, "input") for item in graph.input if item.name not in held)
        for tensor in graph.initializer:
            self.stored[self._define(tensor.name, scene.names, "initializer")] = self.slots[scene.scope, tensor.name]
        nodes = []
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            values = self._new(name)
            self.stored[values] = self.slots[scene.scope, name]
            dense = self._define(name, scene.names, "initializer")
            attributes = {"shape": list(sparse.dims), "positions": sparse_positions(sparse)}
            densify = lookup(OWN, "Densify", NEWEST)
            label = self.labels[(*scene.address, name)]
            nodes.append(Node("Densify", OWN, 1, label, (values,), (dense,), attributes, densify))
        return inputs, nodes

    def _nodes(self, protos: Iterable[NodeProto], scene: _Scene) -> list[Node]:
        nodes: list[Node] = []
        for index, proto in enumerate(protos):
            function = called(proto, self.functions)
            if function is not None:
                nodes += self._call(proto, index, function, scene)
            elif stores(proto, scene.scope, self.slots):
                slot = self.slots[scene.scope, proto.output[0]]
                self.stored[self._define(proto.output[0], scene.names, "value")] = slot
            else:
                nodes.append(self._node(proto, index, scene))
        return nodes

    def _node(self, proto: NodeProto, index: int, scene: _Scene) -> Node:
        domain = normal_domain(proto.domain)
        version = scene.opsets.get(domain, 0 if domain == "" else 1)
        label = self.labels[(*scene.address, index)]
        self.problems += schema.problems(proto, version, domain, label)
        inputs = tuple(self._read(name, scene.names, f"{proto.op_type} '{label}'") for name in proto.input)
        node = Node(proto.op_type, domain, version, label, inputs, ())
        for attribute in resolved(proto.attribute, scene.attributes):
            if attribute.type == AttributeProto.GRAPH:
                inner = (*scene.scope, node_label(proto, index), attribute.name)
                address = (*scene.address, index, attribute.name)
                body = replace(scene, address=address, scope=inner, names=_Names(scene.names))
                node.bodies[attribute.name] = self._body(attribute.g, body, f"{label}/{attribute.name}/")
            else:
                node.attributes[attribute.name] = _value(attribute, label)
        node.outputs = tuple(self._define(name, scene.names, "value") for name in proto.output)
        node.operator = lookup(domain, proto.op_type, version)
        return node

    def _body(self, graph: GraphProto, scene: _Scene, label: str) -> Body:
        inputs, nodes = self._open_graph(graph, scene)
        nodes += self._nodes(graph.node, scene)
        outputs = tuple(self._read(item.name, scene.names, f"'{label}'") for item in graph.output)
        return Body(nodes, inputs, outputs, label)

    def _call(self, proto: NodeProto, index: int, function: FunctionProto, scene: _Scene) -> list[Node]:
        """The nodes of a local function, reading the caller's values and writing the caller's outputs."""
        label = scene.names.prefix + node_label(proto, index)
        what, inner = f"'{label}'", _Names(prefix=f"{label}/")
        for position, name in enumerate(function.input):
            passed = proto.input[position] if position < len(proto.input) else ""
            inner.own[name] = self._read(passed, scene.names, what)
        attributes = {item.name: item for item in function.attribute_proto}
        attributes.update({item.name: item for item in resolved(proto.attribute, scene.attributes)})
        opsets = {**self.opsets, **{normal_domain(item.domain): item.version for item in function.opset_import}}
        body = _Scene((*scene.address, index, CALL), function_scope(function), inner, opsets, attributes)
        nodes = self._nodes(function.node, body)
        for name, result in zip(proto.output, function.output, strict=False):
            if name:
                scene.names.own[name] = self._read(result, inner, what)
        return nodes


def resolved(attributes: Sequence[AttributeProto], callers: Mapping[str, AttributeProto]) -> list[AttributeProto]:
    """A node's attributes; those that refer to the calling node's are taken from there, or left out."""
    settled = []
    for attribute in attributes:
        if not attribute.ref_attr_name:
            settled.append(attribute)
        elif attribute.ref_attr_name in callers:
            copy = AttributeProto()
            copy.CopyFrom(callers[attribute.ref_attr_name])
            copy.name = attribute.name
            settled.append(copy)
    return settled


def _value(attribute: AttributeProto, where: str) -> Any:
    if attribute.type == AttributeProto.TENSOR:
        return to_torch(to_numpy(attribute.t, where))
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (int, float)):
        return value
    if attribute.type == AttributeProto.STRINGS:
        return [item.decode("utf-8", "replace") for item in value]
    return list(value) if attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS) else value


def _captured(node: Node) -> tuple[int, ...]:
    made: set[int] = set()
    read: set[int] = set()
    for body in node.bodies.values():
        made.update(body.inputs)
        read.update(body.outputs)
        for inner in walk(body.nodes):
            made.update(inner.outputs)
            read.update(inner.inputs)
            for deeper in inner.bodies.values():
                made.update(deeper.inputs)
                read.update(deeper.outputs)
    return tuple(sorted(read - made - {0}))
