"""Where crossbars' numbers enter a running graph, and which products they meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch


class Entering(NamedTuple):
    """A crossbar's numbers at an edge: the position, the crossbar's key, and which of its elements (None: all)."""

    position: int
    key: str
    index: torch.Tensor | None


@dataclass(frozen=True)
class Crossbars:
    """Where crossbars are in a program.

    Attributes:
        entries: Where their numbers enter, by the label of the node or nested graph that reads them.
        products: The products that they meet as operands, by label: the position and the use's place.
    """

    entries: Mapping[str, tuple[Entering, ...]]
    products: Mapping[str, tuple[tuple[int, str], ...]]

    def entering(self, label: str) -> tuple[Entering, ...]:
        """What enters at a node or nested graph."""
        return self.entries.get(label, ())
