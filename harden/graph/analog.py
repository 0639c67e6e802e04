"""Which weights sit on crossbars: what the file stores for products with what the inputs feed.

A use is an operand of Conv, Gemm, MatMul and their like that comes from stored tensors alone (transposed, reshaped,
cast or standardised on the way; chosen, scaled or expanded by what inputs feed; carried or sliced by a loop), beside an
operand that is fed. The uses of one tensor are one crossbar, or each a crossbar of its own where that is asked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

import torch

from harden.errors import UnsupportedError
from harden.graph.crossbars import Reading, readings
from harden.graph.entries import Crossbars, Entering
from harden.graph.flow import unchanged
from harden.graph.orientation import axis_at_edge
from harden.graph.products import Exact, Operand, find_products
from harden.graph.program import Node, Program
from harden.graph.roads import Edge
from harden.graph.roles import Roles

_MOVES = ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "ConstantOfShape", "Expand")
CrossbarPer = Literal["tensor", "use"]
"""What a crossbar of its own is for."""


@dataclass(frozen=True)
class Entry:
    """An edge of the graph where a crossbar's numbers enter.

    Attributes:
        label: Of the node, or of the nested graph, that reads them.
        position: Of the node's input, or of the graph's output.
        index: Which element of the crossbar each element at the edge is; None where they are the same.
        place: Of the use that it is the entry of.
    """

    label: str
    position: int
    index: torch.Tensor | None = None
    place: str = ""


@dataclass(frozen=True)
class Use:
    """One operand of one product that sits on a crossbar.

    Attributes:
        key: The crossbar: the tensor's name; ``name@node`` where the tensor has other uses that are not on it.
        place: The use: the key, or ``name@node`` where the crossbar has several uses.
        name: The tensor's name, of several that the operand is computed from the largest one's.
        names: The names of all of them.
        node: The product's label.
        op: Its type.
        position: Which of its inputs it is.
        value: The number of the value that the crossbar holds.
        entry: Where its numbers enter the graph: at the product itself, or on the way to it.
        groups: The product's groups.
        chained: Whether anything is computed between the tensor and the crossbar.
        moved: Whether the crossbar holds the tensor's very numbers, whatever their places.
        axis: Of the crossbar's axes, from the last, the one that runs over the product's outputs; None where the
            product's type says it.
        transposed: Whether a Gemm or FusedMatMul transposes it.
        columns: The axis that runs over the outputs, where the node's type does not say (Einsum, transBatchB).
    """

    key: str
    place: str
    name: str
    names: tuple[str, ...]
    node: str
    op: str
    position: int
    value: int
    entry: Entry
    groups: int
    chained: bool
    moved: bool
    axis: int | None = None
    transposed: bool = False
    columns: int | None = None

    @property
    def direct(self) -> bool:
        """Whether the crossbar's numbers enter at the product itself."""
        return (self.entry.label, self.entry.position) == (self.node, self.position)

    def output_axis(self, rank: int) -> int:
        """The axis of the weight that runs over the outputs, for a crossbar of ``rank`` axes."""
        return self._usual_axis(rank) if self.axis is None else max(rank + self.axis, 0)

    def _usual_axis(self, rank: int) -> int:
        if self.columns is not None:
            return self.columns
        if self.op == "ConvTranspose":
            return 1
        if self.op == "Gemm":
            by_position = 0 if self.position == 0 else 1
            return 1 - by_position if self.transposed else by_position
        if self.op in ("MatMul", "FusedMatMul", "Attention"):
            last = rank - 1
            first = max(rank - 2, 0)
            if self.op == "Attention":
                return last if self.position == 2 else first
            return first if (self.position == 0) != self.transposed else last
        return 1 if self.op in ("LSTM", "GRU", "RNN") else 0


