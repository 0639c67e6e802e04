"""Quantised weights: tensors of integers that a DequantizeLinear turns into a layer's weights.

The parameter is the weight in real units. On its way into the graph it is rounded to the integers the file can hold,
with gradients that pass straight through; on its way back into the file it is rounded for good.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from harden.graph.ops.quantization import FOUR, FOUR_BITS, RANGES, quantized, spread_over
from harden.graph.program import Node, Program
from harden.graph.tensors import FLOATS, FOUR_BIT, QUANTIZED, to_torch, torch_type

# Of integers these make integers, and the same of floats that hold them.
_CARRIES = frozenset(
    {"Clip", "Concat", "DepthToSpace", "Expand", "Gather", "MaxPool", "Pad", "Slice", "SpaceToDepth", "Split"}
)


@dataclass(frozen=True)
class Quantization:
    """How the integers of one tensor stand for real numbers.

    Attributes:
        node: The DequantizeLinear that says so.
        scale: Its scale.
        zero: Its zero point, if any.
        dtype: The type that torch holds the integers in.
        limits: The smallest and largest of them.
    """

    node: Node
    scale: torch.Tensor
    zero: torch.Tensor | None
    dtype: torch.dtype
    limits: tuple[int, int]

    def real(self, integers: torch.Tensor) -> torch.Tensor:
        """The integers in real units; in double precision where single cannot hold them."""
        wide = integers.to(torch.float64 if self.dtype == torch.int32 else torch.float32)
        if self.zero is not None:
            wide = wide - spread_over(wide, self.zero, self.node).to(wide.dtype)
        return wide * spread_over(wide, self.scale, self.node).to(wide.dtype)

    def integers(self, real: torch.Tensor) -> torch.Tensor:
        """Real numbers as the integers the file can hold, carried as floats; gradients pass straight through."""
        scale = spread_over(real, self.scale, self.node).to(real.device, real.dtype)
        zero = None if self.zero is None else spread_over(real, self.zero, self.node).to(real.device)
        return quantized(real, scale, zero, *self.limits)

    def array(self, real: np.ndarray) -> np.ndarray:
        """Real numbers as an array of the integers the file holds."""
        wide = torch.from_numpy(np.asarray(real, np.float64 if self.dtype == torch.int32 else np.float32, order="C"))
        return self.integers(wide).to(self.dtype).numpy()


def find_quantizations(program: Program) -> dict[int, Quantization]:
    """How each stored tensor of integers is dequantised, by value."""
    quantizations: dict[int, Quantization] = {}
    clashing: set[int] = set()
    for node in program.walk():
        if node.op != "DequantizeLinear" or len(node.inputs) < 2:
            continue
        value, scale = node.inputs[0], program.stored.get(node.inputs[1])
        slot = program.stored.get(value)
        zero_value = node.inputs[2] if len(node.inputs) > 2 else 0
        zero = program.stored.get(zero_value)
        if slot is None or slot.data_type not in QUANTIZED or scale is None or scale.data_type not in FLOATS:
            continue
        if zero_value and zero is None:
            continue
        dtype = torch_type(slot.data_type)
        item = Quantization(
            node,
            to_torch(scale.array()).float(),
            None if zero is None else to_torch(zero.array()),
            dtype,
            (FOUR_BITS if slot.data_type in FOUR_BIT else RANGES)[dtype],
        )
        if value in quantizations and not _same(quantizations[value], item):
            clashing.add(value)
        quantizations.setdefault(value, item)
    return {value: item for value, item in quantizations.items() if value not in clashing}


def _same(a: Quantization, b: Quantization) -> bool:
    zeros = (a.zero is None) == (b.zero is None) and (a.zero is None or b.zero is None or torch.equal(a.zero, b.zero))
    settings = all(a.node.get(name) == b.node.get(name) for name in ("axis", "block_size"))
    return zeros and settings and torch.equal(a.scale, b.scale)


def mark_carried(program: Program) -> None:
    """Mark the QuantizeLinear nodes whose integers only ever reach a DequantizeLinear; those are carried as floats."""
    readers: dict[int, list[tuple[Node, int]]] = {}
    held: set[int] = set(program.outputs)
    for node in program.walk():
        for position, value in enumerate(node.inputs):
            readers.setdefault(value, []).append((node, position))
        held.update(node.captured)
        for body in node.bodies.values():
            held.update(body.outputs)
    for node in program.walk():
        if node.op == "QuantizeLinear":
            zero = program.stored.get(node.inputs[2]) if len(node.inputs) > 2 else None
            node.attributes[FOUR] = zero is not None and zero.data_type in FOUR_BIT
            node.carried = _only_dequantized(node.outputs[0], readers, held)


def _only_dequantized(value: int, readers: dict[int, list[tuple[Node, int]]], held: set[int]) -> bool:
    pending, seen = [value], set()
    while pending:
        current = pending.pop()
        if current in held:
            return False
        if current in seen:
            continue
        seen.add(current)
        for node, position in readers.get(current, ()):
            if node.op == "DequantizeLinear" and position == 0:
                continue
            passes = node.operator is not None and (node.operator.chain or node.op in _CARRIES) and node.op != "Cast"
            if not passes or (position != 0 and node.op != "Concat"):
                return False
            pending.extend(value for value in node.outputs if value)
    return True
