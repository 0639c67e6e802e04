"""Rescale channels so that noise relative to a tensor's largest weight harms less; the network computes the same.

Every channel that :mod:`harden.transforms._walk` finds may be scaled where it is made and divided where it is read: an
output channel in front of a batch norm (w by s, mean by s, variance by s², with the batch norm's epsilon corrected),
channels across ReLU-like layers, a LayerNorm's output into the linear layer behind it, an attention head's values into
the projection. What is minimised is the noise relative to the signal, summed over layers:

.. math:: J = \\sum_l \\frac1{|O|} \\sum_{o} \\log\\Big(1 + \\sigma^2 \\frac{M_l^2 \\sum_i x_{oi}^2 s_i^2}{v_o
s_o^2}\\Big), \\qquad
   M_l = \\max_{o,i} |W_{oi}| s_o / s_i

with :math:`\\sigma = 0.1` relative to the largest weight, :math:`x^2` the mean square of the inputs and v the variance
of the outputs, on whatever inputs there are. The logarithm keeps channels that hardly carry a signal from deciding
everything.

Source: Nagel et al., ICCV 2019, arXiv 1906.04721 (scaling across layers, by equal ranges); the objective is ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import torch
from torch import Tensor

from harden.transforms._channels import FIXED, Channels, Layer
from harden.transforms._walk import find_channels

_STEPS = 300
_PATIENCE = 20  # steps without a gain of _SETTLED end the search
_SETTLED = 1e-3
_SHARP = 24.0  # exponent of the smooth maximum
_SIGMA = 0.1  # of the noise that is planned for, relative to the largest weight
_LARGEST = math.log(1e4)


class Gain(TypedDict):
    """Layers and channels that are scaled, and J before and after, in units of the noise's variance over max|w|²."""

    layers: int
    channels: int
    noise_before: float
    noise_after: float


def rescale_model(model: Any, inputs: tuple[Tensor, ...], digital: Sequence[str] = ()) -> tuple[Any, Gain]:
    """:func:`rescale` for a model; gives the model and the record."""
    changed, record = rescale(model.module().eval(), inputs, digital)
    return model.with_weights(changed), record


def rescale(net: Any, inputs: tuple[Tensor, ...], digital: Sequence[str] = ()) -> tuple[dict[str, Tensor], Gain]:
    """New values of the network's tensors, with the same function and less noise.

    Args:
        net: The network, in eval mode; it is not changed.
        inputs: Example inputs to weigh channels by; random ones will do.
        digital: Globs of tensors or nodes that are off the crossbars.

    Returns:
        Changed tensors by name, and what was won.
    """
    found = solve(net, inputs, digital)
    return found.of(net), found.record


@dataclass(frozen=True)
class Rescaling:
    """Scales of a graph's channels, whatever numbers the graph has.

    Attributes:
        channels: The channels.
        roots: Which channel stands for each, [channels].
        scales: Logarithm of each channel's scale, [channels].
        record: What was won.
    """

    channels: Channels
    roots: Tensor
    scales: Tensor
    record: Gain

    def of(self, net: Any) -> dict[str, Tensor]:
        """The tensors of a network of this graph that change, rescaled."""
        return apply(self.channels, self.roots, self.scales, _values(net))


def solve(net: Any, inputs: tuple[Tensor, ...], digital: Sequence[str] = ()) -> Rescaling:
    """The scales of :func:`rescale`, to be applied to this network or to another of the same graph."""
    with torch.no_grad():
        channels = find_channels(net, inputs, digital)
    roots = channels.roots()
    scales = bounded(channels, roots, _solve(channels, roots), _values(net))
    still = torch.zeros_like(scales)
    record: Gain = {
        "layers": len(channels.layers),
        "channels": int((scales != 0).sum()),
        "noise_before": float(_noise(channels.layers, roots, still)),
        "noise_after": float(_noise(channels.layers, roots, scales)),
    }
    return Rescaling(channels, roots, scales, record)


def _values(net: Any) -> dict[str, Tensor]:
    return {**dict(net.named_parameters()), **dict(net.named_buffers())}


