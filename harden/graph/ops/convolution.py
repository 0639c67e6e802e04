"""Convolutions."""

from __future__ import annotations

import torch
from torch.nn import functional

from harden.errors import ModelError
from harden.graph.ops import operator
from harden.graph.ops._help import bounded, is_symmetric, torch_padding, window_padding
from harden.graph.program import Node

Tensor = torch.Tensor
_CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


@operator("Conv", learned=(1, 2), analog=(1,))
def conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolution of one to three spatial axes with weights [outputs, inputs / groups, ...]."""
    rank = _rank(weight)
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    pads = window_padding(node, x.shape[2:], weight.shape[2:], strides, dilations)
    if not is_symmetric(pads):
        x, pads = functional.pad(x, torch_padding(pads)), [0] * (2 * rank)
    return _CONV[rank](x, weight, bias, strides, pads[:rank], dilations, node.get("group", 1))


@operator("ConvTranspose", learned=(1, 2), analog=(1,))
def conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Transposed convolution with weights [inputs, outputs / groups, ...]."""
    rank = _rank(weight)
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    extra = list(node.get("output_padding", [0] * rank))
    pads = _transposed_padding(node, x, weight, strides, dilations, extra)
    groups = node.get("group", 1)
    sizes = zip(strides, x.shape[2:], dilations, weight.shape[2:], strict=True)
    spans = [stride * (size - 1) + dilation * (width - 1) + 1 for stride, size, dilation, width in sizes]
    bounded([x.shape[0], weight.shape[1] * groups, *spans], x.numel())
    if is_symmetric(pads) and all(more < max(s, d) for more, s, d in zip(extra, strides, dilations, strict=True)):
        return _TRANSPOSED[rank](x, weight, bias, strides, pads[:rank], extra, groups, dilations)
    full = _TRANSPOSED[rank](x, weight, None, strides, [0] * rank, [0] * rank, groups, dilations)
    crop = [-pad for pad in pads]
    for axis in range(rank):
        crop[rank + axis] += extra[axis]
    result = functional.pad(full, torch_padding(crop))
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)


def _transposed_padding(
    node: Node, x: Tensor, weight: Tensor, strides: list[int], dilations: list[int], extra: list[int]
) -> list[int]:
    """The pads of a transposed convolution; an ``output_shape`` decides them if there is one."""
    rank = len(strides)
    mode = node.get("auto_pad", "NOTSET")
    wanted = node.get("output_shape")
    if wanted is None and mode not in ("SAME_UPPER", "SAME_LOWER"):
        return [0] * (2 * rank) if mode == "VALID" else list(node.get("pads", [0] * (2 * rank)))
    starts, ends = [], []
    for axis in range(rank):
        size = x.shape[2 + axis]
        full = strides[axis] * (size - 1) + extra[axis] + (weight.shape[2 + axis] - 1) * dilations[axis] + 1
        target = wanted[-rank + axis] if wanted is not None else size * strides[axis]
        total = full - target if wanted is not None else max(full - target, 0)
        small = total // 2
        first = total - small if mode != "SAME_UPPER" else small
        starts.append(first)
        ends.append(total - first)
    return starts + ends


def _rank(weight: Tensor) -> int:
    rank = weight.dim() - 2
    if rank not in _CONV:
        raise ModelError(f"convolutions over {rank} axes are not supported")
    return rank
