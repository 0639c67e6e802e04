"""Batch norms re-estimated under noise.

The running statistics of a batch norm were gathered on other weights than a chip has. ``reestimate`` replaces them by
their averages over examples and noisy draws, to be kept in the file. With one chip's weights for the draw they are that
chip's own: a field calibration (:mod:`harden.analyses.field_calibration`), which needs examples on the device.

Source: Joshi et al., Nat. Commun. 11, 2473 (2020) (AdaBS); Tsai et al., arXiv 2007.03230.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Inputs = tuple[Tensor, ...]


def statistics(net: torch.nn.Module) -> dict[str, Tensor]:
    """The running means and variances of the graph's batch norms, by name."""
    return {name: buffer for name, buffer in net.named_buffers() if buffer.is_floating_point()}


@torch.no_grad()
def reestimate(
    net: Any, batches: Sequence[Inputs], draw: Callable[[int], Mapping[str, Tensor]] | None = None
) -> dict[str, Tensor]:
    """Averages of the batch norms' statistics over batches.

    Args:
        net: The network; nothing of it is changed.
        batches: Inputs, one forward pass each (and one more for the first).
        draw: Weights for the i-th batch, by key; the network's own if None.

    Returns:
        New running statistics by name; empty where the graph has no batch norms. A batch norm that the batches do not
        reach keeps what it has.
    """
    buffers = statistics(net)
    if not buffers or not batches:
        return {}
    saved = {name: buffer.clone() for name, buffer in buffers.items()}
    training = net.training
    net.train()
    try:
        weights = [draw(i) if draw else None for i in range(len(batches))]
        # A running value moves by r <- k r + (1 - k) s. What it becomes from 0 and from 1 tells k, and with it s.
        from_zero = [_moved(net, buffers, inputs, w, 0.0) for inputs, w in zip(batches, weights, strict=True)]
        from_one = _moved(net, buffers, batches[0], weights[0], 1.0)
    finally:
        net.train(training)
        for name, buffer in buffers.items():
            buffer.copy_(saved[name])
    new = {}
    for name in buffers:
        moved = 1 - float((from_one[name].double() - from_zero[0][name].double()).mean())
        average = torch.stack([values[name].double() for values in from_zero]).mean(0)
        new[name] = (average / moved).to(saved[name].dtype) if moved > 1e-6 else saved[name]
    return new


def _moved(
    net: Any, buffers: Mapping[str, Tensor], inputs: Inputs, weights: Mapping[str, Tensor] | None, start: float
) -> dict[str, Tensor]:
    for buffer in buffers.values():
        buffer.fill_(start)
    net(*inputs, weights=weights, update_statistics=True)
    return {name: buffer.clone() for name, buffer in buffers.items()}
