"""The roads from stored tensors to products: chosen, moved, scaled, carried and sliced on the way.

A tensor's numbers leave the file's own computation where they meet the inputs: at the product itself, or earlier, at an
Expand to the batch, a Gather of experts, a Where, a modulation, a Scan. The edge where that happens is a road's
beginning, and the place where a chip's numbers enter the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from harden.graph.flow import carried, scanned, yielded
from harden.graph.program import Node, Program
from harden.graph.roles import Roles
from harden.graph.shapes import Dims, Shapes

Edge = tuple[str, int]
"""The label of a node or nested graph that reads a value, and the position: an input of the node, an output of the
graph."""
_SCALING = ("Mul", "Div")
_JOINING = ("Concat", "Where", "SequenceConstruct", "SequenceInsert", "ConcatFromSequence", "ScatterND",
            "ScatterElements", "Scatter")  # fmt: skip


@dataclass(frozen=True)
class Road:
    """One stored operand on its way.

    Attributes:
        edge: Where it leaves what no input feeds.
        value: The number of the value that is read there.
        steps: The nodes it passed, each with the position it came in by.
        mixed: How it met what inputs feed, where the two cannot be told apart any more; empty where they can.
    """

    edge: Edge
    value: int
    steps: tuple[tuple[Node, int], ...] = ()
    mixed: str = ""


@dataclass(frozen=True)
class Content:
    """What a value that follows the inputs is made of.

    Attributes:
        roads: Stored tensors, by edge.
        activation: Whether numbers of the inputs are in it.
    """

    roads: Mapping[Edge, Road] = field(default_factory=dict)
    activation: bool = False

    def and_(self, other: Content) -> Content:
        """Both together; where only one of them is fed, the other is joined with what inputs feed."""
        both = Content({**other.roads, **self.roads}, self.activation or other.activation)
        return both.mixed("joined with") if both.activation else both

    def by(self, node: Node, position: int) -> Content:
        """The same behind one more node."""
        roads = {edge: replace(road, steps=(*road.steps, (node, position))) for edge, road in self.roads.items()}
        return Content(roads, self.activation)

    def mixed(self, how: str) -> Content:
        """As a part of what inputs feed."""
        return Content({edge: replace(road, mixed=road.mixed or how) for edge, road in self.roads.items()}, True)


_NOTHING = Content()
_ACTIVATION = Content(activation=True)


class Roads:
    """What every value of a program that follows the inputs is made of.

    Args:
        program: The graph.
        roles: What its tensors are.
        shapes: Shapes of values, as far as they can be told; asked only where a stored tensor meets a fed factor.
    """

    def __init__(self, program: Program, roles: Roles, shapes: Shapes) -> None:
        self._program, self._roles, self._shapes = program, roles, shapes
        self._contents: dict[int, Content] = dict.fromkeys(program.inputs, _ACTIVATION)
        self._visit(program.nodes)

    def at(self, label: str, position: int, value: int) -> Content:
        """What is read at an edge."""
        value = self._roles.same.get(value, value)
        if not value:
            return _NOTHING
        if self._roles.varying[value]:
            return self._contents.get(value, _NOTHING)
        if not self._roles.parameters(self._program, value):
            return _NOTHING
        return Content({(label, position): Road((label, position), value)})

    def matrix(self, road: Road) -> bool:
        """Whether a road's largest tensor has two axes that are longer than 1: no gain or bias of a channel."""
        shape = self._program.stored[self._roles.parameters(self._program, road.value)[0]].shape
        return sum(size > 1 for size in shape) > 1

    def _visit(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            if any(self._roles.varying[value] for value in node.outputs if value):
                for value, content in self._made(node).items():
                    self._contents[value] = content

    def _made(self, node: Node) -> dict[int, Content]:
        if node.bodies:
            return self._nested(node)
        return dict.fromkeys((value for value in node.outputs if value), self._computed(node))

    def _computed(self, node: Node) -> Content:
        operator = node.operator
        if operator is None or operator.analog:
            return _ACTIVATION
        positions = [p for p, value in enumerate(node.inputs) if value and node.differentiable(p)]
        parts = [self.at(node.label, p, node.inputs[p]).by(node, p) for p in positions]
        fed = [part for part in parts if part.activation]
        if not fed:
            return _together(parts)
        if node.op.endswith("Normalization") or node.op == "PRelu":
            return _together(fed)
        stored = [(p, part) for p, part in zip(positions, parts, strict=True) if part.roads and not part.activation]
        if node.op in _JOINING:
            return _together([*fed, *(part for _, part in stored)])
        matrices = [(p, part) for p, part in stored if any(map(self.matrix, part.roads.values()))]
        if node.op in _SCALING and len(fed) == 1 and len(matrices) == 1:
            if self._scaled(node, matrices[0][0]):
                return matrices[0][1]
            return _together([*fed, matrices[0][1].mixed("multiplied with")])
        return _together([*fed, *(part.mixed("added to") for _, part in matrices)])

    def _scaled(self, node: Node, position: int) -> bool:
        """Whether the fed factor of a Mul is spread over the stored one, as in modulated weights."""
        own, factor = (self._shapes.of(node.inputs[p]) for p in (position, 1 - position))
        if factor is not None and all(size == 1 for size in factor):
            return True
        return own is not None and factor is not None and _spread(factor, own)

    def _nested(self, node: Node) -> dict[int, Content]:
        """What leaves an If, Loop or Scan."""
        made: dict[int, Content] = {}
        states = list(carried(node))
        if node.op == "Loop":
            self._contents.update(dict.fromkeys(node.bodies["body"].inputs[:2], _NOTHING))
        for position, inside in scanned(node):
            self._contents[inside] = self.at(node.label, position, node.inputs[position]).by(node, position)
        begins = {s.inside: self.at(node.label, s.position, s.begins).by(node, s.position) for s in states}
        self._contents.update(begins)
        for turn in range(2 if states else 1):  # the second turn reads what the first hands on
            for body in node.bodies.values():
                self._visit(body.nodes)
            if not turn:
                self._contents.update({s.inside: begins[s.inside].and_(self._left(node, s.goes_on)) for s in states})
        for state in states:
            if state.ends:
                made[state.ends] = begins[state.inside].and_(self._left(node, state.goes_on))
        for inner, outer in yielded(node):
            if outer:
                made[outer] = made.get(outer, _NOTHING).and_(self._left(node, inner))
        return made

    def _left(self, node: Node, value: int) -> Content:
        """What a nested graph hands out."""
        for body in node.bodies.values():
            if value in body.outputs:
                position = body.outputs.index(value)
                return self.at(body.label, position, value).by(node, position)
        return _NOTHING


def _together(parts: Iterable[Content]) -> Content:
    whole = _NOTHING
    for part in parts:
        whole = whole.and_(part)
    return whole


def _spread(factor: Dims, over: Dims) -> bool:
    """Whether a factor is spread over an axis of a tensor."""
    missing = len(over) - len(factor)
    aligned = [1] * missing + list(factor[max(-missing, 0) :])
    return any(a == 1 and b != 1 for a, b in zip(aligned, over, strict=True))
