"""What several families need: inputs read as numbers, padding, and limits on what constants may ask for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from harden.errors import ModelError
from harden.graph.program import Node
from harden.graph.tensors import LARGEST, elements


def ints(tensor: torch.Tensor | None) -> list[int]:
    """A tensor's numbers as plain integers; an absent tensor has none."""
    return [] if tensor is None else [int(number) for number in tensor.reshape(-1).tolist()]


def axes_of(node: Node, given: torch.Tensor | None, rank: int) -> list[int]:
    """The axes that an input or, in older opsets, an attribute names; counted from the front."""
    axes = ints(given) if given is not None else list(node.get("axes", ()))
    return [axis % rank if rank else 0 for axis in axes]


def bounded(shape: Sequence[int], source: int = 0) -> list[int]:
    """The shape, if a tensor of it may be made.

    Args:
        shape: What is asked for.
        source: The number of elements it is made from; more than a thousand times as many is not sensible.

    Raises:
        ModelError: It has a negative size, or more elements than any sensible graph needs.
    """
    if any(size < 0 for size in shape):
        raise ModelError(f"a tensor of shape {list(shape)} is asked for")
    if elements(shape) > max(LARGEST, 1000 * source):
        raise ModelError(f"a tensor of shape {list(shape)} is asked for, which is beyond any sensible size")
    return list(shape)


def torch_padding(pads: Sequence[int]) -> list[int]:
    """ONNX pads (all starts, then all ends) in torch's order (last axis first, start and end together)."""
    rank = len(pads) // 2
    return [pads[side * rank + axis] for axis in reversed(range(rank)) for side in (0, 1)]


def window_padding(
    node: Node, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """The pads of a convolution or pooling: the attribute, or what ``auto_pad`` comes to for these sizes."""
    mode = node.get("auto_pad", "NOTSET")
    rank = len(kernel)
    if min((*strides, *dilations, *kernel), default=1) < 1:
        raise ModelError("kernel, strides and dilations must be positive")
    if mode == "VALID":
        return [0] * (2 * rank)
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        pads = list(node.get("pads", [0] * (2 * rank)))
        bounded([size + pads[axis] + pads[rank + axis] for axis, size in enumerate(sizes)])
        return pads
    starts, ends = [], []
    for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + (width - 1) * dilation + 1 - size, 0)
        small, large = total // 2, total - total // 2
        starts.append(small if mode == "SAME_UPPER" else large)
        ends.append(large if mode == "SAME_UPPER" else small)
    return starts + ends


def is_symmetric(pads: Sequence[int]) -> bool:
    """Whether every axis is padded as much at its start as at its end, and nowhere cropped."""
    rank = len(pads) // 2
    return list(pads[:rank]) == list(pads[rank:]) and all(pad >= 0 for pad in pads)