def apply(channels: Channels, roots: Tensor, scales: Tensor, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors after scaling.

    Args:
        channels: The channels.
        roots: Which channel stands for each, [channels].
        scales: Logarithm of each channel's scale, [channels].
        values: The tensors, by name.
    """
    changed = {}
    for name, factors in channels.factors.items():
        total = sum(exponent * _at(scales, roots, numbers) for numbers, exponent in factors)
        if isinstance(total, Tensor) and bool((total != 0).any()):
            value = values[name].detach()
            changed[name] = (value.double() * total.exp()).to(value.dtype)
    for norm in channels.norms:
        s = _at(scales, roots, norm.channels).exp()
        if bool((s != 1).any()):
            mean, variance = values[norm.mean].detach(), values[norm.variance].detach()
            changed[norm.mean] = (mean.double() * s).to(mean.dtype)
            corrected = s.square() * (variance.double() + norm.epsilon) - norm.epsilon
            changed[norm.variance] = corrected.to(variance.dtype)
    return changed


def _at(scales: Tensor, roots: Tensor, numbers: Tensor) -> Tensor:
    return scales[roots[numbers.long()]]


def _noise(layers: Sequence[Layer], roots: Tensor, scales: Tensor, sharp: float | None = None) -> Tensor:
    """J at these scales; with ``sharp``, a smooth one."""
    terms = []
    for layer in layers:
        alive = (layer.signal > 1e-9 * layer.signal.max()) & (layer.peaks.amax(1) > 0)
        if not bool(alive.any()):
            continue
        rows, columns = _at(scales, roots, layer.rows), _at(scales, roots, layer.columns)
        sizes = layer.peaks.clamp_min(1e-30).log() + rows[:, None] - columns
        largest = sizes.max() if sharp is None else torch.logsumexp(sharp * sizes.flatten(), 0) / sharp
        energy = (layer.energy * (2 * columns).exp()).sum(1)
        noise = _SIGMA**2 * (2 * largest - 2 * rows[alive]).exp() * energy[alive] / layer.signal[alive]
        terms.append(noise.log1p().mean())
    return torch.stack(terms).sum() if terms else torch.zeros((), dtype=torch.float64)


def _solve(channels: Channels, roots: Tensor) -> Tensor:
    """The scales, as logarithms; zeros where nothing can be won."""
    zero = torch.zeros(len(roots), dtype=torch.float64)
    movable = torch.ones_like(zero)
    movable[roots <= FIXED] = 0
    if not channels.layers or not bool(movable.any()):
        return zero
    scales = zero.clone().requires_grad_()
    optimizer = torch.optim.Adam([scales], lr=0.1)
    costs: list[float] = []
    for step in range(_STEPS):
        optimizer.param_groups[0]["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * step / _STEPS))
        optimizer.zero_grad()
        cost = _noise(channels.layers, roots, scales * movable, _SHARP)
        cost.backward()
        optimizer.step()
        costs.append(float(cost.detach()))
        if step >= _PATIENCE and costs[step - _PATIENCE] - costs[step] < _SETTLED * costs[step]:
            break
    found = _polished(channels, roots, (scales.detach() * movable).clamp(-_LARGEST, _LARGEST))
    better = _noise(channels.layers, roots, found) < _noise(channels.layers, roots, zero)
    return found if bool(better) else zero


def free_outputs(channels: Channels, roots: Tensor) -> dict[str, Tensor]:
    """By layer, which of its outputs only a batch norm reads, so that their scale is free: booleans [O]."""
    read = torch.zeros(len(roots), dtype=torch.bool)
    for factors in channels.factors.values():
        for numbers, exponent in factors:
            if exponent < 0:
                read[roots[numbers.long().flatten()]] = True
    made = torch.zeros(len(roots), dtype=torch.long)
    for layer in channels.layers:
        made[roots[layer.rows.long()]] += 1
    rows = {layer.name: roots[layer.rows.long()] for layer in channels.layers}
    return {name: ~read[row] & (made[row] == 1) & (row > FIXED) for name, row in rows.items()}


def _polished(channels: Channels, roots: Tensor, scales: Tensor) -> Tensor:
    """Raise to its tensor's largest weight every output that only a batch norm reads."""
    outputs = free_outputs(channels, roots)
    scales = scales.clone()
    for layer in channels.layers:
        rows, columns = roots[layer.rows.long()], _at(scales, roots, layer.columns)
        sizes = (layer.peaks.log() - columns).amax(1) + scales[rows]
        free = outputs[layer.name] & sizes.isfinite()
        scales[rows[free]] += (sizes.max() - sizes)[free]
    return scales


def bounded(channels: Channels, roots: Tensor, scales: Tensor, values: Mapping[str, Tensor]) -> Tensor:
    """Scales at which every corrected variance stays positive: s² (v + eps) > eps."""
    scales = scales.clone()
    for norm in channels.norms:
        variance = values[norm.variance].detach().double()
        least = 0.5 * (norm.epsilon / (variance + norm.epsilon)).log() + 1e-3
        rows = roots[norm.channels.long()]
        scales[rows] = torch.where(rows > FIXED, torch.maximum(scales[rows], least.clamp_max(0)), scales[rows])
    return scales
