"""Tallies of tasks whose figures need all outputs of a chip side by side, and scores for the selection from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harden.methods.base import Outputs, listed
from harden.records.measure import Measure
from harden.tasks import _scoring
from harden.tasks._heads import Head

Figures = Callable[[np.ndarray, np.ndarray], Mapping[str, float | None]]
"""From answers [N, K] and labels [N, K] to numbers by measure."""


@dataclass(frozen=True)
class FigureScores:
    """One chip's figures."""

    values: Mapping[str, float | None]
    sums: _scoring.Sums = field(default_factory=dict)


@dataclass(frozen=True)
class FigureScorer(_scoring.Scorer):
    """Scores chips by figures of the first head's answers.

    Attributes:
        head: The output.
        labels: [N, K].
        figures: What makes numbers of answers and labels.
        figured: What the numbers are; the first is the headline.
    """

    head: Head
    labels: np.ndarray
    figures: Figures
    figured: tuple[Measure, ...]

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What the numbers are."""
        return self.figured

    @property
    def headline(self) -> Measure:  # type: ignore[override]
        """The first measure."""
        return self.measures[0]

    def tally(self) -> FigureTally:
        """An empty tally."""
        return FigureTally(self)

    def spreads(self, trials: _scoring.Columns) -> list[str]:
        """Of every measure."""
        return [measure.name for measure in self.measures if measure.name in trials]

    def clean_record(self, scores: _scoring.Scores) -> Mapping[str, object]:
        """Every measure."""
        return {"values": dict(scores.values)}


class FigureTally:
    """One chip's answers."""

    def __init__(self, scorer: FigureScorer) -> None:
        self._scorer = scorer
        self._parts: list[np.ndarray] = []

    def add(self, outputs: list[np.ndarray]) -> None:
        """Take the next examples' outputs."""
        output = outputs[self._scorer.head.index]
        self._parts.append(output.reshape(len(output), -1).astype(np.float64))

    def result(self) -> FigureScores:
        """The figures."""
        answers = np.concatenate(self._parts)
        return FigureScores(self._scorer.figures(answers, self._scorer.labels[: len(answers)]))


class FigureSelection:
    """A figure of the answers on validation examples, with its sign: more is better."""

    def __init__(self, figures: Figures, measure: Measure) -> None:
        self._figures, self._measure = figures, measure
        self._answers: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, outputs: Outputs, targets: Any, examples: int) -> None:
        """Take the next batch."""
        labels = targets[0] if isinstance(targets, tuple) else targets
        for parts, tensor in ((self._answers, listed(outputs)[0]), (self._labels, labels)):
            parts.append(tensor.detach().reshape(examples, -1).double().cpu().numpy())

    def value(self) -> float:
        """The figure; worse than any other where the answers have none."""
        figure = self._figures(np.concatenate(self._answers), np.concatenate(self._labels))[self._measure.name]
        return float("-inf") if figure is None else self._measure.sign * figure


def measure_of(measures: Sequence[Measure], name: str) -> Measure:
    """The measure of this name."""
    return next(measure for measure in measures if measure.name == name)
