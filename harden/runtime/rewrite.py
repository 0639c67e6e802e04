"""Give every analog use of a tensor an initializer of its own.

In a file one tensor may serve several crossbars (exporters merge equal tensors), may be a Constant node, or may reach
its node through Identity, Transpose or DequantizeLinear. Noise belongs to the use, so the runtime copy has one
initializer per use, holding the value that arrives at the node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import numpy_helper

from harden.errors import ModelError
from harden.graph.analog import AnalogWeight
from harden.graph.storage import constant_place, node_label

# The inputs of a node that can lie on a crossbar; any other operator is searched input by input.
_SLOTS = {
    "Conv": (1,), "ConvTranspose": (1,), "Gemm": (1, 0), "MatMul": (1, 0), "LSTM": (1, 2), "GRU": (1, 2), "RNN": (1, 2),
}  # fmt: skip
# Moving numbers about does not change them: behind these the clean outputs must stay the same bit for bit.
_MOVES = {
    "Identity",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Constant",
    "ConstantOfShape",
    "Expand",
}


@dataclass(frozen=True)
class Rewritten:
    """A model whose analog uses have initializers of their own.

    Attributes:
        proto: The rewritten model, values inline.
        initializers: The initializer's name of each analog key.
        exact: No number was re-expressed on the way: clean outputs must equal the file's bit for bit.
    """

    proto: onnx.ModelProto
    initializers: dict[str, str]
    exact: bool


def split_uses(proto: onnx.ModelProto, uses: Mapping[str, AnalogWeight]) -> Rewritten:
    """Rewrite a model so that each analog use has its own initializer.

    Args:
        proto: The model; not modified.
        uses: Analog uses by key.

    Returns:
        The rewritten model and the initializers' names.

    Raises:
        ModelError: A use cannot be found in the graph.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    copy.ir_version = max(copy.ir_version, 4)  # before 4 every initializer had to be an input as well
    graph = _Graph(copy.graph)
    names: dict[str, str] = {}
    exact = True
    for key, use in uses.items():
        node, slot = graph.locate(use)
        exact &= graph.only_moved(node.input[slot], use.name)
        fresh = graph.fresh_name(key)
        value = use.tensor.detach().cpu().contiguous().numpy()
        copy.graph.initializer.append(numpy_helper.from_array(value, fresh))
        node.input[slot] = fresh
        names[key] = fresh
    _drop_unused(copy.graph, {use.name for use in uses.values()})
    return Rewritten(copy, names, exact)


class _Graph:
    """Who makes what in a graph and its subgraphs."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(_all_nodes(graph))
        self.by_label = _labelled(graph)
        self.producer = {output: n for n in self.nodes for output in n.output if output}
        self.constants = {t.name for g in _all_graphs(graph) for t in g.initializer}
        self.taken = self.constants | set(self.producer) | {i.name for g in _all_graphs(graph) for i in g.input}
        self._sources: dict[str, frozenset[str] | None] = {}

    def locate(self, use: AnalogWeight) -> tuple[onnx.NodeProto, int]:
        node = self.by_label.get(use.node)
        if node is not None:
            slots = [s for s in _SLOTS.get(node.op_type, range(len(node.input))) if s < len(node.input)]
            for slot in slots:
                if use.name in (self.sources(node.input[slot]) or ()):
                    return node, slot
        raise ModelError(
            f"the tensor '{use.name}' does not reach this node", where=f"node '{use.node}'", fix="Load the model again"
        )

    def sources(self, name: str) -> frozenset[str] | None:
        """The constant tensors a value is computed from; None if it depends on the model's inputs."""
        if name not in self._sources:
            self._sources[name] = None  # a value that feeds itself is no constant
            self._sources[name] = self._find_sources(name)
        return self._sources[name]

    def _find_sources(self, name: str) -> frozenset[str] | None:
        if name in self.constants:
            return frozenset({name})
        node = self.producer.get(name)
        if node is None:
            return None
        if node.op_type in ("Shape", "Size"):  # of a shape, whatever the values
            return frozenset()
        found: set[str] = set(node.output) if node.op_type in ("Constant", "ConstantOfShape") else set()
        for item in filter(None, node.input):
            below = self.sources(item)
            if below is None:
                return None
            found |= below
        return frozenset(found)

    def only_moved(self, name: str, source: str) -> bool:
        """Whether a value holds its source's very numbers."""
        while name != source and name not in self.constants:
            node = self.producer[name]
            if node.op_type not in _MOVES:
                return False
            if not node.input:
                return True
            name = node.input[0]
        return True

    def fresh_name(self, key: str) -> str:
        name, count = key, 0
        while name in self.taken:
            count += 1
            name = f"{key}#{count}"
        self.taken.add(name)
        return name


def _labelled(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """The nodes by the labels that the graph module gives them: a name, or type and position, made unique in order."""
    found: dict[str, onnx.NodeProto] = {}

    def walk(inner: onnx.GraphProto, prefix: str) -> None:
        for index, node in enumerate(inner.node):
            if node.op_type == "Constant" and constant_place(node) is not None:
                continue
            label = base = prefix + node_label(node, index)
            count = 1
            while label in found:
                count += 1
                label = f"{base}#{count}"
            found[label] = node
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    walk(attribute.g, f"{base}/{attribute.name}/")

    walk(graph, "")
    return found


def _all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _all_graphs(inner)


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for inner in _all_graphs(graph):
        yield from inner.node


def _drop_unused(graph: onnx.GraphProto, names: Iterable[str]) -> None:
    used = Counter(name for node in _all_nodes(graph) for name in node.input)
    used.update(output.name for inner in _all_graphs(graph) for output in inner.output)
    gone = {name for name in names if not used[name]}
    for items in (graph.initializer, graph.input):
        for index in reversed(range(len(items))):
            if items[index].name in gone:
                del items[index]
