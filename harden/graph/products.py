"""Every product of a graph with a stored operand: those whose operand sits on a crossbar, and why others do not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from harden.graph.crossbars import Origins
from harden.graph.flow import carried, scanned, yielded
from harden.graph.program import Node, Program
from harden.graph.roads import Content, Edge, Road, Roads
from harden.graph.roles import Roles
from harden.graph.shapes import Shapes


@dataclass(frozen=True)
class Operand:
    """A stored operand of a product that sits on a crossbar.

    Attributes:
        node: The product.
        position: Which of its inputs it is.
        road: How it gets there; without steps where nothing fed lies between.
    """

    node: Node
    position: int
    road: Road


@dataclass(frozen=True)
class Exact:
    """A product with a stored operand that sits on no crossbar.

    Attributes:
        node: The product's label.
        op: Its type.
        name: The tensor.
        reason: Why chips compute it exactly.
    """

    node: str
    op: str
    name: str
    reason: str


@dataclass
class Products:
    """The products of a program with stored operands.

    Attributes:
        operands: Those on crossbars, in the order of the nodes.
        exact: Those on none.
        lost: Products whose stored operand cannot be trained.
    """

    operands: list[Operand] = field(default_factory=list)
    exact: list[Exact] = field(default_factory=list)
    lost: list[Node] = field(default_factory=list)


def find_products(program: Program, roles: Roles) -> Products:
    """Look at every product of a program, nested graphs and local functions included."""
    return _Search(program, roles).run()


class _Search:
    def __init__(self, program: Program, roles: Roles) -> None:
        self._program, self._roles = program, roles
        self._roads = Roads(program, roles, Shapes(program))
        self._products = Products()
        self._unfed: list[tuple[Node, list[int]]] = []

    def run(self) -> Products:
        order = {node.label: at for at, node in enumerate(self._program.walk())}
        for node in self._program.walk():
            if node.operator is not None and node.operator.analog:
                self._product(node)
        self._join()
        self._products.operands.sort(key=lambda item: (order[item.node.label], item.position))
        self._leave_out(_elsewhere(self._program, self._products.operands))
        return self._products

    def _product(self, node: Node) -> None:
        positions = [p for p in _analog(node) if p < len(node.inputs) and node.inputs[p]]
        if not any(self._varies(value) for value in node.inputs if value):
            self._unfed.append((node, positions))
            return
        for group in ((0, 1), (2,)) if node.op == "Attention" else (positions,):
            self._operands(node, [p for p in positions if p in group])

    def _varies(self, value: int) -> bool:
        return self._roles.varying[self._roles.same.get(value, value)]

    def _join(self) -> None:
        """Let products of constants use the crossbars there are: the first step of a recurrent cell, with h = 0."""
        origins = Origins(self._program, self._roles)
        there = {origins.identity(item.road.value) for item in self._products.operands if not item.road.steps}
        for node, positions in self._unfed:
            values = {p: self._roles.same.get(node.inputs[p], node.inputs[p]) for p in positions}
            stored = [p for p, value in values.items() if self._roles.parameters(self._program, value)]
            on_one = [p for p in stored if origins.identity(values[p]) in there]
            if on_one:
                p = on_one[-1]
                self._products.operands.append(Operand(node, p, Road((node.label, p), values[p])))
                continue
            for p in stored:
                if values[p] in self._program.stored:
                    self._exact(node, values[p], "multiplied with no input")

    def _operands(self, node: Node, positions: Sequence[int]) -> None:
        direct = [p for p in positions if not self._varies(node.inputs[p])]
        for p in direct:
            value = self._roles.same.get(node.inputs[p], node.inputs[p])
            if self._roles.parameters(self._program, value):
                self._products.operands.append(Operand(node, p, Road((node.label, p), value)))
            else:
                self._products.lost.append(node)
        matrices = 0 not in _analog(node)  # the operand holds weights wherever it comes from
        contents = {p: self._roads.at(node.label, p, node.inputs[p]) for p in positions if p not in direct}
        if direct and not matrices:
            return
        stored = [p for p, content in contents.items() if content.roads and not content.activation]
        if not matrices and len(stored) == len(positions) > 1:
            weight = max(stored, key=lambda p: (self._size(contents[p]), p))
            for p in stored:
                if p != weight:
                    self._read(node, contents.pop(p), "the input of a product with another stored operand")
        for p, content in contents.items():
            if matrices or not content.activation:
                roads = [r for r in content.roads.values() if not content.activation or self._roads.matrix(r)]
                self._products.operands += [Operand(node, p, road) for road in roads]
            else:
                for road in content.roads.values():
                    self._exact(node, self._root(road), f"{road.mixed} what inputs feed, on its way")

    def _size(self, content: Content) -> int:
        return max(self._program.stored[self._root(road)].size for road in content.roads.values())

    def _root(self, road: Road) -> int:
        return self._roles.parameters(self._program, road.value)[0]

    def _read(self, node: Node, content: Content, reason: str) -> None:
        for road in content.roads.values():
            self._exact(node, self._root(road), reason)

    def _exact(self, node: Node, root: int, reason: str) -> None:
        name = self._program.stored[root].name
        self._products.exact.append(Exact(node.label, node.op, name, reason))

    def _leave_out(self, elsewhere: dict[Edge, Node | None]) -> None:
        """Operands whose road also leads elsewhere would carry their noise there."""
        kept = []
        for operand in self._products.operands:
            if operand.road.edge in elsewhere:
                other = elsewhere[operand.road.edge]
                place = f"{other.op} '{other.label}'" if other else "an output of the graph"
                reason = f"read by {place} as well"
                self._exact(operand.node, self._root(operand.road), reason)
            else:
                kept.append(operand)
        self._products.operands = kept


def _analog(node: Node) -> Sequence[int]:
    analog = node.operator.analog if node.operator is not None else ()
    return [p for p in analog if p < len(node.inputs)]


def _elsewhere(program: Program, operands: Iterable[Operand]) -> dict[Edge, Node | None]:
    """Edges from which numbers also reach what is no product with them as its weight, and what that is."""
    wanted: defaultdict[Edge, set[Edge]] = defaultdict(set)
    for operand in operands:
        if operand.road.steps:
            wanted[operand.road.edge].add((operand.node.label, operand.position))
    if not wanted:
        return {}
    ahead = _Ahead(program)
    elsewhere: dict[Edge, Node | None] = {}
    for edge, weights in wanted.items():
        strays = list(ahead.strays(edge, weights))
        if strays:
            elsewhere[edge] = strays[0]
    return elsewhere


class _Ahead:
    """Where numbers go from an edge on."""

    def __init__(self, program: Program) -> None:
        self._outputs = set(program.outputs)
        self._readers: defaultdict[int, list[tuple[Node, int]]] = defaultdict(list)
        self._next: defaultdict[Edge, list[int]] = defaultdict(list)
        self._leaves: defaultdict[int, list[int]] = defaultdict(list)
        for node in program.walk():
            for position, value in enumerate(node.inputs):
                self._readers[value].append((node, position))
                if not node.bodies:
                    self._next[node.label, position] += node.outputs
            for state in carried(node):
                self._next[node.label, state.position] += [state.inside, state.ends]
                self._leaves[state.goes_on] += [state.inside, state.ends]
            for position, inside in scanned(node):
                self._next[node.label, position].append(inside)
            for inner, outer in yielded(node):
                self._leaves[inner].append(outer)
            for body in node.bodies.values():
                for position, value in enumerate(body.outputs):
                    self._next[body.label, position] += self._leaves[value]

    def strays(self, edge: Edge, weights: set[Edge]) -> Iterator[Node | None]:
        """Readers that are none of these weights of products; None for an output of the graph."""
        values, seen = list(self._next[edge]), {0}
        while values:
            value = values.pop()
            if value in seen:
                continue
            seen.add(value)
            values += self._leaves[value]
            if value in self._outputs:
                yield None
            for node, position in self._readers[value]:
                operator = node.operator
                if (operator is not None and operator.shape_only) or (node.label, position) in weights:
                    continue
                if operator is None or operator.analog or not node.differentiable(position):
                    yield node
                else:
                    values += self._next[node.label, position]
