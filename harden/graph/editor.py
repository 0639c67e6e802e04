"""The one editor of a file's graph: a copy, who makes and who reads each value, what is free for a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from harden.graph.inlining import Inliner
from harden.graph.labels import CALL, Address, labels
from harden.graph.storage import called, constant_tensors, local_functions, node_label

OVERRIDABLE = 4
"""From this IR version on an initializer that is listed as an input, too, is a default that callers may override."""


class Editor:
    """A model being changed.

    Args:
        proto: The model; it stays as it is.

    Attributes:
        proto: The copy that is changed.
        graph: Its main graph.
        producers: The node of the main graph that makes each value.
        consumers: How often each value is read, by nodes, in nested graphs, as an output of the main graph.
        constants: The tensors of the main graph's initializers and Constant nodes, by name.
    """

    def __init__(self, proto: ModelProto) -> None:
        self.proto = copied(proto)
        self.graph = self.proto.graph
        self.producers: dict[str, NodeProto] = {name: node for node in self.graph.node for name in node.output if name}
        self.consumers: Counter[str] = Counter(_read(self.graph))
        self.constants: dict[str, TensorProto] = constant_tensors(self.graph)
        self._taken: set[str] | None = None

    def fresh_name(self, stem: str) -> str:
        """A name that no value, tensor or node of the file has: ``stem``, or ``stem#1``, ``stem#2``, ..."""
        if self._taken is None:
            self._taken = set(_names(self.graph))
        name = _free(stem, self._taken)
        self._taken.add(name)
        return name

    def add_constant(self, name: str, array: np.ndarray) -> str:
        """Store a tensor as an initializer; gives its name."""
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        self.constants[name] = self.graph.initializer[-1]
        return name

    def insert_before(self, node: NodeProto, nodes: Sequence[NodeProto]) -> None:
        """Put nodes before one of the main graph, in order."""
        self._put(_position(self.graph, node), nodes)

    def insert_after(self, node: NodeProto, nodes: Sequence[NodeProto]) -> None:
        """Put nodes behind one of the main graph, in order."""
        self._put(_position(self.graph, node) + 1, nodes)

    def rename_output(self, value: str, name: str) -> NodeProto | None:
        """Let what makes a value make it under another name, so that nodes behind it may make the value.

        Returns:
            The node; None where no node of the main graph makes the value.
        """
        node = self.producers.pop(value, None)
        if node is not None:
            node.output[list(node.output).index(value)] = name
            self.producers[name] = node
        return node

    def remove(self, node: NodeProto) -> None:
        """Take a node out of the main graph."""
        del self.graph.node[_position(self.graph, node)]

    def name_nodes(self) -> None:
        """Name the nodes of the main graph by what they go by, which would else change with their position.

        A name is given once, as ONNX Runtime demands; nodes that only hold a tensor stay as they are.
        """
        own = {address[0]: label for address, label in labels(self.proto).items() if len(address) == 1}
        functions = local_functions(self.proto)
        taken = {*own.values(), *(node.name for node in self.graph.node)}
        for index, node in enumerate(self.graph.node):
            if index in own:
                node.name = own[index]
            elif not node.name and called(node, functions) is not None:
                node.name = _free(node_label(node, index), taken)
                taken.add(node.name)

    def drop_unread(self, names: Iterable[str] | None = None) -> None:
        """Drop tensors of the main graph that nothing reads any more, Constant nodes and inputs of that name included.

        Args:
            names: Look at these only.
        """
        read = set(_read(self.graph))
        if names is None:
            constants = [node for node in self.graph.node if node.op_type == "Constant" and node.output]
            names = {*self.constants, *(node.output[0] for node in constants)}
        gone = set(names) - read
        for items in (self.graph.initializer, self.graph.input):
            for index in reversed(range(len(items))):
                if items[index].name in gone:
                    del items[index]
        for index in reversed(range(len(self.graph.node))):
            node = self.graph.node[index]
            if node.op_type == "Constant" and node.output[0] in gone:
                del self.graph.node[index]

    def labelled(self, names: Iterable[str]) -> dict[str, NodeProto]:
        """The nodes that go by these labels; a local function with one of them is brought into the graph.

        Raises:
            UnsupportedError: Such a function is written for another opset than the model.
        """
        by_address = labels(self.proto)
        addresses = {label: address for address, label in by_address.items()}
        chosen = {label: addresses[label] for label in names if label in addresses}
        nodes = {label: self._node(address) for label, address in chosen.items() if CALL not in address}
        inside = [address for address in chosen.values() if CALL in address]
        return {**nodes, **self._inlined(inside, by_address)} if inside else nodes

    def _inlined(self, inside: Sequence[Address], by_address: dict[Address, str]) -> dict[str, NodeProto]:
        """Bring in the functions that these nodes are in; gives the new nodes, nested ones too, by label."""
        self.name_nodes()
        calls = {address[:at] for address in inside for at, part in enumerate(address) if part == CALL}
        inliner = Inliner(self.proto, local_functions(self.proto), by_address, calls, self.fresh_name)
        outermost = [address for address in sorted(calls, key=str) if CALL not in address]
        outer_calls = [(address, self._graph(address), self._node(address)) for address in outermost]
        nodes: dict[str, NodeProto] = {}
        for address, graph, call in outer_calls:
            at = _position(graph, call)
            bodies = inliner.body(call, address, self._path(address))
            del graph.node[at]
            for offset, body in enumerate(bodies):
                graph.node.insert(at + offset, body)
                inserted = graph.node[at + offset]
                inner = (node for nested in graphs_of(inserted) for node in all_nodes(nested))
                nodes.update({node.name: node for node in (inserted, *inner) if node.name})
        return nodes

    def _graph(self, address: Address) -> GraphProto:
        graph = self.graph
        for at in range(0, len(address) - 1, 2):
            attributes = graph.node[int(address[at])].attribute
            graph = next(item.g for item in attributes if item.name == address[at + 1])
        return graph

    def _node(self, address: Address) -> NodeProto:
        return self._graph(address).node[int(address[-1])]

    def _path(self, address: Address) -> str:
        """What a node's values are named after: all that it is nested in, and itself."""
        ends = range(0, len(address), 2)
        parts = [node_label(self._node(address[: at + 1]), int(address[at])) for at in ends]
        return "/".join(
            text for pair in zip(parts, [*map(str, address[1::2]), ""], strict=True) for text in pair if text
        )

    def _put(self, position: int, nodes: Sequence[NodeProto]) -> None:
        for offset, node in enumerate(nodes):
            self.graph.node.insert(position + offset, node)
            inserted = self.graph.node[position + offset]
            self.producers.update({name: inserted for name in node.output if name})


