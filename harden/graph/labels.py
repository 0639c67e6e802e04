"""What the nodes of a file are called: the one authority, for the graph in torch, for the runtime copy, for reports.

A node goes by its name, or by its type and position where it has none; in a nested graph the node that holds it and the
attribute are put before it, in a local function the node that calls it. Where several nodes would be called the same,
the later ones are numbered. Nodes that only hold a tensor compute nothing, and have no label.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from harden.errors import ModelError
from harden.graph.storage import DEEPEST, Scope, called, function_scope, local_functions, node_label, slots, stores

Address = tuple[int | str, ...]
"""Where a node stands: its position in the main graph; of a node further in, the position of the one that holds or
calls it, the attribute of the nested graph or ``CALL``, its position there, and so on. A sparse initializer has its
name for a position."""
CALL = "()"


def labels(proto: ModelProto) -> dict[Address, str]:
    """The label of every node that computes something, in the order in which the graph is read.

    A local function's nodes are there once for each call; the calling node itself has no label.

    Raises:
        ModelError: Local functions call each other without end.

    Example:
        >>> from onnx import helper
        >>> nodes = [helper.make_node("Relu", ["x"], ["y"], name=name) for name in ("a", "a#2", "a", "")]
        >>> labels(helper.make_model(helper.make_graph(nodes, "g", [], [])))
        {(0,): 'a', (1,): 'a#2', (2,): 'a#2#2', (3,): 'Relu_3'}
    """
    reading = _Reading(proto)
    reading.graph(proto.graph, (), (), "")
    return reading.labels


class _Reading:
    """One pass over a file."""

    def __init__(self, proto: ModelProto) -> None:
        self.labels: dict[Address, str] = {}
        self._functions = local_functions(proto)
        self._filled = {(slot.scope, slot.local) for slot in slots(proto) if slot.kind == "fill"}
        self._times: dict[str, int] = {}

    def graph(self, graph: GraphProto, scope: Scope, address: Address, prefix: str) -> None:
        for sparse in graph.sparse_initializer:
            self.labels[(*address, sparse.values.name)] = self._unique(f"Densify_{sparse.values.name}")
        self._nodes(graph.node, scope, address, prefix)

    def _nodes(self, nodes: Iterable[NodeProto], scope: Scope, address: Address, prefix: str) -> None:
        for index, node in enumerate(nodes):
            node_address, base = (*address, index), prefix + node_label(node, index)
            function = called(node, self._functions)
            if function is not None:
                if len(node_address) // 2 >= DEEPEST:
                    raise ModelError(f"local functions call each other more than {DEEPEST} deep", where=base)
                self._nodes(function.node, function_scope(function), (*node_address, CALL), f"{base}/")
            elif not stores(node, scope, self._filled):
                self.labels[node_address] = self._unique(base)
                for attribute in node.attribute:
                    if attribute.type == AttributeProto.GRAPH:
                        inner = (*scope, node_label(node, index), attribute.name)
                        self.graph(attribute.g, inner, (*node_address, attribute.name), f"{base}/{attribute.name}/")

    def _unique(self, label: str) -> str:
        times = self._times.get(label, 0)
        self._times[label] = times + 1
        return label if not times else self._unique(f"{label}#{times + 1}")
