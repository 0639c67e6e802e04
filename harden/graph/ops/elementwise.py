"""Arithmetic, comparisons and logic, element by element with broadcasting."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from harden.graph.ops import operator
from harden.graph.program import Node

Tensor = torch.Tensor


def _plain(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda node, *inputs: function(*inputs)


for _name, _function in {
    "Abs": torch.abs,
    "Neg": torch.neg,
    "Reciprocal": torch.reciprocal,
    "Sqrt": torch.sqrt,
    "Exp": torch.exp,
    "Log": torch.log,
    "Erf": torch.erf,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Tan": torch.tan,
    "Asin": torch.asin,
    "Acos": torch.acos,
    "Atan": torch.atan,
    "Sinh": torch.sinh,
    "Cosh": torch.cosh,
    "Asinh": torch.asinh,
    "Acosh": torch.acosh,
    "Atanh": torch.atanh,
}.items():
    operator(_name)(_plain(_function))

for _name, _function in {
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Round": torch.round,
    "Sign": torch.sign,
    "Not": torch.logical_not,
    "And": torch.logical_and,
    "Or": torch.logical_or,
    "Xor": torch.logical_xor,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "Less": torch.lt,
    "GreaterOrEqual": torch.ge,
    "LessOrEqual": torch.le,
    "IsNaN": torch.isnan,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "BitwiseNot": torch.bitwise_not,
}.items():
    operator(_name, gradient=False)(_plain(_function))


@operator("Add")
def add(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """``a + b``."""
    return torch.add(*_aligned(node, a, b))


@operator("Sub")
def sub(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """``a - b``."""
    return torch.sub(*_aligned(node, a, b))


@operator("Mul")
def mul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """``a * b``."""
    return torch.mul(*_aligned(node, a, b))


@operator("Div")
def div(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """``a / b``; integers are rounded towards zero."""
    return torch.div(*_aligned(node, a, b), rounding_mode=None if a.is_floating_point() else "trunc")


@operator("Pow")
def power(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """``a ** b``, in the type of ``a``."""
    if not a.is_floating_point() and b.is_floating_point():
        return torch.pow(a.double(), b).to(a.dtype)
    return torch.pow(a, b).to(a.dtype)


@operator("Mod", gradient=True)
def modulo(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """The remainder: of the sign of ``b``, or of ``a`` with ``fmod=1``."""
    return torch.fmod(a, b) if node.get("fmod", 0) else torch.remainder(a, b)


@operator("BitShift", gradient=False)
def bit_shift(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Shift the bits of unsigned integers."""
    wide_a, wide_b = a.to(torch.int64), b.to(torch.int64)
    shifted = wide_a << wide_b if node.get("direction") == "LEFT" else wide_a >> wide_b
    return shifted.to(a.dtype)


@operator("Where", fixed=(0,))
def where(node: Node, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a`` where the condition holds, else ``b``."""
    return torch.where(condition, a, b)


@operator("Max")
def maximum(node: Node, *inputs: Tensor) -> Tensor:
    """The largest of all inputs."""
    return functools.reduce(torch.maximum, inputs)


@operator("Min")
def minimum(node: Node, *inputs: Tensor) -> Tensor:
    """The smallest of all inputs."""
    return functools.reduce(torch.minimum, inputs)


@operator("Sum")
def total(node: Node, *inputs: Tensor) -> Tensor:
    """The sum of all inputs."""
    return functools.reduce(torch.add, inputs)


@operator("Mean")
def mean(node: Node, *inputs: Tensor) -> Tensor:
    """The mean of all inputs."""
    return functools.reduce(torch.add, inputs) / len(inputs)


@operator("IsInf", gradient=False)
def is_inf(node: Node, x: Tensor) -> Tensor:
    """Where the input is infinite, of the signs asked for."""
    above = torch.isposinf(x) if node.get("detect_positive", 1) else torch.zeros_like(x, dtype=torch.bool)
    below = torch.isneginf(x) if node.get("detect_negative", 1) else torch.zeros_like(x, dtype=torch.bool)
    return above | below


@operator("Clip", since=1)
def clip_by_attribute(node: Node, x: Tensor) -> Tensor:
    """Clamp to bounds given as attributes (opsets before 11)."""
    return _clamped(x, node.get("min"), node.get("max"))


@operator("Clip", since=11, host=(1, 2))
def clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Clamp to bounds given as inputs; the upper bound wins where they cross."""
    return _clamped(x, None if low is None else low.item(), None if high is None else high.item())


def _clamped(x: Tensor, low: float | None, high: float | None) -> Tensor:
    return x if low is None and high is None else torch.clamp(x, low, high)


def _aligned(node: Node, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Before opset 7 the second operand was lined up with the first by an axis."""
    if node.version >= 7 or "axis" not in node.attributes or b.dim() == 0:
        return a, b
    axis = node.get("axis") % a.dim()
    return a, b.reshape(b.shape + (1,) * (a.dim() - axis - b.dim()))
