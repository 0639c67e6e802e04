"""Which weights sit on crossbars: once for each use of a tensor by Conv, Gemm, MatMul and their like.

A use is an operand that no graph input feeds (a tensor of the file, perhaps transposed, reshaped, cast or
standardised on the way) beside an operand that is fed. The noise belongs to the use, not to the tensor: a tensor that
exporters have shared between two layers is programmed twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import torch

from harden.errors import UnsupportedError
from harden.graph.program import Node, Program
from harden.graph.roles import Role, Roles


@dataclass(frozen=True)
class Use:
    """One operand of one node that sits on a crossbar.

    Attributes:
        key: The tensor's name; ``name@node`` where the tensor has other uses too.
        name: The tensor's name.
        node: The node's label.
        op: The node's type.
        position: Which of the node's inputs it is.
        value: The number of the value at the node.
        groups: The node's groups.
        chained: Whether anything is computed between the tensor and the node.
        transposed: Whether a Gemm or FusedMatMul transposes it.
        columns: The axis that runs over the outputs, where the node's type does not say (Einsum, transBatchB).
    """

    key: str
    name: str
    node: str
    op: str
    position: int
    value: int
    groups: int
    chained: bool
    transposed: bool = False
    columns: int | None = None

    def output_axis(self, rank: int) -> int:
        """The axis of the weight that runs over the outputs, for a weight of ``rank`` axes at the node."""
        if self.columns is not None:
            return self.columns
        if self.op == "ConvTranspose":
            return 1
        if self.op == "Gemm":
            by_position = 0 if self.position == 0 else 1
            return 1 - by_position if self.transposed else by_position
        if self.op in ("MatMul", "FusedMatMul"):
            last = rank - 1
            first = max(rank - 2, 0)
            return first if (self.position == 0) != self.transposed else last
        return 1 if self.op in ("LSTM", "GRU", "RNN") else 0


@dataclass(frozen=True)
class AnalogWeight:
    """One use of a tensor on a crossbar.

    Attributes:
        key: The tensor's name; ``name@node`` where the tensor is used more than once.
        name: The name of the tensor in the file.
        node: The label of the node that multiplies with it.
        op: That node's type.
        tensor: The weight as the node sees it, after any Transpose, Reshape, Cast and the like.
        output_axis: The axis that runs over the node's outputs (the crossbar's columns).
        groups: The node's groups (1 but for grouped convolutions).
        position: Which of the node's inputs it is.
    """

    key: str
    name: str
    node: str
    op: str
    tensor: torch.Tensor
    output_axis: int
    groups: int
    position: int = 1

    def __getstate__(self) -> dict[str, object]:
        """For another process: the numbers, without the way to the parameters."""
        return {**self.__dict__, "tensor": self.tensor.detach()}


def find_uses(program: Program, roles: Roles) -> list[Use]:
    """Every use of a weight on a crossbar, in the order of the nodes.

    Raises:
        UnsupportedError: A Conv, Gemm, MatMul or recurrent weight would not become a parameter; all of them are named.
    """
    uses, lost = scan_uses(program, roles)
    if lost:
        names = [f"{node.op} '{node.label}'" for node in lost]
        raise UnsupportedError(
            f"the weights of {len(lost)} nodes are not numbers that the file stores: " + "; ".join(names),
            fix="Export the model with floating-point or QDQ weights",
        )
    return uses


def scan_uses(program: Program, roles: Roles) -> tuple[list[Use], list[Node]]:
    """Every use of a weight on a crossbar, and the nodes whose weights cannot be trained."""
    uses: list[Use] = []
    lost: list[Node] = []
    for node in program.walk():
        for position in _crossbars(node, roles):
            value = node.inputs[position]
            parameters = [root for root in roles.roots.get(value, ()) if _is_parameter(program, roles, root)]
            if not parameters:
                lost.append(node)
                continue
            root = max(parameters, key=lambda item: program.stored[item].size)
            name = program.stored[root].name
            transposed = bool(node.get({0: "transA", 1: "transB"}.get(position, ""), 0))
            columns, chained = _columns(node, position), value != root
            use = Use(name, name, node.label, node.op, position, value, _groups(node), chained, transposed, columns)
            uses.append(use)
    return _keyed(uses, _terminals(program, roles)), lost


def select(uses: Iterable[Use], digital: Sequence[str]) -> list[Use]:
    """The uses that no glob of ``digital`` names, by tensor or by node."""
    return [use for use in uses if not is_digital(use, digital)]


def is_digital(use: Use, digital: Sequence[str]) -> bool:
    """Whether a glob names the use's tensor, node or key."""
    return any(fnmatchcase(text, glob) for glob in digital for text in (use.name, use.node, use.key))


def analog_weight(use: Use, tensor: torch.Tensor) -> AnalogWeight:
    """The record of a use and its present tensor."""
    axis = use.output_axis(tensor.dim())
    return AnalogWeight(use.key, use.name, use.node, use.op, tensor, axis, use.groups, use.position)


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


def _is_parameter(program: Program, roles: Roles, value: int) -> bool:
    return roles.of[program.stored[value].name] is Role.PARAMETER


def _crossbars(node: Node, roles: Roles) -> list[int]:
    """Positions of a node's operands that are weights while another operand is fed."""
    if node.operator is None or not node.operator.analog:
        return []
    analog = [p for p in node.operator.analog if p < len(node.inputs) and node.inputs[p]]
    if not any(roles.fed[value] for value in node.inputs if value):
        return []
    return [position for position in analog if not roles.fed[node.inputs[position]]]


def _terminals(program: Program, roles: Roles) -> dict[str, int]:
    """How often each tensor, or what is computed from it alone, meets a node that inputs feed."""
    edges: defaultdict[str, int] = defaultdict(int)
    for node in program.walk():
        if node.operator is not None and node.operator.shape_only:
            continue
        if any(roles.fed[value] for value in node.outputs):
            for value in node.inputs:
                if value and not roles.fed[value]:
                    for root in roles.roots.get(value, ()):
                        edges[program.stored[root].name] += 1
    return edges


def _keyed(uses: list[Use], terminals: dict[str, int]) -> list[Use]:
    keys: set[str] = set()
    keyed = []
    for use in uses:
        key = use.name if terminals[use.name] <= 1 else f"{use.name}@{use.node}"
        while key in keys:
            key += "+"
        keys.add(key)
        keyed.append(replace(use, key=key))
    return keyed
