"""What each of a network's outputs means, found by following the graph back from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor
from torch.nn import functional

from harden.graph.program import Node, Program
from harden.graph.tensors import FLOATS

if TYPE_CHECKING:
    from harden.graph.file import Model

Meaning = Literal["scores", "log_probabilities", "probabilities", "separate"]
"""``scores``: Softmax makes them probabilities, or, of a single number, Sigmoid does. ``separate``: a probability for
each class that leaves the others out of account, as Sigmoid gives; divided by their sum they are those of one class."""

_TINY = 1e-30
_MOVED = {
    "Identity",
    "Squeeze",
    "Unsqueeze",
    "Reshape",
    "Flatten",
    "Cast",
    "QuantizeLinear",
    "DequantizeLinear",
    "Dropout",
}
# What these give has the meaning of what they read, and is something else than it.
_CHANGED = {"Transpose", "Slice", "Gather", "Split", "Clip", "ReduceMean", "GlobalAveragePool", "Mean"}
_FUNCTIONS: dict[str, Meaning] = {
    "Softmax": "probabilities",
    "LogSoftmax": "log_probabilities",
    "Sigmoid": "separate",
    "HardSigmoid": "separate",
    "QLinearSoftmax": "probabilities",
    "QLinearSigmoid": "separate",
    "Normalizer": "probabilities",
}
_EXACT = ("Softmax", "LogSoftmax", "Sigmoid")  # whose argument says the same, and all of it
_INVERSE: dict[str, tuple[Meaning, Meaning]] = {
    "Exp": ("log_probabilities", "probabilities"),
    "Log": ("probabilities", "log_probabilities"),
}
_POSITIVE = ("Exp", "Sigmoid", "Relu", "Softplus")


@dataclass(frozen=True)
class Head:
    """An output that an input feeds, of floating-point numbers.

    Attributes:
        index: Its place among the model's outputs.
        name: Its name.
        meaning: What its numbers are.
        argument: The value of the graph that the last Softmax or Sigmoid reads, where the output is that function's
            value and no more: training looks there, so that nothing saturates, and a network with its Softmax trains
            to the bit as without. None where there is no such value.
        sigmoid: Whether that function is a Sigmoid.
    """

    index: int
    name: str
    meaning: Meaning = "scores"
    argument: str | None = None
    sigmoid: bool = False

    @property
    def value(self) -> str:
        """The value that training reads."""
        return self.argument or self.name

    def logits(self, value: Tensor) -> Tensor:
        """Numbers [B, C] whose softmax are the probabilities of the classes; a single number makes two classes.

        Args:
            value: What training reads, :attr:`value`: [B, ...].
        """
        z = value.reshape(len(value), -1)
        if self.argument is not None and self.sigmoid and z.shape[1] > 1:
            return functional.logsigmoid(z)
        if self.argument is not None or self.meaning == "scores":
            return z if z.shape[1] > 1 else torch.cat([torch.zeros_like(z), z], 1)
        tiny = torch.finfo(z.dtype).tiny
        if z.shape[1] > 1:
            return z if self.meaning == "log_probabilities" else z.clamp_min(tiny).log()
        p = z.exp() if self.meaning == "log_probabilities" else z
        return torch.cat([1 - p, p], 1).clamp_min(tiny).log()

    def log_probabilities(self, output: np.ndarray) -> np.ndarray:
        """Probabilities of the classes, as log p.

        Args:
            output: What the file gives: [B, ...], C numbers per example, or one for two classes.

        Returns:
            [B, C] float64. A row that is not finite becomes -inf or NaN.

        Example:
            >>> np.exp(Head(0, "y").log_probabilities(np.zeros((1, 2), np.float32))).tolist()
            [[0.5, 0.5]]
        """
        z = output.reshape(len(output), -1).astype(np.float64)
        single = z.shape[1] == 1
        if self.meaning in ("probabilities", "separate") or (single and self.meaning == "log_probabilities"):
            p = np.exp(z) if self.meaning == "log_probabilities" else z
            z = np.log(np.clip(np.concatenate([1 - p, p], axis=1) if single else p, _TINY, 1))
        elif single:
            z = np.concatenate([np.zeros_like(z), z], axis=1)
        z = z - z.max(axis=1, keepdims=True)
        return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def heads(model: Model) -> tuple[Head, ...]:
    """The outputs that can say something of an example: floating-point numbers that an input feeds, in order.

    A number that is the same whatever the input, such as a table of anchors, is none of them.
    """
    program = model.program
    fed = _fed(program)
    walker = _Walker(program)
    declared = {item.name: item.type.tensor_type.elem_type for item in model.proto.graph.output}
    return tuple(
        walker.head(index, value)
        for index, value in enumerate(program.outputs)
        if value in fed and declared[program.names[value]] in (*FLOATS, TensorProto.UNDEFINED)
    )


def _fed(program: Program) -> set[int]:
    """The values that follow from an input."""
    fed = set(program.inputs)
    for node in program.nodes:
        if fed.intersection(node.inputs) or fed.intersection(node.captured):
            fed.update(node.outputs)
    return fed - {0}


class _Walker:
    """Follows values of a program back to the function that gave them their meaning."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._makers = {value: node for node in program.walk() for value in node.outputs if value}
        self._main = {value for node in program.nodes for value in node.outputs}

    def head(self, index: int, output: int) -> Head:
        """The head that an output is."""
        name = self._program.names[output]
        meaning, argument, sigmoid = self._meaning(output)
        if meaning == "scores":
            return Head(index, name)
        if argument is None or (argument not in self._main and argument not in self._program.inputs):
            return Head(index, name, meaning)
        return Head(index, name, meaning, self._program.names[argument], sigmoid)

    def _meaning(self, value: int) -> tuple[Meaning, int | None, bool]:
        """The meaning of a value; the argument of the function that it is, if it is one; whether that is a Sigmoid."""
        node = self._makers.get(value)
        while node is not None and node.op in _MOVED:
            value = node.inputs[0]
            node = self._makers.get(value)
        if node is None:
            return "scores", None, False
        if node.op in _CHANGED:
            return self._meaning(node.inputs[0])[0], None, False
        if node.op in _FUNCTIONS:
            exact = node.op in _EXACT and (node.op == "Sigmoid" or node.get("axis", -1) != 0)
            return _FUNCTIONS[node.op], node.inputs[0] if exact else None, node.op == "Sigmoid"
        if node.op == "If":
            place = node.outputs.index(value)
            meanings: list[Meaning] = [self._meaning(body.outputs[place])[0] for body in node.bodies.values()]
            same = all(meaning == meanings[0] for meaning in meanings)
            return meanings[0] if same else "scores", None, False
        return self._composed(node)

    def _composed(self, node: Node) -> tuple[Meaning, int | None, bool]:
        """The same for functions that are written as several nodes."""
        nothing: tuple[Meaning, None, bool] = ("scores", None, False)
        if node.op in _INVERSE:
            before, after = _INVERSE[node.op]
            meaning, argument, sigmoid = self._meaning(node.inputs[0])
            return (after, argument, sigmoid) if meaning == before and not sigmoid else nothing
        if node.op == "Div":
            shares, total = (self._makers.get(value) for value in node.inputs)
            if total is None or total.op != "ReduceSum" or total.inputs[0] != node.inputs[0] or shares is None:
                return nothing
            if shares.op in _POSITIVE:
                return "probabilities", shares.inputs[0] if shares.op == "Exp" else None, False
        if node.op == "Concat" and len(node.inputs) == 2:
            return self._pair(*node.inputs)
        return nothing

    def _pair(self, first: int, second: int) -> tuple[Meaning, int | None, bool]:
        """1 - p and p side by side, in either order, as scikit-learn's classifiers have it."""
        for rest, p in ((first, second), (second, first)):
            node = self._makers.get(rest)
            if node is not None and node.op == "Sub" and node.inputs[1] == p and self._is_one(node.inputs[0]):
                meaning, argument, _ = self._meaning(p)
                if meaning in ("separate", "probabilities"):
                    return "probabilities", argument if rest == first else None, True
        return "scores", None, False

    def _is_one(self, value: int) -> bool:
        slot = self._program.stored.get(value)
        if slot is not None:
            return slot.size >= 1 and bool((np.asarray(slot.array()) == 1).all())
        node = self._makers.get(value)
        constant = node.get("value") if node is not None and node.op in ("Constant", "ConstantOfShape") else None
        return isinstance(constant, Tensor) and bool((constant == 1).all())