@dataclass(frozen=True)
class AnalogWeight:
    """One crossbar.

    Attributes:
        key: The tensor's name; ``name@node`` where the tensor is read elsewhere, too.
        name: The name of the tensor in the file.
        node: The label of the node that multiplies with it; the first of several.
        op: That node's type.
        tensor: The weight as the node sees it, after any Transpose, Reshape, Cast and the like.
        output_axis: The axis that runs over the node's outputs (the crossbar's columns).
        groups: The node's groups (1 but for grouped convolutions).
        position: Which of the node's inputs it is.
        entries: Where its numbers enter the graph; the node's input alone by default.
        moved: Whether the tensor's numbers are the file's, whatever their places.
        uses: How many operands of products it is.
    """

    key: str
    name: str
    node: str
    op: str
    tensor: torch.Tensor
    output_axis: int
    groups: int
    position: int = 1
    entries: tuple[Entry, ...] = ()
    moved: bool = True
    uses: int = 1

    def __getstate__(self) -> dict[str, object]:
        """For another process: the numbers, without the way to the parameters."""
        return {**self.__dict__, "tensor": self.tensor.detach()}


@dataclass(frozen=True)
class Scanned:
    """What is known of the products of a program with stored operands.

    Attributes:
        uses: The operands on crossbars, in the order of the nodes.
        exact: The products whose operand is on none, and why.
        lost: The products whose weights cannot be trained.
    """

    uses: list[Use]
    exact: list[Exact]
    lost: list[Node]


def find_uses(program: Program, roles: Roles, per: CrossbarPer = "tensor") -> list[Use]:
    """Every use of a weight on a crossbar, in the order of the nodes.

    Raises:
        UnsupportedError: A Conv, Gemm, MatMul or recurrent weight would not become a parameter; all of them are named.
    """
    scanned = scan_uses(program, roles, per)
    if scanned.lost:
        names = [f"{node.op} '{node.label}'" for node in scanned.lost]
        raise UnsupportedError(
            f"the weights of {len(names)} nodes are not numbers that the file stores: " + "; ".join(names),
            fix="Export the model with floating-point or QDQ weights",
        )
    return scanned.uses


def scan_uses(program: Program, roles: Roles, per: CrossbarPer = "tensor") -> Scanned:
    """Every use of a weight on a crossbar, and the products that have none.

    Args:
        program: The graph.
        roles: What its tensors are.
        per: Whether the uses of one tensor are one crossbar, or each a crossbar of its own.
    """
    products = find_products(program, roles)
    values = [operand.road.value for operand in products.operands]
    if per == "tensor":
        read = readings(program, roles, values)
    else:
        edges: dict[Edge, int] = {}
        firsts = [edges.setdefault(operand.road.edge, at) for at, operand in enumerate(products.operands)]
        read = [Reading(first, value) for first, value in zip(firsts, values, strict=True)]
    makers = {value: node for node in program.walk() for value in node.outputs if value}
    uses = [
        _use(program, roles, makers, operand, reading) for operand, reading in zip(products.operands, read, strict=True)
    ]
    return Scanned(_keyed(uses, read, _terminals(program, roles)), products.exact, products.lost)


def _use(program: Program, roles: Roles, makers: dict[int, Node], operand: Operand, reading: Reading) -> Use:
    """A use that has no key yet."""
    node, position, road = operand.node, operand.position, operand.road
    names = tuple(program.stored[root].name for root in roles.parameters(program, road.value))
    columns = _columns(node, position)
    axis = axis_at_edge(program, node, position, columns, road.steps) if road.steps else None
    return Use(
        key="",
        place="",
        name=names[0],
        names=names,
        node=node.label,
        op=node.op,
        position=position,
        value=reading.value,
        entry=Entry(*road.edge, reading.index),
        groups=_groups(node),
        chained=reading.value not in program.stored,
        moved=node.inputs[position] not in roles.same and _only_moved(reading.value, makers),
        axis=axis,
        transposed=bool(node.get({0: "transA", 1: "transB"}.get(position, ""), 0)),
        columns=columns,
    )


def _only_moved(value: int, makers: dict[int, Node]) -> bool:
    """Whether a value holds the very numbers of a stored tensor."""
    while value in makers:
        node = makers[value]
        if node.op not in _MOVES:
            return False
        value = node.inputs[0] if node.inputs else 0
    return True


def select(uses: Iterable[Use], digital: Sequence[str]) -> list[Use]:
    """The uses whose crossbar no glob of ``digital`` names, by tensor or by node."""
    uses = list(uses)
    left_out = {use.key for use in uses if is_digital(use, digital)}
    return [use for use in uses if use.key not in left_out]


