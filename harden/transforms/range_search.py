"""The clip of each tensor, or of each column, that lets least error through: in place of one number for all.

Clipping costs what is cut off and saves noise, where noise follows the largest weight. For every tensor the expected
squared error of its layer's outputs is worked out on calibration inputs:

.. math:: J(k) = \\sum_{o,i} x_i^2 \\big[(W - W_k)_{oi}^2 + \\mathrm{E}\\,(\\tilde W_k - W_k)_{oi}^2\\big], \\qquad
   W_k = \\mathrm{clip}(W, \\pm k s)

with the deviations of a few draws for the expectation, and the k of the smallest J taken. Column by column, s is the
column's own deviation, and so is the largest weight that noise follows: what holds on a chip with a scale for every
column, and after rescaling (:mod:`harden.transforms.rescale`).

Source: the idea of Lammie et al., ISCAS 2024, arXiv 2401.09859 (ranges from data, after training); the criterion is
ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from harden.transforms._channels import Layer
from harden.transforms._walk import find_channels
from harden.transforms.clip import clip_channels

GRID = (1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, math.inf)


@torch.no_grad()
def search_ranges(
    net: Any,
    inputs: tuple[Tensor, ...],
    profile: Any,
    *,
    grid: Sequence[float] = GRID,
    draws: int = 4,
    by: Literal["tensor", "column"] = "tensor",
    digital: Sequence[str] = (),
    at_s: float | None = None,
    seed: int = 0,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Clip every analog tensor, or each of its columns, at the bound that is best for it.

    Args:
        net: The network, in eval mode; it is not changed.
        inputs: Calibration inputs, unlabelled.
        profile: The noise.
        grid: Standard deviations to try; infinity is no clipping.
        draws: Noisy draws for the expectation.
        by: What has a bound of its own; a column holds the weights of one output.
        digital: Globs of tensors or nodes that are off the crossbars.
        at_s: Seconds since programming; None is the profile's first valid time.
        seed: Root of the draws' streams.

    Returns:
        Clipped tensors by name, and the chosen numbers of standard deviations by name: one number, or one for each
        column. Layers whose weight is shared or computed are left out; by column, transposed ones too.
    """
    uses = {use.name: use for use in net.analog_weights(digital).values()}
    parameters = dict(net.named_parameters())
    clipped, chosen = {}, {}
    for layer in find_channels(net, inputs, digital).layers:
        use, stored = uses[layer.name], parameters[layer.name].detach()
        weight, axis = use.tensor.detach(), use.output_axis
        if by == "column" and not (weight.shape == stored.shape and torch.equal(weight, stored)):
            continue
        costs = []
        for k in grid:
            candidate = _clipped(weight, k, axis, by)
            noise = torch.zeros_like(weight, dtype=torch.float64)
            for draw in range(draws):
                noise += _deviation(profile, use, candidate, by, seed, draw, at_s).square() / draws
            costs.append(_cost((candidate - weight).double().square() + noise, layer, axis))
        best = torch.stack(costs if by == "column" else [cost.sum(0, keepdim=True) for cost in costs]).argmin(0)
        chosen[layer.name] = torch.tensor(grid, dtype=torch.float64)[best]
        # The tensor as it is stored: the node may see it transposed.
        clipped[layer.name] = (
            _by_column(stored, chosen[layer.name], axis)
            if by == "column"
            else _clipped(stored, float(chosen[layer.name]), axis, by)
        )
    return clipped, chosen


def search_limits(
    net: Any,
    inputs: tuple[Tensor, ...],
    profiles: Sequence[tuple[Any, float | None]],
    digital: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, float]:
    """The bound of each tensor in standard deviations, by name; of several profiles the one that asks for most counts.

    Args:
        net: The network; its mode is as before afterwards.
        inputs: Calibration inputs, unlabelled.
        profiles: Each with its seconds since programming.
        digital: Globs of tensors or nodes that are off the crossbars.
        seed: Root of the draws' streams.
    """
    training = net.training
    net.eval()
    try:
        found = [search_ranges(net, inputs, p, digital=digital, at_s=at, seed=seed)[1] for p, at in profiles]
    finally:
        net.train(training)
    return {name: min(float(one[name]) for one in found) for name in found[0]}


def _clipped(weight: Tensor, k: float, axis: int, by: str) -> Tensor:
    if math.isinf(k):
        return weight
    if by == "column":
        return clip_channels(weight, k, axis)
    bound = k * float(weight.std())
    return weight.clamp(-bound, bound)


def _by_column(weight: Tensor, limits: Tensor, axis: int) -> Tensor:
    shape = [-1 if i == axis else 1 for i in range(weight.dim())]
    result = weight
    for k in limits.unique().tolist():
        result = torch.where((limits == k).reshape(shape), _clipped(weight, k, axis, "column"), result)
    return result


def _deviation(profile: Any, use: Any, weight: Tensor, by: str, seed: int, draw: int, at_s: float | None) -> Tensor:
    """One draw's deviations; by column, with every column as large as the others."""
    size = weight.movedim(use.output_axis, 0).flatten(1).abs().amax(1).clamp_min(1e-30)
    shape = [-1 if axis == use.output_axis else 1 for axis in range(weight.dim())]
    scale = size.reshape(shape) if by == "column" else 1.0
    at = _At(use, weight / scale)
    noisy = profile.perturb({use.key: at}, seed=seed, path=("range", draw), at_s=at_s)[use.key]
    return ((noisy - at.tensor) * scale).double()


def _cost(error: Tensor, layer: Layer, axis: int) -> Tensor:
    """The squared error of each output, [outputs]."""
    rows = error.movedim(axis, 0)
    summed = rows.flatten(2).sum(2) if rows.dim() > 2 else rows
    kernel = error.numel() // layer.peaks.numel()
    return (summed * (layer.energy / kernel).expand_as(layer.peaks)).sum(1)


class _At:
    """A use of a weight on a crossbar, with another tensor in its place."""

    def __init__(self, use: Any, tensor: Tensor) -> None:
        self.key, self.output_axis, self.groups, self.tensor = use.key, use.output_axis, use.groups, tensor
