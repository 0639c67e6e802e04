"""Give every layer the output statistics that the clean network has: bias correction for graphs without batch norms.

A layer's outputs y, disturbed by clipping or noise, get the clean mean and deviation of each channel back:
:math:`y \\leftarrow (y - m') s/s' + m`, worked into the layer's own weight and bias. No labels, no gradients.

Source: for the mean, Nagel et al., ICCV 2019, arXiv 1906.04721 (bias correction); the deviation as batch norms have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Inputs = tuple[Tensor, ...]
_LARGEST_GAIN = 2.0


@dataclass(frozen=True)
class _Place:
    """A layer with a weight and a bias of its own, and no batch norm behind it to do the same."""

    weight: str
    bias: str
    axis: int
    channels: int


def match_statistics(
    net: Any, clean: Any, batches: Sequence[Inputs], draw: Callable[[int], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Weights and biases after correction.

    Each batch passes the clean network and a noisy draw of the disturbed one. There every layer's outputs are corrected
    on the way, so that later layers are measured on inputs that are right; the corrections are averaged over batches.

    Args:
        net: The disturbed network.
        clean: The network whose statistics are right.
        batches: Unlabelled inputs.
        draw: Noisy weights for the i-th batch by key.

    Returns:
        Changed tensors by name; empty where no layer has a bias of its own.
    """
    places = _places(net)
    if not places:
        return {}
    right, seen = _Sums(places), _Sums(places)
    parameters = dict(net.named_parameters())
    with torch.no_grad():
        for i, inputs in enumerate(batches):
            targets = _pass(clean, inputs, places, {})
            right.add(targets)
            seen.add(_pass(net, inputs, places, draw(i), targets))
        changed = {}
        for label, place in places.items():
            (mean, std), (right_mean, right_std) = seen.of(label), right.of(label)
            gain = _gain(right_std, std)
            weight, bias = parameters[place.weight].detach(), parameters[place.bias].detach()
            shape = [-1 if axis == place.axis else 1 for axis in range(weight.dim())]
            changed[place.weight] = weight * gain.to(weight.dtype).reshape(shape)
            corrected = (bias.flatten() - mean) * gain + right_mean
            changed[place.bias] = corrected.to(bias.dtype).reshape(bias.shape)
        return changed


def _places(net: Any) -> dict[str, _Place]:
    program = net.program
    parameters = dict(net.named_parameters())
    reads = Counter(value for node in program.walk() for value in node.inputs if value)
    weights = {(use.node, use.position): use for use in net.uses}
    norms = {node.inputs[0] for node in program.walk() if node.op == "BatchNormalization"}
    found = {}
    for node in program.nodes:
        use = weights.get((node.label, 1))
        if node.op not in ("Conv", "Gemm") or use is None or use.chained or len(node.inputs) < 3:
            continue
        stored = [program.stored.get(value) for value in node.inputs[1:3]]
        own = all(s is not None and s.name in parameters for s in stored) and reads[node.inputs[1]] == 1
        if not own or reads[node.inputs[2]] != 1 or node.outputs[0] in norms:
            continue
        weight, bias = (s.name for s in stored if s is not None)
        axis = use.output_axis(parameters[weight].dim())
        if parameters[bias].numel() == parameters[weight].shape[axis]:
            found[node.label] = _Place(weight, bias, axis, parameters[bias].numel())
    return found


class _Sums:
    """Means and variances of every place, averaged over batches."""

    def __init__(self, places: Mapping[str, _Place]) -> None:
        self._sums = {
            label: [torch.zeros(p.channels, dtype=torch.float64) for _ in range(2)] for label, p in places.items()
        }
        self._count = 0

    def add(self, statistics: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        for label, (mean, std) in statistics.items():
            self._sums[label][0] += mean
            self._sums[label][1] += std.square()
        self._count += 1

    def of(self, label: str) -> tuple[Tensor, Tensor]:
        mean, square = self._sums[label]
        return mean / self._count, (square / self._count).sqrt()


def _gain(right: Tensor, seen: Tensor) -> Tensor:
    return (right / seen.clamp_min(1e-12)).clamp(1 / _LARGEST_GAIN, _LARGEST_GAIN)


def _pass(
    net: Any,
    inputs: Inputs,
    places: Mapping[str, _Place],
    weights: Mapping[str, Tensor],
    targets: Mapping[str, tuple[Tensor, Tensor]] | None = None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and deviation of every place's output channels; with targets, corrected on the way."""
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def see(node: Any, arguments: list[Any], outputs: tuple[Any, ...]) -> None:
        if node.label not in places:
            return
        rows = outputs[0].movedim(1, 0).flatten(1).double()
        mean, std = rows.mean(1), rows.std(1, correction=0)
        found[node.label] = mean, std
        if targets is not None:
            shape = [-1 if axis == 1 else 1 for axis in range(outputs[0].dim())]
            gain = _gain(targets[node.label][1], std)
            shift = targets[node.label][0] - mean * gain
            # The tensor itself is what the next nodes read.
            outputs[0].mul_(gain.reshape(shape)).add_(shift.reshape(shape))

    net.observe(see, *inputs, weights=weights)
    return found
