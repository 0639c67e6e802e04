"""How far two right computations of a file may be apart, because they round in another order.

The order of a sum decides on which side of an edge a number falls, and a whole step of the type follows: of half
precision, of the integers behind a QuantizeLinear, or a last bit of single precision that a network under strong noise
may make large. How much that moves the outputs is measured: all weights and inputs are moved by a step's share of their
size, at random, and the outputs may differ by a multiple of what that does to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from onnx import TensorProto

from harden.graph.ops.quantization import FOUR
from harden.graph.program import Node, Program
from harden.graph.tensors import from_torch, to_torch
from harden.streams import generator

Weights = Mapping[str, torch.Tensor]
Run = Callable[[tuple[np.ndarray, ...], Weights], Sequence[np.ndarray]]

_HALF: dict[int, float] = {TensorProto.FLOAT16: 2.0**-11, TensorProto.BFLOAT16: 2.0**-8}
_PASSING = ("MaxPool", "Clip")  # beside what only moves numbers about, what gives numbers of its input only
_DRAWS = 2
_MARGIN = 2


@dataclass(frozen=True)
class Rounding:
    """How coarsely a graph rounds.

    Attributes:
        step: Half a step of its coarsest type, relative to the largest number.
        grids: For each output, the step of the grid that its numbers lie on, 0 for none; empty where none has one.
    """

    step: float = 2.0**-24
    grids: tuple[float, ...] = ()

    @classmethod
    def of(cls, program: Program) -> Rounding:
        """Of a graph: 2^-24 in single precision, 2^-11 for float16, 2^-8 for bfloat16, 2^-(bits + 1) for integers."""
        read = {value: node for node in program.walk() if node.op != "Cast" for value in node.inputs}
        types = {*program.input_types, *(slot.data_type for value, slot in program.stored.items() if value in read)}
        rounded = [node for node in program.walk() if node.inputs and node.inputs[0] not in program.stored]
        types |= {node.get("to") for node in rounded if node.op == "Cast"}
        steps = [cls.step, *(_HALF.get(kind, 0.0) for kind in types)]
        steps += [2.0 ** -(_bits(node, program) + 1) for node in rounded if node.op == "QuantizeLinear"]
        makers = {value: node for node in program.walk() for value in node.outputs if value}
        grids = tuple(_grid(value, program, makers) for value in program.outputs)
        return cls(max(steps), grids if any(grids) else ())

    def allowances(
        self, run: Run, inputs: tuple[np.ndarray, ...], weights: Weights, outputs: Sequence[np.ndarray]
    ) -> list[float]:
        """How far each output may be off, in its own units.

        Args:
            run: Computes the outputs from inputs and the weights on crossbars by key.
            inputs: One array per input.
            weights: The weights on crossbars by key.
            outputs: What they give.
        """
        allowed = list(self.grids or [0.0] * len(outputs))
        for draw in range(_DRAWS):
            moved = run(
                tuple(
                    from_torch(self._moved(to_torch(x), draw, str(at))).astype(x.dtype) for at, x in enumerate(inputs)
                ),
                {key: self._moved(weight, draw, key) for key, weight in weights.items()},
            )
            for index, (a, b) in enumerate(zip(outputs, moved, strict=True)):
                gap = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))
                largest = float(gap[np.isfinite(gap)].max(initial=0))
                allowed[index] = max(allowed[index], _MARGIN * largest)
        return allowed

    def _moved(self, tensor: torch.Tensor, draw: int, name: str) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor
        noise = torch.empty(tensor.shape).normal_(0, self.step, generator=generator(draw, "rounding", name))
        return (tensor * (1 + noise)).to(tensor.dtype)


def _bits(node: Node, program: Program) -> int:
    """Of the integers that a QuantizeLinear makes."""
    zero = program.stored.get(node.inputs[2]) if len(node.inputs) > 2 else None
    kind = zero.data_type if zero is not None else node.get("output_dtype", 0)
    wide = kind in (TensorProto.INT16, TensorProto.UINT16)
    return 4 if node.get(FOUR) else 16 if wide else 8


def _grid(value: int, program: Program, makers: Mapping[int, Node]) -> float:
    """The step of the numbers of an output that comes from a QuantizeLinear or DequantizeLinear."""
    node = makers.get(value)
    while node is not None and node.operator is not None and (node.operator.chain or node.op in _PASSING):
        node = makers.get(node.inputs[0])
    if node is None or node.op not in ("QuantizeLinear", "DequantizeLinear"):
        return 0.0
    scale = program.stored.get(node.inputs[1])
    if node.op == "QuantizeLinear" or scale is None:
        return 1.0 if node.op == "QuantizeLinear" else 0.0
    return float(np.abs(np.asarray(scale.array(), np.float64)).max())
