"""Reading and writing by index."""

from __future__ import annotations

import torch

from harden.errors import ModelError
from harden.graph.ops import operator
from harden.graph.ops._help import bounded
from harden.graph.program import Node

Tensor = torch.Tensor


@operator("Gather", learned=(0,), fixed=(1,))
def gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Slices along an axis; negative indices count from the end."""
    axis = node.get("axis", 0) % x.dim()
    places = indices.to(torch.int64)
    places = torch.where(places < 0, places + x.shape[axis], places)
    chosen = x.index_select(axis, places.reshape(-1))
    return chosen.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


@operator("GatherElements", fixed=(1,))
def gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """One element for each index along an axis."""
    axis = node.get("axis", 0) % x.dim()
    return torch.gather(x, axis, _positive(indices, x.shape[axis]))


@operator("GatherND", fixed=(1,))
def gather_nd(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Slices at index tuples, after some batch axes."""
    batch = node.get("batch_dims", 0)
    count = indices.shape[-1]
    lead = x.shape[:batch].numel()
    flat = x.reshape(lead, *x.shape[batch:])
    places = indices.reshape(lead, -1, count).to(torch.int64)
    rows = torch.arange(lead, device=x.device).reshape(-1, 1).expand(lead, places.shape[1])
    index = tuple(_positive(places[..., axis], x.shape[batch + axis]) for axis in range(count))
    return flat[(rows, *index)].reshape(indices.shape[:-1] + x.shape[batch + count :])


@operator("Scatter", "ScatterElements", fixed=(1,))
def scatter_elements(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """A copy with elements along an axis replaced, or combined with what was there."""
    axis = node.get("axis", 0) % x.dim()
    places = _positive(indices, x.shape[axis])
    mode = node.get("reduction", "none")
    if mode == "none":
        return x.scatter(axis, places, updates)
    return x.scatter_reduce(axis, places, updates, _REDUCE[mode], include_self=True)


@operator("ScatterND", fixed=(1,))
def scatter_nd(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """A copy with slices at index tuples replaced, or combined with what was there."""
    count = indices.shape[-1]
    index = tuple(_positive(indices[..., axis], x.shape[axis]) for axis in range(count))
    mode = node.get("reduction", "none")
    if mode == "none":
        return x.index_put(index, updates)
    if mode == "add":
        return x.index_put(index, updates, accumulate=True)
    if mode not in _REDUCE:
        raise ModelError(f"reduction '{mode}' is not known", where=node.label)
    tail = x.shape[count:]
    flat = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=x.device)
    for axis in range(count):
        flat = flat * x.shape[axis] + index[axis]
    rows = x.reshape(-1, tail.numel())
    places = flat.reshape(-1, 1).expand(-1, tail.numel())
    return rows.scatter_reduce(0, places, updates.reshape(-1, tail.numel()), _REDUCE[mode]).reshape(x.shape)


@operator("OneHot", host=(1,), fixed=(0,))
def one_hot(node: Node, indices: Tensor, depth: Tensor, values: Tensor) -> Tensor:
    """``values[1]`` where the index points along a new axis, else ``values[0]``."""
    count = int(depth.item())
    bounded([*indices.shape, count])
    axis = node.get("axis", -1)
    axis = axis + indices.dim() + 1 if axis < 0 else axis
    places = indices.to(torch.int64)
    places = torch.where(places < 0, places + count, places).unsqueeze(axis)
    steps = torch.arange(count, device=indices.device).reshape(
        [-1 if a == axis else 1 for a in range(indices.dim() + 1)]
    )
    return torch.where(places == steps, values[1], values[0])


@operator("NonZero", gradient=False, dynamic=True)
def non_zero(node: Node, x: Tensor) -> Tensor:
    """The indices of all numbers that are not 0, one row an axis."""
    return torch.nonzero(x, as_tuple=False).t() if x.dim() else torch.zeros((0, int(x != 0)), dtype=torch.int64)


@operator("Compress", fixed=(1,), dynamic=True)
def compress(node: Node, x: Tensor, condition: Tensor) -> Tensor:
    """The slices along an axis at which the condition holds."""
    places = torch.nonzero(condition, as_tuple=False).reshape(-1)
    if "axis" not in node.attributes:
        return x.reshape(-1).index_select(0, places)
    return x.index_select(node.get("axis"), places)


@operator("Trilu", host=(1,))
def trilu(node: Node, x: Tensor, k: Tensor | None = None) -> Tensor:
    """The upper or lower triangle of each matrix."""
    diagonal = 0 if k is None else int(k.item())
    return torch.triu(x, diagonal) if node.get("upper", 1) else torch.tril(x, diagonal)


@operator("Unique", gradient=False, dynamic=True)
def unique(node: Node, x: Tensor) -> tuple[Tensor, ...]:
    """The distinct numbers or slices, first indices, the way back, and counts."""
    axis = node.get("axis")
    source = x.reshape(-1) if axis is None else x
    along = 0 if axis is None else axis
    values, inverse, counts = torch.unique(source, sorted=True, return_inverse=True, return_counts=True, dim=along)
    places = torch.arange(inverse.numel(), device=x.device)
    first = torch.full((counts.numel(),), inverse.numel(), dtype=torch.int64, device=x.device)
    first = first.scatter_reduce(0, inverse, places, "amin")
    if not node.get("sorted", 1):
        order = torch.argsort(first)
        back = torch.argsort(order)
        values, first, counts, inverse = values.index_select(along, order), first[order], counts[order], back[inverse]
    return values, first, inverse, counts


_REDUCE = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _positive(indices: Tensor, size: int) -> Tensor:
    places = indices.to(torch.int64)
    return torch.where(places < 0, places + size, places)
