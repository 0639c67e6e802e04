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


def extremes(
    weight: Tensor,
    *,
    output_axis: int = 0,
    groups: int = 1,
    reference: str = "tensor",
    tile: tuple[int, int] = (256, 256),
) -> tuple[Tensor, Tensor]:
    """The smallest and the largest weight around each weight.

    Args:
        weight: The weights.
        output_axis: The axis of the outputs. If it is not the first, the first one is split into ``groups``
            (ConvTranspose).
        groups: Groups of the convolution.
        reference: Around means in the ``tensor``, ``column`` or ``tile``; or ``cell``: -|w| and |w|.
        tile: Inputs and outputs of a tile; weights are laid out as [outputs, inputs · kernel].

    Returns:
        Two tensors that broadcast to ``weight``; no gradient flows through them.

    Example:
        >>> w = torch.tensor([[1.0, -4.0], [0.5, 0.25]])
        >>> [end.item() for end in extremes(w)], [end.tolist() for end in extremes(w, reference="column")]
        ([-4.0, 1.0], [[[-4.0], [0.25]], [[1.0], [0.5]]])
        >>> extremes(w, reference="tile", tile=(1, 2))[1].tolist()
        [[1.0, 0.25], [1.0, 0.25]]
    """
    weight = weight.detach()
    if weight.numel() == 0:
        return weight.new_zeros(()), weight.new_zeros(())
    if reference == "cell":
        size = weight.abs()
        return -size, size
    if reference == "tensor" or weight.dim() == 0:
        low, high = torch.aminmax(weight)
        return low, high
    axis = output_axis % weight.dim()
    if reference == "tile":
        return -_tile_maximum(-weight, axis, tile), _tile_maximum(weight, axis, tile)
    if groups > 1 and axis != 0:
        split = torch.unflatten(weight, 0, (groups, -1))
        others = [dim for dim in range(split.dim()) if dim not in (0, axis + 1)]
        low, high = split.amin(others, keepdim=True), split.amax(others, keepdim=True)
        return low.expand(split.shape).flatten(0, 1), high.expand(split.shape).flatten(0, 1)
    others = [dim for dim in range(weight.dim()) if dim != axis]
    return (weight.amin(others, keepdim=True), weight.amax(others, keepdim=True)) if others else (weight, weight)


def largest(ends: tuple[Tensor, Tensor]) -> Tensor:
    """max|w| from the smallest and the largest weight.

    Example:
        >>> largest((torch.tensor(-4.0), torch.tensor(1.0))).item()
        4.0
    """
    return torch.maximum(-ends[0], ends[1])


def _tile_maximum(weight: Tensor, axis: int, tile: tuple[int, int]) -> Tensor:
    moved = weight.movedim(axis, 0)
    matrix = moved.reshape(moved.shape[0], -1)
    outputs, inputs = matrix.shape
    rows, columns = min(tile[0], inputs), min(tile[1], outputs)
    padded = torch.nn.functional.pad(matrix, (0, -inputs % rows, 0, -outputs % columns), value=-torch.inf)
    blocks = torch.unflatten(torch.unflatten(padded, 1, (-1, rows)), 0, (-1, columns)).amax((1, 3))
    full = blocks.repeat_interleave(columns, 0).repeat_interleave(rows, 1)[:outputs, :inputs]
    return full.reshape(moved.shape).movedim(0, axis)
