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
    net: Any, clean: Any, batches: Sequence[Inputs], draw: Callable[[int], Mapping[str, Tensor]], rounds: int = 2
) -> dict[str, Tensor]:
    """Weights and biases after correction.

    Args:
        net: The disturbed network; its parameters are changed and put back.
        clean: The network whose statistics are right.
        batches: Unlabelled inputs.
        draw: Noisy weights for the i-th batch by key, from the network as it is then.
        rounds: Passes; later layers see what earlier corrections did in the pass before.

    Returns:
        Changed tensors by name; empty where no layer has a bias of its own.
    """
    places = _places(net)
    if not places:
        return {}
    parameters = dict(net.named_parameters())
    saved = {
        name: parameters[name].detach().clone() for place in places.values() for name in (place.weight, place.bias)
    }
    target = _statistics(clean, batches, places, None)
    with torch.no_grad():
        for _ in range(rounds):
            seen = _statistics(net, batches, places, draw)
            for label, place in places.items():
                (mean, std), (right_mean, right_std) = seen[label], target[label]
                gain = (right_std / std.clamp_min(1e-12)).clamp(1 / _LARGEST_GAIN, _LARGEST_GAIN)
                weight, bias = parameters[place.weight], parameters[place.bias]
                shape = [-1 if axis == place.axis else 1 for axis in range(weight.dim())]
                weight.mul_(gain.reshape(shape))
                bias.copy_(((bias.flatten() - mean) * gain + right_mean).reshape(bias.shape))
        changed = {name: parameters[name].detach().clone() for name in saved}
        for name, value in saved.items():
            parameters[name].copy_(value)
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


@torch.no_grad()
def _statistics(
    net: Any,
    batches: Sequence[Inputs],
    places: Mapping[str, _Place],
    draw: Callable[[int], Mapping[str, Tensor]] | None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and standard deviation of every place's output channels, over all batches (and draws)."""
    sums = {label: [torch.zeros(p.channels, dtype=torch.float64) for _ in range(2)] for label, p in places.items()}
    parameters = dict(net.named_parameters())
    for i, inputs in enumerate(batches):
        noisy = {key: w for key, w in (draw(i) if draw else {}).items() if key in parameters}
        saved = {name: parameters[name].detach().clone() for name in noisy}

        def see(node: Any, arguments: list[Any], outputs: tuple[Any, ...]) -> None:
            if node.label in sums:
                rows = outputs[0].movedim(1, 0).flatten(1).double()
                sums[node.label][0] += rows.mean(1)
                sums[node.label][1] += rows.var(1, correction=0)

        for name, value in noisy.items():
            parameters[name].copy_(value)
        net.observe(see, *inputs)
        for name, value in saved.items():
            parameters[name].copy_(value)
    n = len(batches)
    return {label: ((a / n).float(), (b / n).sqrt().float()) for label, (a, b) in sums.items()}
