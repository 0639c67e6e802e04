"""Which uses of a stored tensor are one crossbar: all that read the same numbers, whatever way they are turned.

Exporters unroll a recurrent cell into one product for each time step, each behind a Transpose of its own, and siamese
branches read one tensor. A chip has the tensor once. Parts that have no number in common are crossbars of their own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harden.graph.program import Program
from harden.graph.roles import Role, Roles
from harden.graph.shapes import Shapes
from harden.graph.tensors import to_torch

_MOVES = ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Gather", "Split")
_SMALL = 1024
"""Elements of the largest constant that is compared by its numbers, not by its name."""


@dataclass(frozen=True)
class Reading:
    """A use's crossbar.

    Attributes:
        first: The index of the use that the crossbar is named after.
        value: The number of the value that the crossbar holds.
        index: Which element of that value each element of the use's own is; None where they are the same.
    """

    first: int
    value: int
    index: Tensor | None = None


def readings(program: Program, roles: Roles, values: Sequence[int]) -> list[Reading]:
    """The crossbar of each of several values that no input feeds, in their order."""
    origins = Origins(program, roles)
    by_source: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        by_source[origins.identity(origins.source(value))].append(place)
    made: dict[int, Reading] = {}
    for places in by_source.values():
        first: dict[Hashable, int] = {}
        for place in places:
            first.setdefault(origins.identity(values[place]), place)
        shared = _shared(origins, values, list(first.values())) if len(first) > 1 else {}
        for place in places:
            other = first[origins.identity(values[place])]
            made[place] = shared.get(other, Reading(other, values[other]))
    return [made[place] for place in range(len(values))]


def _shared(origins: Origins, values: Sequence[int], places: Sequence[int]) -> dict[int, Reading]:
    """The crossbars of different readings of one source."""
    indices = {place: index for place in places if (index := origins.index(values[place])) is not None}
    shared: dict[int, Reading] = {}
    rest = list(indices)
    while rest:
        group, rest = _overlapping(indices, rest)
        if len(group) == 1:
            continue
        first, source = group[0], origins.source(values[group[0]])
        own = indices[first].flatten()
        order = own.argsort()
        if all(torch.equal(indices[place].flatten().sort().values, own[order]) for place in group):
            for place in group:
                index = order[torch.searchsorted(own[order], indices[place].contiguous())]
                shared[place] = Reading(first, values[first], None if place == first else index)
        else:
            shared.update({place: Reading(first, source, indices[place]) for place in group})
    return shared


def _overlapping(indices: dict[int, Tensor], places: list[int]) -> tuple[list[int], list[int]]:
    """The places that have elements in common with the first one or with each other, and the others."""
    group, elements, rest = [places[0]], indices[places[0]].flatten(), places[1:]
    while True:
        more = [place for place in rest if torch.isin(indices[place], elements).any()]
        if not more:
            return group, rest
        group += more
        rest = [place for place in rest if place not in more]
        elements = torch.cat([elements, *(indices[place].flatten() for place in more)])


class Origins:
    """Where values that no input feeds come from."""

    def __init__(self, program: Program, roles: Roles) -> None:
        self._stored, self._roles, self._shapes = program.stored, roles, Shapes(program)
        self._makers = {value: node for node in program.walk() for value in node.outputs if value}
        self._identities: dict[int, int] = {}
        self._numbers: dict[Hashable, int] = {}

    def identity(self, value: int) -> int:
        """Equal for values that are computed in the same way from the same tensors."""
        value = self._settled(value)
        for item in self._ancestry(value, self._identities):
            self._identities[item] = self._numbers.setdefault(self._identified(item), len(self._numbers))
        return self._identities[value]

    def source(self, value: int) -> int:
        """The value whose numbers are only moved about on the way to this one."""
        while True:
            value = self._settled(value)
            node = self._makers.get(value)
            if node is None or node.op not in _MOVES or any(self._roles.roots.get(item) for item in node.inputs[1:]):
                return value
            value = node.inputs[0]

    def index(self, value: int) -> Tensor | None:
        """Which element of its source each element of a value is; None where that cannot be told."""
        source = self.source(value)
        sizes = self._shapes.of(source)
        if sizes is None or None in sizes:
            return None
        shape = [size for size in sizes if size is not None]
        values: dict[int, Any] = {source: torch.arange(math.prod(shape)).reshape(shape)}
        for item in self._ancestry(self._settled(value), values):
            node = self._makers.get(item)
            if node is None:
                values[item] = to_torch(self._stored[item].array()) if item in self._stored else None
            elif node.operator is None or node.operator.frame:
                return None
            else:
                results = node.operator.function(node, *(values[self._settled(read)] for read in node.inputs))
                values.update(zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=False))
        return values[self._settled(value)]

    def _settled(self, value: int) -> int:
        return self._roles.same.get(value, value)

    def _identified(self, value: int) -> Hashable:
        node, slot = self._makers.get(value), self._stored.get(value)
        if node is not None:
            if node.bodies:
                return value
            read = tuple(self._identities[self._settled(item)] for item in node.inputs)
            facts = sorted((name, repr(item)) for name, item in node.attributes.items())
            return node.op, node.domain, node.version, tuple(facts), read, node.outputs.index(value)
        if slot is None or slot.size > _SMALL or self._roles.of[slot.name] is not Role.CONSTANT:
            return value if slot is None else slot.name
        array = slot.array()
        return str(array.dtype), array.shape, array.tobytes()

    def _ancestry(self, value: int, known: Container[int]) -> list[int]:
        """The values that one is computed from and that are not known, each behind those it is computed from."""
        order: list[int] = []
        stack, seen = [(value, False)], set[int]()
        while stack:
            item, done = stack.pop()
            if done:
                order.append(item)
            elif item not in seen and item not in known:
                seen.add(item)
                stack.append((item, True))
                node = self._makers.get(item)
                if node is not None and not node.bodies:
                    stack.extend((self._settled(read), False) for read in node.inputs)
        return order
