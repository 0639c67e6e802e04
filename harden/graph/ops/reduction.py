"""Reductions, searches for extremes, and cumulative sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from harden.graph.ops import operator
from harden.graph.ops._help import axes_of
from harden.graph.program import Node

Tensor = torch.Tensor
Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _product(x: Tensor, axes: Sequence[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, axis, keepdim=True)
    return x if keep else x.squeeze(tuple(axes))


def _same_type(function: Reduction) -> Reduction:
    """Sums and means in the input's own type, as ONNX has it; torch widens integers."""
    return lambda x, axes, keep: function(x, axes, keep).to(x.dtype)


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.mean(axes, keep) if x.is_floating_point() else x.double().mean(axes, keep)


def _extreme(function: Callable[..., Tensor], empty: float) -> Reduction:
    def reduce(x: Tensor, axes: list[int], keep: bool) -> Tensor:
        if all(x.shape[axis] for axis in axes):
            if x.dtype == torch.bool:
                return function(x.to(torch.uint8), axes, keep).bool()
            return function(x, axes, keep)
        shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        value = empty > 0 if x.dtype == torch.bool else empty
        full = torch.full(shape, value, dtype=x.dtype, device=x.device)
        return full if keep else full.squeeze(tuple(axes))

    return reduce


def _norm(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if not x.is_floating_point():
        return x.double().square().sum(axes, keep).sqrt()
    return torch.linalg.vector_norm(x, 2, axes, keep)


_REDUCTIONS: dict[str, Reduction] = {
    "ReduceSum": _same_type(lambda x, axes, keep: x.sum(axes, keep)),
    "ReduceMean": _same_type(_mean),
    "ReduceProd": _same_type(_product),
    "ReduceMax": _extreme(torch.amax, float("-inf")),
    "ReduceMin": _extreme(torch.amin, float("inf")),
    "ReduceL1": _same_type(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": _same_type(_norm),
    "ReduceSumSquare": _same_type(lambda x, axes, keep: x.square().sum(axes, keep)),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, axes, keep),
}


def _reducer(function: Reduction) -> Callable[..., Tensor]:
    def reduce(node: Node, x: Tensor, given: Tensor | None = None) -> Tensor:
        axes = axes_of(node, given, x.dim())
        if not axes:
            if node.get("noop_with_empty_axes", 0):
                return _unreduced(node.op, x)
            axes = list(range(x.dim()))
        return function(x, axes, bool(node.get("keepdims", 1))) if x.dim() else _unreduced(node.op, x)

    return reduce


def _unreduced(name: str, x: Tensor) -> Tensor:
    """What a reduction over no axes leaves: the element-wise part."""
    if name in ("ReduceL1", "ReduceL2"):
        return x.abs()
    if name == "ReduceSumSquare":
        return x.square()
    return x.log() if name == "ReduceLogSum" else x


for _name, _function in _REDUCTIONS.items():
    operator(_name, host=(1,))(_reducer(_function))


@operator("ArgMax", gradient=False)
def arg_max(node: Node, x: Tensor) -> Tensor:
    """Where the largest number is along an axis."""
    return _argument(node, x, torch.argmax)


@operator("ArgMin", gradient=False)
def arg_min(node: Node, x: Tensor) -> Tensor:
    """Where the smallest number is along an axis."""
    return _argument(node, x, torch.argmin)


def _argument(node: Node, x: Tensor, function: Callable[..., Tensor]) -> Tensor:
    axis, keep = node.get("axis", 0), bool(node.get("keepdims", 1))
    if not node.get("select_last_index", 0):
        return function(x, dim=axis, keepdim=keep)
    return x.shape[axis] - 1 - function(x.flip(axis), dim=axis, keepdim=keep)


@operator("CumSum", host=(1,))
def cumulative_sum(node: Node, x: Tensor, axis: Tensor) -> Tensor:
    """Running sums along an axis, with or without the element itself, from either end."""
    along = int(axis.item())
    backward = bool(node.get("reverse", 0))
    source = x.flip(along) if backward else x
    result = source.cumsum(along).to(x.dtype)
    if node.get("exclusive", 0):
        result = result - source
    return result.flip(along) if backward else result


@operator("CumProd", host=(1,))
def cumulative_product(node: Node, x: Tensor, axis: Tensor) -> Tensor:
    """Running products along an axis, with or without the element itself, from either end."""
    along = int(axis.item())
    backward = bool(node.get("reverse", 0))
    source = x.flip(along) if backward else x
    if node.get("exclusive", 0):
        ones = torch.ones_like(source.narrow(along, 0, 1))
        source = torch.cat([ones, source.narrow(along, 0, source.shape[along] - 1)], along)
    result = source.cumprod(along).to(x.dtype)
    return result.flip(along) if backward else result


@operator("TopK", since=1)
def top_k_by_attribute(node: Node, x: Tensor) -> tuple[Tensor, Tensor]:
    """The k largest numbers along an axis and where they are (opsets before 10)."""
    return _top(x, node.get("k"), node.get("axis", -1), True, True)


@operator("TopK", since=10, host=(1,))
def top_k(node: Node, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """The k largest or smallest numbers along an axis and where they are; of equals the first comes first."""
    return _top(x, int(k.item()), node.get("axis", -1), bool(node.get("largest", 1)), bool(node.get("sorted", 1)))


def _top(x: Tensor, count: int, axis: int, largest: bool, ordered: bool) -> tuple[Tensor, Tensor]:
    values, indices = torch.sort(x, dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, count), indices.narrow(axis, 0, count)
