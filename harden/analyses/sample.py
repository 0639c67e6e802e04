"""How many chips and examples a measurement beside the run takes: counted in passes, so that equal runs are equal."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """So many chips, each run on so many examples.

    Attributes:
        chips: Chips, or noisy backward passes.
        examples: Examples for each of them.
    """

    chips: int
    examples: int

    def within(self, passes: float, least: Sample) -> Sample:
        """The same, or both numbers reduced by one factor until chips times examples is at most ``passes``.

        Args:
            passes: Passes of one example through the network.
            least: What neither number goes below, unless it is below that already.

        Example:
            >>> Sample(20, 300).within(1500, least=Sample(4, 64))
            Sample(chips=10, examples=150)
            >>> Sample(20, 300).within(0, least=Sample(4, 64))
            Sample(chips=4, examples=64)
        """
        factor = min(1.0, math.sqrt(passes / (self.chips * self.examples)))
        return Sample(
            max(int(self.chips * factor), min(self.chips, least.chips)),
            max(int(self.examples * factor), min(self.examples, least.examples)),
        )
