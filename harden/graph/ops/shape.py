"""Shapes: asking for them and changing them."""

from __future__ import annotations

import torch
from onnx import TensorProto
from torch.nn import functional

from harden.errors import ModelError
from harden.graph.ops import operator
from harden.graph.ops._help import axes_of, bounded, ints, torch_padding
from harden.graph.program import Node
from harden.graph.tensors import TORCH_TYPES, torch_type, type_name

Tensor = torch.Tensor
_NARROW = {TensorProto.INT4, TensorProto.UINT4} | {
    kind for kind, dtype in TORCH_TYPES.items() if dtype.is_floating_point and dtype.itemsize == 1
}


@operator("Identity", chain=True)
def identity(node: Node, x: Tensor) -> Tensor:
    """The input."""
    return x


@operator("Dropout", chain=True, host=(1, 2), since=12)
def dropout(node: Node, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None) -> Tensor | tuple:
    """The identity, as in any file made for inference.

    Raises:
        ModelError: The file asks for random zeros.
    """
    if training is not None and bool(training.item()) and (ratio is None or float(ratio.item()) > 0):
        raise ModelError("Dropout in training mode draws random numbers", where=node.label, fix="Export for inference")
    return (x, torch.ones_like(x, dtype=torch.bool)) if len(node.outputs) > 1 else x


@operator("Dropout", chain=True)
def old_dropout(node: Node, x: Tensor) -> Tensor | tuple:
    """The identity (opsets before 12)."""
    return (x, torch.ones_like(x, dtype=torch.bool)) if len(node.outputs) > 1 else x


@operator("Cast", chain=True)
def cast(node: Node, x: Tensor) -> Tensor:
    """The input in another type; torch rounds to four-bit integers and eight-bit floats otherwise, so not to those."""
    if node.get("to") in _NARROW:
        raise ModelError(f"Cast to {type_name(node.get('to'))} is not supported", where=node.label)
    return x.to(torch_type(node.get("to"), node.label))


@operator("CastLike", chain=True, fixed=(1,))
def cast_like(node: Node, x: Tensor, like: Tensor) -> Tensor:
    """The first input in the type of the second, as far as Cast goes."""
    if like.is_floating_point() and like.dtype.itemsize == 1:
        raise ModelError(f"CastLike to {like.dtype} is not supported", where=node.label)
    return x.to(like.dtype)


@operator("Shape", gradient=False, shape_only=True)
def shape(node: Node, x: Tensor) -> Tensor:
    """The input's shape, or the part from ``start`` to ``end``."""
    return torch.tensor(list(x.shape)[slice(node.get("start", 0), node.get("end"))], dtype=torch.int64)


@operator("Size", gradient=False, shape_only=True)
def size(node: Node, x: Tensor) -> Tensor:
    """The number of elements."""
    return torch.tensor(x.numel(), dtype=torch.int64)


@operator("Reshape", chain=True)
def reshape_by_attribute(node: Node, x: Tensor) -> Tensor:
    """The input in the shape of an attribute (opsets before 5)."""
    return _reshaped(x, node.get("shape"), False)


@operator("Reshape", since=5, chain=True, host=(1,))
def reshape(node: Node, x: Tensor, wanted: Tensor) -> Tensor:
    """The input in another shape; 0 copies a size, -1 takes what is left."""
    return _reshaped(x, ints(wanted), bool(node.get("allowzero", 0)))


def _reshaped(x: Tensor, wanted: list[int], keep_zero: bool) -> Tensor:
    return x.reshape([x.shape[i] if size == 0 and not keep_zero else size for i, size in enumerate(wanted)])


