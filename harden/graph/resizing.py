"""A module whose graph is made for one batch size, run on batches of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from harden import distributed
from harden.errors import ModelError
from harden.graph.program import Program


@dataclass(frozen=True)
class WholeExamples:
    """A graph whose inputs have no batch axis in common: examples are run one by one, and what comes out is stacked.

    Attributes:
        ranks: Axes of each of the graph's inputs; examples have one more, their number.
    """

    ranks: tuple[int, ...]

    def fits(self, inputs: Sequence[Any]) -> bool:
        """Whether these are the graph's own inputs, of one run."""
        ranks = tuple(item.ndim if isinstance(item, torch.Tensor) else -1 for item in inputs)
        return ranks != tuple(rank + 1 for rank in self.ranks)

    def opened(self) -> Program | None:
        """There is no graph for several examples at once."""
        return None

    def piece(self, inputs: Sequence[torch.Tensor], start: int = 0) -> list[torch.Tensor]:
        """One example."""
        return [item[start] for item in inputs]

    def in_pieces(self, run: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> Any:
        """Run example by example.

        Args:
            run: Takes one example's part of each input; returns tensors, or tuples and dicts of them.
            inputs: All with the same number of examples, at least one.
        """
        results = [run(*self.piece(inputs, number)) for number in range(len(inputs[0]))]
        if not results:
            raise ModelError("there are no examples")
        return _stacked(results)


def _stacked(results: list[Any]) -> Any:
    first = results[0]
    if isinstance(first, tuple):
        return tuple(_stacked(list(parts)) for parts in zip(*results, strict=True))
    if isinstance(first, dict):
        return {key: _stacked([part[key] for part in results]) for key in first}
    return torch.stack(results)


@dataclass(frozen=True)
class FixedBatch:
    """The batch size of a graph, and how to leave it.

    Attributes:
        size: Examples that the graph's inputs name.
        opened: The program of the same network for any batch size, or None where the graph does not allow it; asked
            only once it is needed, because finding out takes a few runs of the network.
    """

    size: int
    opened: Callable[[], Program | None]

    def fits(self, inputs: Sequence[Any]) -> bool:
        """Whether the graph takes these inputs as they are, or no number of examples can be told."""
        counts = {len(item) for item in inputs if isinstance(item, torch.Tensor) and item.ndim}
        return counts == {self.size} or len(counts) != 1

    def in_pieces(self, run: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> Any:
        """Run in batches of the graph's own size, the last one filled up with its last example.

        Args:
            run: Takes one piece of each input; returns tensors, or tuples and dicts of them.
            inputs: All with the same number of examples.

        Raises:
            ModelError: There are no examples, or an output does not have one row per example.
        """
        count = len(inputs[0])
        if count == 0:
            raise ModelError(f"the model is made for batches of {self.size} examples, and there are none")
        with distributed.alone():  # a piece has statistics of its own, wherever its neighbours are
            results = [run(*self.piece(inputs, start)) for start in range(0, count, self.size)]
        return self._joined(results, count)

    def piece(self, inputs: Sequence[torch.Tensor], start: int = 0) -> list[torch.Tensor]:
        """The examples from ``start`` on, as many as the graph takes."""
        rows = torch.arange(start, start + self.size).clamp_max(len(inputs[0]) - 1)
        return [item[rows.to(item.device)] for item in inputs]

    def _joined(self, results: list[Any], count: int) -> Any:
        first = results[0]
        if isinstance(first, tuple):
            return tuple(self._joined(list(parts), count) for parts in zip(*results, strict=True))
        if isinstance(first, dict):
            return {key: self._joined([part[key] for part in results], count) for key in first}
        if not isinstance(first, torch.Tensor) or first.shape[:1] != (self.size,):
            raise ModelError(
                f"the model is made for batches of {self.size} examples, and its values have not one row each",
                fix="Export it with a dynamic batch size",
            )
        return torch.cat(results)[:count]
