"""What a model is made of: its weights, which of them sit on crossbars, and what cannot be trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from harden.graph.analog import Use, scan_uses, select
from harden.graph.file import Model
from harden.graph.products import Exact
from harden.graph.program import Node, Program
from harden.graph.roles import Role, assign_roles
from harden.graph.storage import Slot
from harden.graph.tensors import FLOATS
from harden.graph.unsupported import Missing, computes_on_integers, missing_operators

_LEFT_OUT = "left digital by --digital"


class Obstacle(Missing):
    """With the reason."""

    reason: str


class WeightRow(TypedDict):
    """A tensor of the file, and its use by a node; a tensor on no crossbar has no key, but a reason."""

    name: str
    shape: list[int]
    trainable: bool
    op: str | None
    node: str | None
    analog: bool
    digital_reason: str | None
    key: str | None


def unsupported(model: Model) -> list[Obstacle]:
    """What stands in the way of training.

    Operators that harden does not know, and layers whose weights are not numbers that the file stores.
    """
    program = model.program
    missing = "the operator is not supported"
    integers = "the layer works on integers; only QDQ quantisation is supported"
    rows: list[Obstacle] = [
        {**row, "reason": integers if computes_on_integers(row["op"]) else missing}
        for row in missing_operators(program)
    ]
    lost: dict[tuple[str, str], list[str]] = {}
    for node in scan_uses(program, assign_roles(program)).lost:
        lost.setdefault((node.domain, node.op), []).append(node.label)
    reason = "its weight is not stored in the file as floating-point or QDQ numbers"
    rows += [
        Obstacle(op=op, domain=domain, count=len(nodes), nodes=nodes, reason=reason)
        for (domain, op), nodes in sorted(lost.items())
    ]
    return rows


def exact_products(model: Model, digital: Sequence[str] = ()) -> list[Exact]:
    """Every product with a stored operand that is on no crossbar, and why."""
    scanned = scan_uses(model.program, assign_roles(model.program), model.crossbars)
    analog = {use.key for use in select(scanned.uses, digital)}
    left_out = [Exact(use.node, use.op, use.name, _LEFT_OUT) for use in scanned.uses if use.key not in analog]
    return [*scanned.exact, *left_out]


def weights_table(model: Model, digital: Sequence[str] = ()) -> list[WeightRow]:
    """Every tensor of real numbers: a row for each crossbar that it is on, or one with the reason why on none.

    Integers that a DequantizeLinear turns into a weight count as real numbers.
    """
    program = model.program
    roles = assign_roles(program)
    scanned = scan_uses(program, roles, model.crossbars)
    analog = {use.key for use in select(scanned.uses, digital)}
    crossbars: dict[str, dict[str, Use]] = {}
    parts: dict[str, Use] = {}
    for use in scanned.uses:
        crossbars.setdefault(use.name, {}).setdefault(use.key, use)
        parts.update((name, use) for name in use.names)
    exact = {item.name: item for item in reversed(scanned.exact)}
    readers = _readers(program)
    rows: list[WeightRow] = []
    for value, slot in program.stored.items():
        if slot.data_type not in FLOATS and value not in roles.quantized:
            continue
        trainable = roles.of[slot.name] is Role.PARAMETER
        for key, use in crossbars.get(slot.name, {}).items():
            reason = None if key in analog else _LEFT_OUT
            rows.append(_row(slot, trainable, use.op, use.node, reason, key))
        if slot.name not in crossbars:
            node, position = readers.get(value, (None, 0))
            op, label = (node.op, node.label) if node else (None, None)
            reason = _reason(node, position) if trainable else roles.reason[slot.name]
            if slot.name in exact:
                op, label, reason = exact[slot.name].op, exact[slot.name].node, exact[slot.name].reason
            elif slot.name in parts:
                reason = f"computed into {parts[slot.name].key}"
            rows.append(_row(slot, trainable, op, label, reason, None))
    return rows


def _row(
    slot: Slot, trainable: bool, op: str | None, node: str | None, reason: str | None, key: str | None
) -> WeightRow:
    return {
        "name": slot.name,
        "shape": list(slot.shape),
        "trainable": trainable,
        "op": op,
        "node": node,
        "analog": reason is None,
        "digital_reason": reason,
        "key": key,
    }


def _readers(program: Program) -> dict[int, tuple[Node, int]]:
    readers: dict[int, tuple[Node, int]] = {}
    for node in program.walk():
        for position, value in enumerate(node.inputs):
            readers.setdefault(value, (node, position))
    return readers


def _reason(node: Node | None, position: int) -> str:
    if node is None:
        return "an output of the graph"
    if node.op == "BatchNormalization":
        return "a batch norm's scale" if position == 1 else "a batch norm's bias"
    if node.op.endswith("Normalization"):
        return "a norm's scale" if position == 1 else "a norm's bias"
    if node.op == "Gather":
        return "an embedding"
    if node.operator is not None and position in node.operator.learned:
        return "a bias" if position >= 2 else "a weight beside no input"
    return "an element-wise constant or bias"