@operator("Flatten", chain=True)
def flatten(node: Node, x: Tensor) -> Tensor:
    """A matrix: the axes before ``axis`` by those from it on."""
    axis = node.get("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    return x.reshape(x.shape[:axis].numel(), x.shape[axis:].numel())


@operator("Transpose", chain=True)
def transpose(node: Node, x: Tensor) -> Tensor:
    """The axes in another order, reversed by default."""
    return x.permute(node.get("perm", list(reversed(range(x.dim())))))


@operator("Unsqueeze", chain=True, host=(1,))
def unsqueeze(node: Node, x: Tensor, given: Tensor | None = None) -> Tensor:
    """New axes of size 1."""
    axes = ints(given) if given is not None else list(node.get("axes"))
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@operator("Squeeze", chain=True, host=(1,))
def squeeze(node: Node, x: Tensor, given: Tensor | None = None) -> Tensor:
    """Without the named axes of size 1, or without any."""
    if given is None and "axes" not in node.attributes:
        return x.squeeze()
    axes = axes_of(node, given, x.dim())
    if any(x.shape[axis] != 1 for axis in axes):
        raise ModelError(f"axes {axes} of shape {list(x.shape)} cannot be squeezed", where=node.label)
    return x.squeeze(tuple(axes))


@operator("Concat")
def concat(node: Node, *inputs: Tensor) -> Tensor:
    """All inputs one after another along an axis."""
    return torch.cat(inputs, node.get("axis", 1))


@operator("Split", host=(1,))
def split(node: Node, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, ...]:
    """Parts of the given sizes along an axis, or equal ones (a smaller last one where they cannot be)."""
    axis = node.get("axis", 0)
    sizes = ints(given) if given is not None else node.get("split")
    return torch.split(x, sizes if sizes else -(-x.shape[axis] // len(node.outputs)), axis)


@operator("Slice")
def slice_by_attribute(node: Node, x: Tensor) -> Tensor:
    """A part of the input, by attributes (opsets before 10)."""
    starts, ends = node.get("starts"), node.get("ends")
    return _sliced(x, starts, ends, node.get("axes", range(len(starts))), [1] * len(starts))


@operator("Slice", since=10, host=(1, 2, 3, 4))
def slice_(
    node: Node, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    """A part of the input; ends beyond it are cut, negative steps run backwards."""
    first = ints(starts)
    along = list(range(len(first))) if axes is None else ints(axes)
    return _sliced(x, first, ints(ends), along, [1] * len(first) if steps is None else ints(steps))


def _sliced(x: Tensor, starts: list[int], ends: list[int], axes: list[int] | range, steps: list[int]) -> Tensor:
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        along, size = axis % x.dim(), x.shape[axis]
        start = start + size if start < 0 else start
        end = end + size if end < 0 else end
        if step > 0:
            first = min(max(start, 0), size)
            chosen = slice(first, max(min(max(end, 0), size), first), step)
            x = x[(slice(None),) * along + (chosen,)]
        else:
            places = range(min(max(start, -1), size - 1), min(max(end, -1), size - 1), step)
            x = x.index_select(along, torch.tensor(list(places), dtype=torch.int64, device=x.device))
    return x


@operator("Expand", host=(1,))
def expand(node: Node, x: Tensor, wanted: Tensor) -> Tensor:
    """Broadcast to a shape, both ways."""
    return x.expand(bounded(torch.broadcast_shapes(x.shape, tuple(ints(wanted))), x.numel()))


@operator("Tile", host=(1,))
def tile(node: Node, x: Tensor, repeats: Tensor) -> Tensor:
    """The input repeated along each axis."""
    times = ints(repeats)
    bounded([size * count for size, count in zip(x.shape, times, strict=True)], x.numel())
    return x.repeat(times)


@operator("Pad")
def pad_by_attribute(node: Node, x: Tensor) -> Tensor:
    """Pad by attributes (opsets before 11)."""
    return _padded(node, x, list(node.get("pads", node.get("paddings", []))), float(node.get("value", 0.0)))


@operator("Pad", since=11, host=(1, 2, 3))
def pad(node: Node, x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
    """Pad with a constant, the edge, a reflection or around; negative pads crop."""
    sizes = ints(pads)
    if axes is not None:
        along = [axis % x.dim() for axis in ints(axes)]
        full = [0] * (2 * x.dim())
        for position, axis in enumerate(along):
            full[axis], full[x.dim() + axis] = sizes[position], sizes[len(along) + position]
        sizes = full
    return _padded(node, x, sizes, 0.0 if value is None or value.numel() == 0 else value.item())


def _padded(node: Node, x: Tensor, pads: list[int], value: float) -> Tensor:
    mode = node.get("mode", "constant")
    rank = x.dim()
    bounded([size + pads[axis] + pads[rank + axis] for axis, size in enumerate(x.shape)], x.numel())
    if mode == "constant":
        return functional.pad(x, torch_padding(pads), value=value)
    # Every other mode is a choice of indices along each axis.
    for axis in range(rank):
        before, after = pads[axis], pads[rank + axis]
        if before or after:
            places = torch.arange(-before, x.shape[axis] + after, device=x.device)
            x = x.index_select(axis, _reflected(places, x.shape[axis], mode))
    return x


def _reflected(places: Tensor, size: int, mode: str) -> Tensor:
    if mode == "edge":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places % size
    if mode != "reflect":
        raise ModelError(f"padding mode '{mode}' is not known")
    if size == 1:
        return torch.zeros_like(places)
    period = 2 * (size - 1)
    folded = places % period
    return torch.where(folded < size, folded, period - folded)


@operator("DepthToSpace")
def depth_to_space(node: Node, x: Tensor) -> Tensor:
    """Move blocks of channels into space."""
    block = node.get("blocksize")
    n, c, h, w = x.shape
    if node.get("mode", "DCR") == "DCR":
        parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(n, c // block**2, block, block, h, w).permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(n, c // block**2, h * block, w * block)


@operator("SpaceToDepth")
def space_to_depth(node: Node, x: Tensor) -> Tensor:
    """Move blocks of space into channels."""
    block = node.get("blocksize")
    n, c, h, w = x.shape
    order = (0, 3, 5, 1, 2, 4) if node.get("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    parts = x.reshape(n, c, h // block, block, w // block, block).permute(order)
    return parts.reshape(n, c * block**2, h // block, w // block)


@operator("ReverseSequence", fixed=(1,))
def reverse_sequence(node: Node, x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first entries of each sequence."""
    time, batch = node.get("time_axis", 0), node.get("batch_axis", 1)
    steps = torch.arange(x.shape[time], device=x.device)
    ends = lengths.reshape(-1, 1).to(x.device)
    places = torch.where(steps < ends, ends - 1 - steps, steps)
    places = places if batch < time else places.t()
    view = [x.shape[axis] if axis in (time, batch) else 1 for axis in range(x.dim())]
    return torch.gather(x, time, places.reshape(view).expand(x.shape))
