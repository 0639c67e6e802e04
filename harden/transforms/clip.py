"""Clip weights to a number of their own standard deviations.

Noise that scales with a tensor's largest weight is made small against the other weights by taking the largest away:
:math:`w \\leftarrow \\max(-k s, \\min(k s, w))`, with :math:`s` the tensor's own standard deviation. Clipping works
when the network is trained on (or batch norms are re-estimated) after it, because the rest of the weights take over.

Source: Joshi et al., Nat. Commun. 11, 2473 (2020), with k = 2; Stutz et al., MLSys 2021, for bit errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor


def clip_(tensors: Iterable[Tensor], k: float) -> None:
    """Clamp each tensor in place to ``k`` of its standard deviations around zero.

    Args:
        tensors: Weights of any shape; those of fewer than two elements are left alone.
        k: Standard deviations, > 0.

    Example:
        >>> w = torch.tensor([-1.0, -1.0, 1.0, 9.0])
        >>> clip_([w], 1.0)
        >>> [round(x, 3) for x in w.tolist()]
        [-1.0, -1.0, 1.0, 4.761]
    """
    with torch.no_grad():
        for tensor in tensors:
            if tensor.numel() > 1:
                bound = k * float(tensor.std())
                tensor.clamp_(-bound, bound)


def clippable(net: Any, digital: Sequence[str] = ()) -> dict[str, torch.nn.Parameter]:
    """The parameters on crossbars, by name: those a clip lever may change."""
    parameters = dict(net.named_parameters())
    names = {weight.name for weight in net.analog_weights(digital).values()}
    return {name: parameters[name] for name in sorted(names) if name in parameters}


class _Found(TypedDict, total=False):
    found: dict[str, int]  # tensors by bound, where each has its own


class Clipped(_Found):
    """Standard deviations (None where each tensor has its own), tensors, and the share of weights beyond the bound."""

    k: float | None
    anneal: float
    tensors: int
    beyond_at_start: float


class Clip:
    """Clipping during training: constant, or annealed from each tensor's own range.

    Args:
        parameters: The analog parameters, by name.
        k: Standard deviations to end with, > 0.
        anneal: Share of the training over which the bound comes down from each tensor's own range, 0 (at once) to 1.
        found: Standard deviations of single tensors, by name, in place of ``k``; infinity leaves a tensor alone.
    """

    def __init__(
        self,
        parameters: Mapping[str, torch.nn.Parameter],
        k: float | None,
        anneal: float = 0.0,
        found: Mapping[str, float] | None = None,
    ) -> None:
        self.anneal = anneal
        limits = {name: (found or {}).get(name, math.inf if k is None else k) for name in parameters}
        self._limits = {name: limit for name, limit in limits.items() if math.isfinite(limit)}
        self._parameters = {name: parameter for name, parameter in parameters.items() if name in self._limits}
        self._start = {name: _peak(p) for name, p in self._parameters.items()}
        total = sum(p.numel() for p in self._parameters.values())
        beyond = sum(_beyond(p.detach(), self._limits[name]) for name, p in self._parameters.items())
        self.record: Clipped = {
            "k": k if found is None else None,
            "anneal": anneal,
            "tensors": len(self._parameters),
            "beyond_at_start": beyond / max(total, 1),
        }
        if found is not None:
            self.record["found"] = tensors_by_bound(limits)

    def apply(self, progress: float = 1.0) -> None:
        """Clip now.

        Args:
            progress: Share of the training that is done, in [0, 1]; only annealing asks for it.
        """
        done = min(progress / self.anneal, 1.0) if self.anneal > 0 else 1.0
        for name, parameter in self._parameters.items():
            start, k = self._start[name], self._limits[name]
            clip_([parameter], k if done >= 1 or start <= k else start + (k - start) * done)


def tensors_by_bound(chosen: Mapping[str, float]) -> dict[str, int]:
    """How many tensors got each bound, for the report.

    Example:
        >>> tensors_by_bound({"a": 2.0, "b": 2.0, "c": math.inf})
        {'2.0': 2, 'inf': 1}
    """
    counts: dict[str, int] = {}
    for k in sorted(chosen.values()):
        counts[str(k)] = counts.get(str(k), 0) + 1
    return counts


def _peak(tensor: Tensor) -> float:
    """The largest weight in standard deviations; 0 where there are none."""
    value = tensor.detach()
    spread = float(value.std()) if value.numel() > 1 else 0.0
    return float(value.abs().max()) / spread if spread > 0 else 0.0


def _beyond(tensor: Tensor, k: float) -> int:
    return int((tensor.abs() > k * tensor.std()).sum()) if tensor.numel() > 1 else 0


def clip_channels(weight: Tensor, k: float, axis: int = 0) -> Tensor:
    """A copy clamped to ``k`` standard deviations of each output channel.

    Args:
        weight: Any shape of at least one axis.
        k: Standard deviations, > 0.
        axis: The axis of the output channels.

    Example:
        >>> clip_channels(torch.tensor([[-1.0, -1.0, 1.0, 9.0], [0.0, 0.0, 0.0, 0.0]]), 1.0)[0, 3].item() < 5
        True
    """
    rows = weight.movedim(axis, 0).flatten(1)
    bound = k * (rows.std(1) if rows.shape[1] > 1 else rows.abs().amax(1) / k)
    return (
        torch.maximum(torch.minimum(rows, bound[:, None]), -bound[:, None])
        .reshape(weight.movedim(axis, 0).shape)
        .movedim(0, axis)
    )
