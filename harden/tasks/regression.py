"""One number, or several, for each example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from harden.errors import DataError
from harden.records.measure import Measure
from harden.tasks import base
from harden.tasks._figures import FigureScorer, FigureSelection, measure_of

R2 = Measure(name="r2", title="R²", better="more", rate=False)
RMSE = Measure(name="rmse", title="RMSE", better="less", rate=False)
MAE = Measure(name="mae", title="mean absolute error", better="less", rate=False)


class Task(base.Task):
    """Regression: the first output gives the numbers, and labels are real numbers [N] or [N, K].

    The loss is the squared error over the variance that the training labels have, so that it is of order one in any
    unit; the distance from a teacher is measured by the same unit.
    """

    summary = "real numbers for each example"
    order = 200
    measures = (R2, RMSE, MAE)
    selections: ClassVar[tuple[str, ...]] = ("r2",)

    @classmethod
    def suits(cls, examples: base.Examples, width: int | None) -> bool:
        """For real numbers, or for one output and more than two whole numbers."""
        labels = examples.labels
        if labels is None:
            return False
        return labels.dtype.kind == "f" or labels.ndim == 2 or (width == 1 and examples.classes > 2)

    @property
    def _variance(self) -> float:
        """Mean variance of the labels' columns."""
        labels = _columns(np.asarray(self.examples.labels))
        return max(float(labels.var(axis=0).mean()), 1e-12)

    def head_loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Mean squared error over the labels' variance."""
        return (output.reshape(len(output), -1) - _flat(labels).to(output)).square().mean() / self._variance

    def head_divergence(self, reference: Tensor, output: Tensor, temperature: float) -> Tensor:
        """Mean squared difference over the labels' variance; ``temperature`` has no meaning here."""
        return (output - reference).square().mean() / self._variance

    def selection(self, measure: str, labels: Sequence[Tensor]) -> Callable[[], base.Selection]:
        """The figure on validation examples."""
        return lambda: FigureSelection(figures, measure_of(self.measures, measure))

    def check(self, outputs: Sequence[np.ndarray]) -> None:
        """As many numbers per example as labels."""
        labels, shape = _columns(np.asarray(self.examples.labels)), outputs[self.heads[0].index].shape
        width = int(np.prod(shape[1:]))
        if width != labels.shape[1]:
            raise DataError(
                f"the output '{self.heads[0].name}' has {width} numbers per example, and {self.examples.source} has "
                f"{labels.shape[1]} real-valued labels per example",
                where=self.source,
                fix="Regression needs a label for each number; for a classifier, labels are class numbers 0..C-1",
            )
        if not np.ptp(labels, axis=0).any():
            raise DataError("all labels are equal, so there is nothing to predict", where=self.examples.source)

    def head_scorer(self, outputs: Sequence[np.ndarray]) -> FigureScorer:
        """R², RMSE and mean absolute error."""
        return FigureScorer(self.heads[0], _columns(np.asarray(self.examples.labels)), figures, self.measures)


def figures(answers: np.ndarray, labels: np.ndarray) -> Mapping[str, float | None]:
    """R² (mean over columns that vary), RMSE and mean absolute error; None where an answer is not finite.

    Equation: R² = 1 - sum (y' - y)^2 / sum (y - mean y)^2 of each column.

    Args:
        answers: [N, K].
        labels: [N, K].

    Example:
        >>> figures(np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]]))["r2"]
        0.5
    """
    error = answers - labels
    if not np.isfinite(error).all():
        return {"r2": None, "rmse": None, "mae": None}
    total = ((labels - labels.mean(axis=0)) ** 2).sum(axis=0)
    shares = 1 - (error**2).sum(axis=0)[total > 0] / total[total > 0]
    return {
        "r2": float(shares.mean()) if len(shares) else None,
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
    }


def _columns(labels: np.ndarray) -> np.ndarray:
    return labels.reshape(len(labels), -1).astype(np.float64)


def _flat(labels: Tensor) -> Tensor:
    return labels.reshape(len(labels), -1)