def is_digital(use: Use, digital: Sequence[str]) -> bool:
    """Whether a glob names one of the use's tensors, its node or its crossbar."""
    texts = (*use.names, use.node, use.key, use.place)
    return any(fnmatchcase(text, glob) for glob in digital for text in texts)


def crossbars(uses: Sequence[Use]) -> Crossbars:
    """Where the numbers of uses enter, and the products that they meet."""
    entries: dict[str, dict[Entering, None]] = {}
    products: dict[str, tuple[tuple[int, str], ...]] = {}
    for use in uses:
        entry = use.entry
        entries.setdefault(entry.label, {})[Entering(entry.position, use.key, entry.index)] = None
        products[use.node] = (*products.get(use.node, ()), (use.position, use.place))
    return Crossbars({label: tuple(items) for label, items in entries.items()}, products)


def analog_weight(uses: Sequence[Use], tensor: torch.Tensor) -> AnalogWeight:
    """The record of a crossbar, from its uses and its present tensor."""
    use = uses[0]
    entries = {(item.entry.label, item.entry.position): item.entry for item in uses}
    return AnalogWeight(
        key=use.key,
        name=use.name,
        node=use.node,
        op=use.op,
        tensor=tensor,
        output_axis=use.output_axis(tensor.dim()),
        groups=use.groups,
        position=use.position,
        entries=tuple(entries.values()),
        moved=all(item.moved for item in uses),
        uses=len(uses),
    )


def _columns(node: Node, position: int) -> int | None:
    """For Einsum, the weight's last axis that the other operands do not have and the output does.

    Example: of ``bshd,hde->bse`` with the weight second it is axis 2, ``e``. For a FusedMatMul that moves the first
    axis behind the batch axes, it may be that one.
    """
    if node.op == "FusedMatMul" and node.get(("transBatchA", "transBatchB")[position], 0):
        return 0 if (position == 0) != bool(node.get(("transA", "transB")[position], 0)) else None
    equation = node.get("equation") if node.op == "Einsum" else None
    if not isinstance(equation, str) or "->" not in equation:
        return None
    terms, output = equation.replace(" ", "").replace("...", "").split("->")
    operands = terms.split(",")
    if position >= len(operands):
        return None
    others = "".join(operands[:position] + operands[position + 1 :])
    own = [axis for axis, letter in enumerate(operands[position]) if letter in output and letter not in others]
    return own[-1] if own else None


def _groups(node: Node) -> int:
    groups = node.get("group", 1) if node.op in ("Conv", "ConvTranspose", "DeformConv") else 1
    return groups if isinstance(groups, int) else 1


def _terminals(program: Program, roles: Roles) -> Counter[str]:
    """How often each tensor, or what is computed from it alone, meets a node that inputs feed."""
    edges: Counter[str] = Counter()
    for node in program.walk():
        if node.operator is not None and node.operator.shape_only:
            continue
        handed_on = {state.position for state in unchanged(node)}
        if any(roles.varying[value] for value in node.outputs):
            for position, value in enumerate(node.inputs):
                if value and not roles.varying[value] and position not in handed_on:
                    edges.update(program.stored[root].name for root in roles.roots.get(value, ()))
    return edges


def _keyed(uses: list[Use], read: list[Reading], terminals: Counter[str]) -> list[Use]:
    """The uses with their keys and places."""
    together: defaultdict[int, list[int]] = defaultdict(list)
    for at, reading in enumerate(read):
        together[reading.first].append(at)
    keys: dict[int, str] = {}
    places: set[str] = set()
    keyed = []
    for at, use in enumerate(uses):
        first = read[at].first
        own = f"{use.name}@{use.node}"
        edges = {(uses[other].entry.label, uses[other].entry.position) for other in together[first]}
        if first not in keys:
            keys[first] = _fresh(use.name if terminals[use.name] <= len(edges) else own, keys.values())
        place = _fresh(keys[first] if len(together[first]) == 1 else own, places)
        places.add(place)
        keyed.append(replace(use, key=keys[first], place=place, entry=replace(use.entry, place=place)))
    return keyed


def _fresh(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "+"
    return name
