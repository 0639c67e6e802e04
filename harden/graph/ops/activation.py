"""Activation functions."""

from __future__ import annotations

import torch
from torch.nn import functional

from harden.graph.ops import MICROSOFT, operator
from harden.graph.program import Node

Tensor = torch.Tensor


@operator("Relu")
def relu(node: Node, x: Tensor) -> Tensor:
    """``max(x, 0)``."""
    return torch.relu(x)


@operator("Sigmoid")
def sigmoid(node: Node, x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``."""
    return torch.sigmoid(x)


@operator("Tanh")
def tanh(node: Node, x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return torch.tanh(x)


@operator("Softplus")
def softplus(node: Node, x: Tensor) -> Tensor:
    """``log(1 + exp(x))``, without torch's linear shortcut for large ``x``."""
    return torch.logaddexp(x, torch.zeros((), dtype=x.dtype, device=x.device))


@operator("Softsign")
def softsign(node: Node, x: Tensor) -> Tensor:
    """``x / (1 + |x|)``."""
    return functional.softsign(x)


@operator("HardSigmoid")
def hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    """``clip(alpha x + beta, 0, 1)``."""
    return torch.clamp(x * node.get("alpha", 0.2) + node.get("beta", 0.5), 0, 1)


@operator("HardSwish")
def hard_swish(node: Node, x: Tensor) -> Tensor:
    """``x clip(x / 6 + 1/2, 0, 1)``."""
    return functional.hardswish(x)


@operator("LeakyRelu")
def leaky_relu(node: Node, x: Tensor) -> Tensor:
    """``x``, or ``alpha x`` below zero."""
    return functional.leaky_relu(x, node.get("alpha", 0.01))


@operator("Elu")
def elu(node: Node, x: Tensor) -> Tensor:
    """``x``, or ``alpha (exp(x) - 1)`` below zero."""
    return functional.elu(x, node.get("alpha", 1.0))


@operator("Celu")
def celu(node: Node, x: Tensor) -> Tensor:
    """``max(0, x) + min(0, alpha (exp(x / alpha) - 1))``."""
    return functional.celu(x, node.get("alpha", 1.0))


@operator("Selu")
def selu(node: Node, x: Tensor) -> Tensor:
    """``gamma x``, or ``gamma alpha (exp(x) - 1)`` below zero."""
    alpha, gamma = node.get("alpha", 1.6732632423543772), node.get("gamma", 1.0507009873554805)
    return gamma * torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0)))


@operator("ThresholdedRelu")
def thresholded_relu(node: Node, x: Tensor) -> Tensor:
    """``x`` above ``alpha``, else 0."""
    return torch.where(x > node.get("alpha", 1.0), x, torch.zeros((), dtype=x.dtype, device=x.device))


@operator("Shrink")
def shrink(node: Node, x: Tensor) -> Tensor:
    """Move towards zero by ``bias``, and to zero within ``lambd``."""
    bias, limit = node.get("bias", 0.0), node.get("lambd", 0.5)
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    return torch.where(x < -limit, x + bias, torch.where(x > limit, x - bias, zero)).to(x.dtype)


@operator("PRelu", learned=(1,))
def prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    """``x``, or ``slope x`` below zero, the slope broadcast to ``x``."""
    return torch.where(x < 0, x * slope, x)


@operator("Gelu")
def gelu(node: Node, x: Tensor) -> Tensor:
    """``x`` times the normal distribution function of ``x``, or its tanh approximation."""
    return functional.gelu(x, approximate=node.get("approximate", "none"))


@operator("Mish")
def mish(node: Node, x: Tensor) -> Tensor:
    """``x tanh(softplus(x))``."""
    return functional.mish(x)


@operator("Swish")
def swish(node: Node, x: Tensor) -> Tensor:
    """``x sigmoid(alpha x)``."""
    return x * torch.sigmoid(node.get("alpha", 1.0) * x)


@operator("Softmax", since=13)
def softmax(node: Node, x: Tensor) -> Tensor:
    """``exp(x)`` normalised along one axis, the last by default."""
    return functional.softmax(x, node.get("axis", -1))


@operator("LogSoftmax", since=13)
def log_softmax(node: Node, x: Tensor) -> Tensor:
    """The logarithm of the softmax along one axis, the last by default."""
    return functional.log_softmax(x, node.get("axis", -1))


@operator("Hardmax", since=13, gradient=False)
def hardmax(node: Node, x: Tensor) -> Tensor:
    """1 at the first maximum along one axis, else 0."""
    return _hardmax(x, node.get("axis", -1))


@operator("Softmax", since=1)
def flat_softmax(node: Node, x: Tensor) -> Tensor:
    """Softmax over all axes from ``axis`` on, taken as one (opsets before 13)."""
    rows = _rows(node, x)
    return functional.softmax(rows, -1).reshape(x.shape)


@operator("LogSoftmax", since=1)
def flat_log_softmax(node: Node, x: Tensor) -> Tensor:
    """Log-softmax over all axes from ``axis`` on, taken as one (opsets before 13)."""
    return functional.log_softmax(_rows(node, x), -1).reshape(x.shape)


@operator("Hardmax", since=1, gradient=False)
def flat_hardmax(node: Node, x: Tensor) -> Tensor:
    """Hardmax over all axes from ``axis`` on, taken as one (opsets before 13)."""
    return _hardmax(_rows(node, x), -1).reshape(x.shape)


@operator("Gelu", domain=MICROSOFT)
def microsoft_gelu(node: Node, x: Tensor) -> Tensor:
    """The exact GELU."""
    return functional.gelu(x)


@operator("FastGelu", domain=MICROSOFT, learned=(1,))
def fast_gelu(node: Node, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """GELU by tanh, after adding a bias."""
    return functional.gelu(x if bias is None else x + bias, approximate="tanh")


@operator("BiasGelu", domain=MICROSOFT, learned=(1,))
def bias_gelu(node: Node, x: Tensor, bias: Tensor) -> Tensor:
    """The exact GELU after adding a bias."""
    return functional.gelu(x + bias)


@operator("QuickGelu", domain=MICROSOFT)
def quick_gelu(node: Node, x: Tensor) -> Tensor:
    """``x sigmoid(alpha x)``, alpha 1.702 by default."""
    return x * torch.sigmoid(node.get("alpha", 1.702) * x)


def _rows(node: Node, x: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    return x.reshape(-1 if axis else 1, x.shape[axis:].numel())


def _hardmax(x: Tensor, axis: int) -> Tensor:
    first = torch.argmax(x, dim=axis, keepdim=True)
    return torch.zeros_like(x).scatter(axis, first, 1)
