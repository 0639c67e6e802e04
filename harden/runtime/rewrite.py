"""Give every analog use of a tensor an initializer of its own.

In a file one tensor may serve several crossbars (exporters merge equal tensors), may be a Constant node, or may reach
its node through Identity, Transpose or DequantizeLinear. Noise belongs to the use, so the runtime copy has one
initializer per use, holding the value that arrives at the node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto

from harden.errors import ModelError
from harden.graph.analog import AnalogWeight
from harden.graph.editor import OVERRIDABLE, Editor, graphs_of, make_constant

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

    proto: ModelProto
    initializers: dict[str, str]
    exact: bool


def split_uses(proto: ModelProto, uses: Mapping[str, AnalogWeight]) -> Rewritten:
    """Rewrite a model so that each analog use has its own initializer.

    Args:
        proto: The model; not modified.
        uses: Analog uses by key.

    Returns:
        The rewritten model and the initializers' names.

    Raises:
        ModelError: A use cannot be found in the graph.
    """
    editor = Editor(proto)
    editor.proto.ir_version = max(editor.proto.ir_version, OVERRIDABLE)
    make_constant(editor.graph)  # an initializer that stays an input would be overridable, and computed otherwise
    nodes = editor.labelled(use.node for use in uses.values())
    flow = _Flow(editor.graph)
    names: dict[str, str] = {}
    exact = True
    for key, use in uses.items():
        node = nodes.get(use.node)
        if node is None or use.position >= len(node.input):
            what = f"no node of the graph reads the tensor '{use.name}' here"
            raise ModelError(what, where=f"node '{use.node}'", fix="Load the model again")
        exact &= flow.only_moved(node, use.position)
        value = use.tensor.detach().cpu().contiguous().numpy()
        names[key] = node.input[use.position] = editor.add_constant(editor.fresh_name(key), value)
    editor.drop_unread({use.name for use in uses.values()})
    return Rewritten(editor.proto, names, exact)


class _Flow:
    """Where values of a graph and those nested in it come from: a name means what the innermost graph has for it."""

    def __init__(self, graph: GraphProto) -> None:
        self._seen = list(_in_order(graph, ()))  # held, so that a node keeps its identity
        self._around = {id(node): graphs for node, graphs in self._seen}
        self._makers: dict[int, dict[str, NodeProto]] = {}
        self._own: dict[int, set[str]] = {}
        for node, graphs in self._seen:
            self._makers.setdefault(id(graphs[0]), {}).update({name: node for name in node.output if name})
        for inner in {id(graph): graph for _, graphs in self._seen for graph in graphs}.values():
            self._own[id(inner)] = {item.name for item in (*inner.initializer, *inner.input)}

    def only_moved(self, node: NodeProto, position: int) -> bool:
        """Whether what a node reads there are the very numbers of a stored tensor."""
        name, graphs = node.input[position], self._around[id(node)]
        while True:
            while graphs and name not in self._own[id(graphs[0])] and name not in self._makers.get(id(graphs[0]), {}):
                graphs = graphs[1:]
            maker = self._makers.get(id(graphs[0]), {}).get(name) if graphs else None
            if maker is None:
                return True
            if maker.op_type not in _MOVES:
                return False
            if not maker.input:
                return True
            name = maker.input[0]


def _in_order(graph: GraphProto, around: Sequence[GraphProto]) -> Iterator[tuple[NodeProto, tuple[GraphProto, ...]]]:
    """The nodes of a graph and of those nested in it, each with the graphs that it is in, innermost first."""
    graphs = (graph, *around)
    for node in graph.node:
        yield node, graphs
        for inner in graphs_of(node):
            yield from _in_order(inner, graphs)
