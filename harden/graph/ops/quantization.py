"""Quantised values, with gradients that pass straight through the rounding."""

from __future__ import annotations

import torch

from harden.errors import ModelError
from harden.graph.ops import operator
from harden.graph.program import Node
from harden.graph.tensors import torch_type

Tensor = torch.Tensor
RANGES = {
    torch.int8: (-128, 127),
    torch.uint8: (0, 255),
    torch.int16: (-32768, 32767),
    torch.uint16: (0, 65535),
    torch.int32: (-(2**31), 2**31 - 1),
}
FOUR_BITS = {torch.int8: (-8, 7), torch.uint8: (0, 15)}
FOUR = "four_bits"
"""Set on a QuantizeLinear whose zero point has four bits; torch holds those in eight."""


@operator("QuantizeLinear", fixed=(1, 2))
def quantize_linear(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """``saturate(round(x / scale) + zero)``, rounding halves to even.

    Between a QuantizeLinear and its DequantizeLinear the integers are carried as floats, so that gradients pass.
    """
    dtype = zero.dtype if zero is not None else torch_type(node.get("output_dtype", 0) or 2, node.label)
    if dtype not in RANGES:
        raise ModelError(f"quantisation to {dtype} is not supported", where=node.label)
    low, high = FOUR_BITS[dtype] if node.get(FOUR) else RANGES[dtype]
    spread = spread_over(x, scale, node)
    shift = None if zero is None else spread_over(x, zero, node)
    result = quantized(x, spread, shift, low, high)
    return result if node.carried else result.to(dtype)


@operator("DequantizeLinear", fixed=(1, 2))
def dequantize_linear(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """``(x - zero) * scale``."""
    real = (
        x
        if x.is_floating_point() and x.dtype.itemsize > 1
        else x.to(torch.float64 if x.dtype == torch.int32 else torch.float32)
    )
    if zero is not None:
        real = real - spread_over(x, zero, node).to(real.dtype)
    return (real * spread_over(x, scale, node)).to(scale.dtype)


def quantized(x: Tensor, scale: Tensor, zero: Tensor | None, low: int, high: int) -> Tensor:
    """Integers as floats; gradients are those of the clamp alone."""
    ratio = x / scale
    rounded = ratio + (torch.round(ratio) - ratio).detach()
    # What float arithmetic leaves beside the integer after adding and subtracting goes, too.
    rounded = rounded + (torch.round(rounded) - rounded).detach()
    shifted = rounded if zero is None else rounded + zero.to(rounded.dtype)
    return shifted.clamp(low, high)


def spread_over(x: Tensor, scale: Tensor, node: Node) -> Tensor:
    """A scale or zero point, broadcast to what it belongs to: the tensor, slices of an axis, or blocks of it."""
    if scale.dim() == 0 or scale.numel() == 1:
        return scale.reshape(())
    axis = node.get("axis", 1) % x.dim()
    block = node.get("block_size", 0)
    if block:
        return scale.repeat_interleave(block, axis).narrow(axis, 0, x.shape[axis])
    return scale.reshape([-1 if position == axis else 1 for position in range(x.dim())])
