"""What scores a chip: from the arrays that the file gives in ONNX Runtime, in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from harden.errors import DataError
from harden.records.condition import Spread
from harden.records.measure import ACCURACY, Measure
from harden.statistics.intervals import describe

Sums = Mapping[str, np.ndarray]
Columns = Mapping[str, np.ndarray]


class Scores(Protocol):
    """What one chip scored."""

    @property
    def values(self) -> Mapping[str, float | None]:
        """Numbers by measure, for the trial's line; the headline is among them."""
        ...

    @property
    def sums(self) -> Sums:
        """Whole numbers that are added up over the chips, by the names that the scorer gave shapes for."""
        ...


class Tally(Protocol):
    """One chip's outputs, taken in batch after batch, in the order of the examples."""

    def add(self, outputs: list[np.ndarray]) -> None:
        """Take the next examples' outputs, all that the model has, each [B, ...]."""
        ...

    def result(self) -> Scores:
        """The chip's scores."""
        ...


class Scorer:
    """What chips score on a set of examples; a task's own derives from it.

    Attributes:
        headline: The measure that the report, thresholds and requirements are about.
    """

    headline: Measure = ACCURACY

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All figures whose direction is known, the headline among them."""
        return (self.headline,)

    def tally(self) -> Tally:
        """An empty tally for one chip."""
        raise TypeError(f"{type(self).__module__} does not define tally")

    def remember(self, outputs: list[np.ndarray]) -> None:
        """Take the next examples' outputs of the network that chips are compared with, before any tally does."""

    def knowing(self, clean: Scores) -> Scorer:
        """The same, once the network without noise has scored."""
        return self

    def on(self, index: np.ndarray) -> Scorer:
        """The same for some of the examples."""
        raise DataError(f"{type(self).__module__} cannot score some of the examples alone")

    def summed(self, conditions: int) -> tuple[Scorer, Mapping[str, tuple[int, ...]]]:
        """The scorer of a run with so many conditions, and the shape of what each of them adds up over its chips."""
        return self, {}

    def clean_record(self, scores: Scores) -> Mapping[str, object]:
        """What the record says of the network without noise, beside the headline of every task."""
        return {}

    def spreads(self, trials: Columns) -> list[str]:
        """The columns of the trials whose spread over chips the record has."""
        return []

    def summary(self, trials: Columns, sums: Sums | None, chips: int) -> Mapping[str, object]:
        """What the record of a condition says beside what every task's has: fields of ``ConditionRecord``."""
        return {}


def spread(trials: Columns, key: str) -> Spread | None:
    """The spread over chips of a column; None where no chip has a number."""
    values = trials.get(key, np.empty(0))
    values = values[~np.isnan(values)]
    return Spread.model_validate(describe(values)) if len(values) else None
