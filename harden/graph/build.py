"""From a ModelProto to a :class:`Program`: names resolved, structure checked, local functions inlined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto

from harden.errors import ModelError
from harden.graph import schema
from harden.graph.ops import NEWEST, OWN, lookup
from harden.graph.program import Body, Node, Program, walk
from harden.graph.quantized import mark_carried
from harden.graph.storage import DEEPEST, Scope, Slot, constant_place, function_key, node_label, slots
from harden.graph.tensors import sparse_places, to_numpy, to_torch

_SHOWN = 5


def build(proto: ModelProto) -> Program:
    """Check and flatten a model's graph.

    Raises:
        ModelError: A value is used before it is made (a cycle, or a missing input), made twice, or a tensor is
            malformed.
    """
    return _Builder(proto).program()


class _Names:
    """The values that are visible in one graph."""

    def __init__(self, parent: _Names | None = None) -> None:
        self.parent = parent
        self.own: dict[str, int] = {}

    def find(self, name: str) -> int | None:
        found = self.own.get(name)
        return found if found is not None or self.parent is None else self.parent.find(name)


class _Builder:
    def __init__(self, proto: ModelProto) -> None:
        self.proto = proto
        self.names = [""]
        self.opsets = {normal_domain(item.domain): item.version for item in proto.opset_import}
        self.functions = {function_key(f.domain, f.name, f.overload): f for f in proto.functions}
        self.slots: dict[tuple[Scope, str], Slot] = {}
        self.stored: dict[int, Slot] = {}
        self.labels: dict[str, int] = {}
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
        names = _Names()
        graph = self.proto.graph
        inputs, nodes = self._open_graph(graph, (), names)
        nodes += self._nodes(graph.node, (), names, self.opsets, {}, 0)
        outputs = tuple(self._read(item.name, names, "graph output") for item in graph.output)
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
        program = Program(self.names, nodes, inputs, outputs, self.stored, self.opsets, types)
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
        names.own[name] = self._new(name)
        return names.own[name]

    def _read(self, name: str, names: _Names, what: str) -> int:
        if not name:
            return 0
        found = names.find(name)
        if found is None:
            self.problems.append(f"{what} reads '{name}', which nothing before it makes (a cycle, or a missing input)")
            return 0
        return found

    def _open_graph(self, graph: GraphProto, scope: Scope, names: _Names) -> tuple[tuple[int, ...], list[Node]]:
        """Define a graph's inputs and initializers; sparse ones need a node to be what the graph reads."""
        held = {tensor.name for tensor in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
        inputs = tuple(self._define(item.name, names, "input") for item in graph.input if item.name not in held)
        for tensor in graph.initializer:
            self.stored[self._define(tensor.name, names, "initializer")] = self.slots[scope, tensor.name]
        nodes = []
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            values = self._new(name)
            self.stored[values] = self.slots[scope, name]
            dense = self._define(name, names, "initializer")
            attributes = {"shape": list(sparse.dims), "places": sparse_places(sparse)}
            densify = lookup(OWN, "Densify", NEWEST)
            nodes.append(
                Node("Densify", OWN, 1, self._label(f"Densify_{name}"), (values,), (dense,), attributes, densify)
            )
        return inputs, nodes

    def _nodes(
        self,
        protos: Iterable[NodeProto],
        scope: Scope,
        names: _Names,
        opsets: dict[str, int],
        given: dict[str, AttributeProto],
        depth: int,
        prefix: str = "",
    ) -> list[Node]:
        found: list[Node] = []
        for index, proto in enumerate(protos):
            label = prefix + node_label(proto, index)
            function = self._function(proto)
            if function is not None:
                found += self._call(proto, function, label, names, given, depth)
            elif _is_constant(proto) or self._is_fill(proto, scope):
                self.stored[self._define(proto.output[0], names, "value")] = self.slots[scope, proto.output[0]]
            else:
                found.append(self._node(proto, index, label, scope, names, opsets, given, depth))
        return found

    def _node(
        self,
        proto: NodeProto,
        index: int,
        label: str,
        scope: Scope,
        names: _Names,
        opsets: dict[str, int],
        given: dict[str, AttributeProto],
        depth: int,
    ) -> Node:
        domain = normal_domain(proto.domain)
        version = opsets.get(domain, 0 if domain == "" else 1)
        self.problems += schema.problems(proto, version, domain, label)
        inputs = tuple(self._read(name, names, f"{proto.op_type} '{label}'") for name in proto.input)
        node = Node(proto.op_type, domain, version, self._label(label), inputs, ())
        for attribute in _resolved(proto.attribute, given):
            if attribute.type == AttributeProto.GRAPH:
                inner = (*scope, node_label(proto, index), attribute.name)
                node.bodies[attribute.name] = self._body(attribute.g, inner, names, opsets, given, depth + 1, label)
            else:
                node.attributes[attribute.name] = _value(attribute, label)
        node.outputs = tuple(self._define(name, names, "value") for name in proto.output)
        node.operator = lookup(domain, proto.op_type, version)
        return node

    def _body(
        self,
        graph: GraphProto,
        scope: Scope,
        outer: _Names,
        opsets: dict[str, int],
        given: dict[str, AttributeProto],
        depth: int,
        label: str,
    ) -> Body:
        names = _Names(outer)
        inputs, nodes = self._open_graph(graph, scope, names)
        nodes += self._nodes(graph.node, scope, names, opsets, given, depth, f"{label}/{scope[-1]}/")
        outputs = tuple(self._read(item.name, names, f"'{label}'") for item in graph.output)
        return Body(nodes, inputs, outputs)

    def _is_fill(self, proto: NodeProto, scope: Scope) -> bool:
        return proto.op_type == "ConstantOfShape" and (scope, (proto.output or [""])[0]) in self.slots

    def _function(self, proto: NodeProto) -> FunctionProto | None:
        overload = proto.overload if hasattr(proto, "overload") else ""
        return self.functions.get(function_key(proto.domain, proto.op_type, overload)) if self.functions else None

    def _call(
        self,
        proto: NodeProto,
        function: FunctionProto,
        label: str,
        names: _Names,
        given: dict[str, AttributeProto],
        depth: int,
    ) -> list[Node]:
        """The nodes of a local function, reading the caller's values and writing the caller's outputs."""
        if depth >= DEEPEST:
            raise ModelError(f"local functions call each other more than {DEEPEST} deep", where=label)
        inner = _Names()
        for position, name in enumerate(function.input):
            inner.own[name] = (
                self._read(proto.input[position], names, f"'{label}'") if position < len(proto.input) else 0
            )
        attributes = {item.name: item for item in function.attribute_proto}
        attributes.update({item.name: item for item in _resolved(proto.attribute, given)})
        opsets = {**self.opsets, **{normal_domain(item.domain): item.version for item in function.opset_import}}
        scope = (function_key(function.domain, function.name, function.overload),)
        nodes = self._nodes(function.node, scope, inner, opsets, attributes, depth + 1, f"{label}/")
        for name, result in zip(proto.output, function.output, strict=False):
            if name:
                names.own[name] = self._read(result, inner, f"'{label}'")
        return nodes

    def _label(self, label: str) -> str:
        seen = self.labels.get(label, 0)
        self.labels[label] = seen + 1
        return label if not seen else self._label(f"{label}#{seen + 1}")


def _is_constant(proto: NodeProto) -> bool:
    plain = proto.op_type == "Constant" and normal_domain(proto.domain) == "" and len(proto.output) == 1
    return plain and constant_place(proto) is not None


def normal_domain(domain: str) -> str:
    """The domain's name; ONNX's own is the empty string."""
    return "" if domain == "ai.onnx" else domain


def _resolved(attributes: Sequence[AttributeProto], given: dict[str, AttributeProto]) -> list[AttributeProto]:
    """A node's attributes; those that refer to the calling node's are taken from there, or left out."""
    found = []
    for attribute in attributes:
        if not attribute.ref_attr_name:
            found.append(attribute)
        elif attribute.ref_attr_name in given:
            copy = AttributeProto()
            copy.CopyFrom(given[attribute.ref_attr_name])
            copy.name = attribute.name
            found.append(copy)
    return found


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
