"""Which channels of a graph can be scaled together without changing what it computes.

A channel may be multiplied by any positive number where it is made, if it is divided by the same number wherever it is
read. Every element of every value gets the number of its channel; operators that only move elements around move the
numbers along, homogeneous ones (Relu, pooling) keep them, sums unite them, and everything else fixes them at 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

FREE, FIXED = 0, 1  # an element that is zero anyway, and one whose scale is 1


@dataclass
class Layer:
    """One weight on a crossbar, with the channels of its two sides and what passes through it.

    Attributes:
        name: The tensor.
        rows: Channel of each of the outputs, [O].
        columns: Channel of each input of each output, broadcastable to ``peaks``.
        peaks: Largest size of the weights between an output and an input, [O, I].
        energy: Mean square of what enters through each input of an output, summed over the kernel, like ``peaks``.
        signal: Variance of each output, [O].
    """

    name: str
    rows: Tensor
    columns: Tensor
    peaks: Tensor
    energy: Tensor = field(default_factory=lambda: torch.ones(1, 1, dtype=torch.float64))
    signal: Tensor = field(default_factory=lambda: torch.ones(1, dtype=torch.float64))


@dataclass
class Norm:
    """The running statistics of a batch norm, and the channels that they belong to."""

    mean: str
    variance: str
    epsilon: float
    channels: Tensor


@dataclass
class Channels:
    """The channels of a graph.

    Attributes:
        factors: By tensor name, channels of its elements (broadcastable) with the exponent that their scale enters
            with.
        layers: The weights on crossbars that can be scaled.
        norms: Batch norms that absorb the scale of what they read.
    """

    factors: dict[str, list[tuple[Tensor, int]]] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    norms: list[Norm] = field(default_factory=list)
    _parent: list[int] = field(default_factory=lambda: [FREE, FIXED])

    def fresh(self, count: int) -> Tensor:
        """Numbers of so many new channels."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return torch.arange(start, start + count, dtype=torch.float64)

    def find(self, channel: int) -> int:
        """The channel that stands for all that were united with this one."""
        while self._parent[channel] != channel:
            self._parent[channel] = self._parent[self._parent[channel]]
            channel = self._parent[channel]
        return channel

    def unite(self, one: Tensor, other: Tensor) -> Tensor:
        """Give pairs of channels one scale; returns the channels of their sum. Zeros go with anything."""
        one, other = torch.broadcast_tensors(one, other)
        both = (one > FREE) & (other > FREE)
        count = len(self._parent)
        for pair in (one[both].long() * count + other[both].long()).unique().tolist():
            low, high = sorted((self.find(pair // count), self.find(pair % count)))
            self._parent[high] = low
        return torch.where(one > FREE, one, other)

    def fix(self, *channels: Tensor | None) -> None:
        """Set the scale of these channels to 1."""
        for tensor in channels:
            if tensor is not None:
                self.unite(tensor.unique(), torch.tensor(float(FIXED), dtype=torch.float64))

    def along(self, channels: Tensor, axis: int) -> Tensor:
        """The channels along one axis; those that differ elsewhere are united."""
        lines = channels.movedim(axis, 0).flatten(1)
        first = lines.amax(1)
        self.unite(lines, first[:, None])
        return first

    def roots(self) -> Tensor:
        """For each number the channel that stands for it, [channels]."""
        return torch.tensor([self.find(i) for i in range(len(self._parent))])