def copied(proto: ModelProto) -> ModelProto:
    """A copy of a model."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    return copy


def initialized_inputs(graph: GraphProto) -> list[int]:
    """Which of a graph's inputs have an initializer, by position."""
    held = {tensor.name for tensor in graph.initializer} | {item.values.name for item in graph.sparse_initializer}
    return [index for index, item in enumerate(graph.input) if item.name in held]


def make_constant(graph: GraphProto) -> None:
    """Take every initializer out of a graph's inputs, in place."""
    for index in reversed(initialized_inputs(graph)):
        del graph.input[index]


def graphs_of(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that a node holds."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of those nested in it."""
    for node in graph.node:
        yield node
        for inner in graphs_of(node):
            yield from all_nodes(inner)


def _all_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in all_nodes(graph):
        yield from graphs_of(node)


def _read(graph: GraphProto) -> Iterator[str]:
    """Every value that is read, once for each time."""
    for inner in _all_graphs(graph):
        for node in inner.node:
            yield from node.input
        yield from (item.name for item in inner.output)


def _names(graph: GraphProto) -> Iterator[str]:
    for inner in _all_graphs(graph):
        yield from (item.name for item in (*inner.input, *inner.output, *inner.initializer))
        yield from (item.values.name for item in inner.sparse_initializer)
        for node in inner.node:
            yield node.name
            yield from node.output


def _free(stem: str, taken: Container[str]) -> str:
    name, count = stem, 0
    while name in taken:
        count += 1
        name = f"{stem}#{count}"
    return name


def _position(graph: GraphProto, node: NodeProto) -> int:
    return next(index for index, item in enumerate(graph.node) if item is node)
