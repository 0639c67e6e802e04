"""Which axis of a stored tensor runs over a product's outputs, where nodes lie between the two.

Axes are counted from the last one: what chooses, scales or expands a tensor adds and takes axes at the front, as
broadcasting does. Where a Reshape has mixed axes they are taken to have kept their places from the last.
"""

from __future__ import annotations

from collections.abc import Sequence

from harden.graph.flow import scanned
from harden.graph.program import Node, Program
from harden.graph.shapes import Shapes


def axis_at_edge(
    program: Program, product: Node, position: int, columns: int | None, steps: Sequence[tuple[Node, int]]
) -> int:
    """The axis, from the last one (negative), of what is read where a road begins.

    Args:
        program: The graph.
        product: Where the road ends.
        position: The product's input.
        columns: Of an Einsum, the axis of its operand.
        steps: The nodes on the way, each with the position it is entered by; the first one is where the road begins.
    """
    shapes = Shapes(program)
    axis = _at_product(product, position, columns)
    for node, entered in reversed(steps):
        axis = _before(program, shapes, node, entered, axis)
    return axis


def _at_product(node: Node, position: int, columns: int | None) -> int:
    if columns is not None and node.op == "Einsum":
        return columns - len(str(node.get("equation")).replace(" ", "").split("->")[0].split(",")[position])
    if node.op == "Attention":
        return -1 if position == 2 else -2
    if node.op in ("MatMul", "FusedMatMul", "Gemm"):
        transposed = bool(node.get("transB" if position else "transA", 0))
        return -1 if (position == 1) != transposed else -2
    if node.op in ("LSTM", "GRU", "RNN"):
        return -2
    spatial = len(node.get("kernel_shape", ())) or 2
    return -1 - spatial if node.op == "ConvTranspose" else -2 - spatial


def _before(program: Program, shapes: Shapes, node: Node, position: int, axis: int) -> int:
    """The axis in front of a node."""
    if node.op == "Transpose":
        order = node.get("perm")
        if not order:
            sizes = shapes.of(node.inputs[0])
            rank = 2 if sizes is None else len(sizes)
            return -1 - (rank + axis)
        return order[axis] - len(order) if -axis <= len(order) else axis
    sizes = shapes.of(node.inputs[position]) if position < len(node.inputs) else None
    if sizes is None:
        return axis
    if node.op in ("Unsqueeze", "Squeeze"):
        return _without_ones(program, node, len(sizes), axis)
    if node.op == "Gather" and position == 0:
        return _whole(axis, node.get("axis", 0) % len(sizes), len(sizes))
    if node.op == "Scan" and any(place == position for place, _ in scanned(node)):
        first = min(place for place, _ in scanned(node))
        axes = node.get("scan_input_axes", [0] * node.get("num_scan_inputs", 0))
        return _whole(axis, axes[position - first] % len(sizes), len(sizes))
    return axis


def _whole(axis: int, taken: int, rank: int) -> int:
    """An axis of a slice, in the whole: axes behind the one that was taken keep their places from the last."""
    return axis if -axis <= rank - 1 - taken else axis - 1


def _without_ones(program: Program, node: Node, rank: int, axis: int) -> int:
    """An axis in front of an Unsqueeze or Squeeze of a value with ``rank`` axes."""
    slot = program.stored.get(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = slot.array().reshape(-1).tolist() if slot is not None else node.get("axes", [])
    grows = node.op == "Unsqueeze"
    wide = rank + len(axes) if grows else rank
    ones = {int(item) % wide for item in axes}
    others = [item for item in range(wide) if item not in ones]
    if grows:
        place = wide + axis
        return others.index(place) - rank if place in others else axis
    return others[axis] - rank if -axis <= len(others) else axis
