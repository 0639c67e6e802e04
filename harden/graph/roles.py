"""What each stored tensor is: a trainable parameter, a batch norm's running statistic, or a constant of the graph.

A floating-point tensor is a parameter if gradients from an output reach it, except for what is no weight:
constants of a single element that enter plain arithmetic (the 3 of a hard swish, the epsilon of a hand-written norm),
masks, and scales of quantisation. A single-element tensor under a checkpoint's kind of name (``blocks.0.gain``), or
in a place that always holds weights (a bias, a norm's scale), is a parameter all the same.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from harden.errors import ModelError
from harden.graph.flow import follows, same_values, unchanged
from harden.graph.program import Node, Program
from harden.graph.quantized import Quantization, find_quantizations
from harden.graph.storage import Slot
from harden.graph.tensors import FLOATS

_CHECKPOINT_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)+")
_MASKING = -50.0


class Role(str, Enum):
    """What a stored tensor is."""

    PARAMETER = "parameter"
    STATISTIC = "statistic"
    CONSTANT = "constant"


@dataclass
class Roles:
    """The roles of a program's stored tensors, and what its values depend on.

    Attributes:
        of: Role by tensor name.
        reason: Why a floating-point tensor is a constant, by name.
        slots: The tensors by name.
        fed: Whether a value depends on the values of the graph's inputs.
        varying: Whether it depends on their values or on their shapes.
        same: For what a loop hands on unchanged, the value outside.
        roots: The stored floating-point tensors that gradients reach from a value that no input feeds.
        quantized: How stored integers stand for weights, by value.
    """

    of: dict[str, Role] = field(default_factory=dict)
    reason: dict[str, str] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    fed: list[bool] = field(default_factory=list)
    varying: list[bool] = field(default_factory=list)
    same: dict[int, int] = field(default_factory=dict)
    roots: dict[int, tuple[int, ...]] = field(default_factory=dict)
    quantized: dict[int, Quantization] = field(default_factory=dict)

    def parameters(self, program: Program, value: int) -> list[int]:
        """The weights that a value which no input feeds is computed from, the largest first."""
        stored = program.stored
        roots = [root for root in self.roots.get(value, ()) if self.of[stored[root].name] is Role.PARAMETER]
        return sorted(roots, key=lambda root: -stored[root].size)


@dataclass
class _Reach:
    """What lies between a value and the outputs."""

    useful: set[int]
    learned: set[int]
    statistic: set[int]
    scale: set[int]


def assign_roles(program: Program) -> Roles:
    """Decide on every stored tensor of a program.

    Raises:
        ModelError: A weight holds NaN or infinity.
    """
    quantized = find_quantizations(program)
    fed, varying = (follows(program, shapes=shapes) for shapes in (False, True))
    roots, same = _roots(program, quantized), same_values(program)
    roles = Roles(fed=fed, varying=varying, same=same, roots=roots, quantized=quantized)
    reach = _reach(program)
    for value, slot in program.stored.items():
        roles.slots[slot.name] = slot
        role, reason = _decide(value, slot, reach, quantized)
        if roles.of.get(slot.name) != Role.PARAMETER:
            roles.of[slot.name] = role
            roles.reason[slot.name] = reason
    _check_finite(roles)
    return roles


def _decide(value: int, slot: Slot, reach: _Reach, quantized: dict[int, Quantization]) -> tuple[Role, str]:
    if value in quantized and value in reach.useful:
        return Role.PARAMETER, ""
    if slot.data_type not in FLOATS:
        return Role.CONSTANT, "not floating-point"
    if value in reach.useful and value not in reach.scale:
        if slot.size == 0:
            return Role.CONSTANT, "empty"
        if value not in reach.learned:
            if slot.size == 1 and not (slot.kind == "initializer" and _CHECKPOINT_NAME.fullmatch(slot.name)):
                return Role.CONSTANT, "a single number"
            if is_mask(slot.array()):
                return Role.CONSTANT, "a mask"
        return Role.PARAMETER, ""
    if value in reach.statistic:
        return Role.STATISTIC, "a batch norm's running statistic"
    if value in reach.scale:
        return Role.CONSTANT, "a scale of quantisation"
    return Role.CONSTANT, "no gradient reaches it"


def is_mask(array: np.ndarray) -> bool:
    """Whether a tensor only adds nothing or a very negative number, as attention masks do.

    Example:
        >>> is_mask(np.array([0.0, -100.0])), is_mask(np.array([0.0, -1.0]))
        (True, False)
    """
    numbers = np.asarray(array, dtype=np.float32)
    blocked = numbers <= _MASKING
    return bool(blocked.any() and ((numbers == 0) | blocked).all())


def _check_finite(roles: Roles) -> None:
    bad = [
        name
        for name, role in roles.of.items()
        if role is not Role.CONSTANT and not np.isfinite(np.asarray(roles.slots[name].array(), np.float32)).all()
    ]
    if bad:
        names = ", ".join(bad[:5]) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        raise ModelError(f"weights hold NaN or infinity: {names}", fix="Export the model from a sound checkpoint")


def _roots(program: Program, quantized: Container[int]) -> dict[int, tuple[int, ...]]:
    """For each value, the stored weights it is computed from along differentiable paths."""
    roots: dict[int, tuple[int, ...]] = {
        value: (value,) for value, slot in program.stored.items() if slot.data_type in FLOATS or value in quantized
    }
    for node in program.walk():
        below: dict[int, None] = {}
        for position, value in enumerate(node.inputs):
            if node.differentiable(position):
                below.update(dict.fromkeys(roots.get(value, ())))
        for value in node.outputs:
            if value and below:
                roots[value] = tuple(below)
        for state in unchanged(node):
            if state.begins in roots:
                roots[state.inside] = roots[state.begins]
    return roots


def _reach(program: Program) -> _Reach:
    useful = {value for value in program.outputs if value}
    reach = _Reach(useful, set(), set(), set())
    for node in reversed(list(program.walk())):
        for body in node.bodies.values():
            useful.update(body.outputs)
    _reach_back(program.nodes, reach)
    return reach


def _reach_back(nodes: list[Node], reach: _Reach) -> None:
    for node in reversed(nodes):
        for body in node.bodies.values():
            _reach_back(body.nodes, reach)
        operator = node.operator
        is_useful = any(value in reach.useful for value in node.outputs)
        if operator is None:
            # An operator that is missing is named as such; what it reads is not to be blamed for it.
            reach.useful.update(value for value in node.inputs if value and is_useful)
            continue
        is_learned = operator.chain and any(value in reach.learned for value in node.outputs)
        for position, value in enumerate(node.inputs):
            if not value:
                continue
            if operator.name == "BatchNormalization" and position in (3, 4):
                reach.statistic.add(value)
            elif node.op in ("QuantizeLinear", "DequantizeLinear") and position > 0:
                reach.scale.add(value)
            elif is_useful and node.differentiable(position):
                reach.useful.add(value)
                if is_learned or position in operator.learned:
                    reach.learned.add(value)
            if operator.chain and position == 0:
                for kind in (reach.statistic, reach.scale):
                    if any(out in kind for out in node.outputs):
                        kind.add(value)
