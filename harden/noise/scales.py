"""What the noise is relative to: the largest weight of the tensor, its column or its tile, or the weight itself."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class AnalogWeightLike(Protocol):
    """A use of a tensor on a crossbar: what a profile needs to know of it."""

    @property
    def tensor(self) -> Tensor:
        """The weights."""
        ...

    @property
    def output_axis(self) -> int:
        """The axis of the outputs, which are the crossbar's columns."""
        ...

    @property
    def groups(self) -> int:
        """How many groups the inputs are split into."""
        ...


def reference_scale(
    weight: Tensor,
    *,
    output_axis: int = 0,
    groups: int = 1,
    reference: str = "tensor",
    tile: tuple[int, int] = (256, 256),
) -> Tensor:
    """max|w| over what the noise is relative to.

    Args:
        weight: A weight of at least one axis.
        output_axis: The axis of the outputs. If it is not the first, the first one is split into ``groups``
        (ConvTranspose). groups: Groups of the convolution.
        reference: ``tensor``, ``column``, ``tile`` or ``cell``.
        tile: Inputs and outputs of a tile; weights are laid out as [outputs, inputs · kernel].

    Returns:
        A tensor that broadcasts to ``weight``; no gradient flows through it.

    Example:
        >>> w = torch.tensor([[1.0, -4.0], [0.5, 0.25]])
        >>> reference_scale(w).item(), reference_scale(w, reference="column").tolist()
        (4.0, [[4.0], [0.5]])
        >>> reference_scale(w, reference="tile", tile=(1, 2)).tolist()
        [[1.0, 4.0], [1.0, 4.0]]
    """
    weight = weight.detach()
    if weight.numel() == 0:
        return weight.new_zeros(())
    if reference == "cell":
        return weight.abs()
    if reference == "tensor" or weight.dim() == 0:
        low, high = torch.aminmax(weight)
        return torch.maximum(-low, high)
    size = weight.abs()
    axis = output_axis % weight.dim()
    if reference == "tile":
        return _tile_scale(size, axis, tile)
    if groups > 1 and axis != 0:
        split = size.unflatten(0, (groups, -1))
        others = [dim for dim in range(split.dim()) if dim not in (0, axis + 1)]
        return split.amax(others, keepdim=True).expand(split.shape).flatten(0, 1)
    others = [dim for dim in range(weight.dim()) if dim != axis]
    return size.amax(others, keepdim=True) if others else size


def _tile_scale(size: Tensor, axis: int, tile: tuple[int, int]) -> Tensor:
    moved = size.movedim(axis, 0)
    matrix = moved.reshape(moved.shape[0], -1)
    outputs, inputs = matrix.shape
    rows, columns = min(tile[0], inputs), min(tile[1], outputs)
    padded = torch.nn.functional.pad(matrix, (0, -inputs % rows, 0, -outputs % columns))
    blocks = padded.unflatten(1, (-1, rows)).unflatten(0, (-1, columns)).amax((1, 3))
    full = blocks.repeat_interleave(columns, 0).repeat_interleave(rows, 1)[:outputs, :inputs]
    return full.reshape(moved.shape).movedim(0, axis)
