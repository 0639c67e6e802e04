"""The clip of each tensor that lets least error through, in place of a number of standard deviations for all.

Clipping costs what is cut off and saves noise, where noise follows the largest weight. For every tensor the expected
squared error of its layer's outputs is worked out on calibration inputs:

.. math:: J(k) = \\sum_{o,i} x_i^2 \\big[(W - W_k)_{oi}^2 + \\mathrm{E}\\,(\\tilde W_k - W_k)_{oi}^2\\big], \\qquad
   W_k = \\mathrm{clip}(W, \\pm k s)

with the deviations of a few draws for the expectation, and the k of the smallest J taken.

Source: the idea of Lammie et al., ISCAS 2024, arXiv 2401.09859 (ranges from data, after training); the criterion is
ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from harden.levers._walk import find_channels

GRID = (1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, math.inf)


@torch.no_grad()
def search_ranges(
    net: Any,
    inputs: tuple[Tensor, ...],
    profile: Any,
    *,
    grid: Sequence[float] = GRID,
    draws: int = 4,
    digital: Sequence[str] = (),
    at_s: float | None = None,
    seed: int = 0,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Clip every analog tensor at the bound that is best for it.

    Args:
        net: The network, in eval mode; it is not changed.
        inputs: Calibration inputs, unlabelled.
        profile: The noise.
        grid: Standard deviations to try; infinity is no clipping.
        draws: Noisy draws for the expectation.
        digital: Globs of tensors or nodes that are off the crossbars.
        at_s: Seconds since programming; None is the profile's first valid time.
        seed: Root of the draws' streams.

    Returns:
        Clipped tensors by name, and the chosen number of standard deviations by name. Layers whose weight is shared or
        computed are left out.
    """
    uses = {use.name: use for use in net.analog_weights(digital).values()}
    parameters = dict(net.named_parameters())
    clipped, chosen = {}, {}
    for layer in find_channels(net, inputs, digital).layers:
        use = uses[layer.name]
        weight = use.tensor.detach()
        kernel = weight.numel() // layer.peaks.numel()
        squares = (layer.energy / kernel).expand_as(layer.peaks)
        best = math.inf
        for k in grid:
            bound = k * float(weight.std())
            candidate = weight if math.isinf(k) else weight.clamp(-bound, bound)
            error = (candidate - weight).square().double()
            for draw in range(draws):
                noisy = profile.perturb({use.key: _At(use, candidate)}, seed=seed, path=("range", draw), at_s=at_s)
                error += (noisy[use.key] - candidate).square().double() / draws
            cost = float((_by_input(error, use.output_axis) * squares).sum())
            if cost < best:
                best, chosen[layer.name] = cost, k
                # The tensor as it is stored: the node may see it transposed.
                clipped[layer.name] = parameters[layer.name].detach().clamp(-bound, bound)
    return clipped, chosen


class _At:
    """A use of a weight on a crossbar, with another tensor in its place."""

    def __init__(self, use: Any, tensor: Tensor) -> None:
        self.key, self.output_axis, self.groups, self.tensor = use.key, use.output_axis, use.groups, tensor


def _by_input(error: Tensor, output_axis: int) -> Tensor:
    """Sums over the kernel, [outputs, inputs]."""
    rows = error.movedim(output_axis, 0)
    return rows.flatten(2).sum(2) if rows.dim() > 2 else rows


def spread(chosen: Mapping[str, float]) -> dict[str, int]:
    """How many tensors got each bound, for the report.

    Example:
        >>> spread({"a": 2.0, "b": 2.0, "c": math.inf})
        {'2.0': 2, 'inf': 1}
    """
    counts: dict[str, int] = {}
    for k in sorted(chosen.values()):
        counts[str(k)] = counts.get(str(k), 0) + 1
    return counts
