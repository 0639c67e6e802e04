"""The user's own metrics: ``--metric package.module:function``."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from harden.errors import SettingsError
from harden.tasks import Scorer, Scores

Metric = Callable[[np.ndarray, np.ndarray], float]


def load_metrics(names: Sequence[str]) -> dict[str, Metric]:
    """Import metrics by ``package.module:function``.

    A metric is called with the first output for all images, [N, ...], and the labels, [N]; it returns one number.

    Args:
        names: As given to ``--metric``.

    Returns:
        The functions by name.

    Raises:
        SettingsError: Lists all that cannot be imported or are no functions.

    Example:
        >>> list(load_metrics(["numpy:corrcoef"]))
        ['numpy:corrcoef']
    """
    metrics: dict[str, Metric] = {}
    problems = []
    for name in names:
        module, _, function = name.partition(":")
        try:
            member: Any = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            problems.append(f"'{name}' cannot be imported ({error})")
            continue
        if callable(member):
            metrics[name] = cast(Metric, member)
        else:
            problems.append(f"'{name}' is not a function")
    if problems:
        raise SettingsError("a metric is not usable", where="--metric", fix="Write module:function", problems=problems)
    return metrics


@dataclass(frozen=True)
class Judged:
    """What one chip scored.

    Attributes:
        scores: By the task.
        metrics: By the user's metrics, by name.
    """

    scores: Scores
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class WithMetrics:
    """A task's scorer and the user's metrics.

    Attributes:
        scorer: The task's.
        metrics: The user's, by name.
        labels: [N, ...], or None.
    """

    scorer: Scorer
    metrics: Mapping[str, Metric]
    labels: np.ndarray | None

    def tally(self) -> ChipTally:
        """An empty tally for one chip."""
        return ChipTally(self)


class ChipTally:
    """A task's tally of one chip, with the outputs kept for the user's metrics where there are any."""

    def __init__(self, judge: WithMetrics) -> None:
        self._judge, self._tally = judge, judge.scorer.tally()
        self._outputs: list[np.ndarray] = []

    def add(self, outputs: list[np.ndarray]) -> None:
        """Take the next examples' outputs."""
        if self._judge.metrics:
            self._outputs.append(outputs[0])
        self._tally.add(outputs)

    def result(self) -> Judged:
        """All that the chip scored."""
        scores, judge = self._tally.result(), self._judge
        if not judge.metrics:
            return Judged(scores, {})
        metrics = apply_metrics(judge.metrics, np.concatenate(self._outputs), judge.labels)
        return Judged(scores, metrics)


def apply_metrics(metrics: Mapping[str, Metric], outputs: np.ndarray, labels: np.ndarray | None) -> dict[str, float]:
    """Call every metric on one chip's outputs.

    Raises:
        SettingsError: A metric raises, or returns something other than a finite number.
    """
    return {name: _number(name, metric, outputs, labels) for name, metric in metrics.items()}


def _number(name: str, metric: Metric, outputs: np.ndarray, labels: np.ndarray | None) -> float:
    try:
        value: Any = metric(outputs, labels)  # type: ignore[arg-type]
        number = float(value)
    except Exception as error:  # whatever the user's code raises
        raise SettingsError(
            f"the metric raised {type(error).__name__}: {error}",
            where=f"--metric {name}",
            fix=f"It is called with outputs {list(outputs.shape)} {outputs.dtype} and labels "
            f"{None if labels is None else list(labels.shape)}",
        ) from error
    if not math.isfinite(number):
        raise SettingsError(f"the metric returned {number}", where=f"--metric {name}", fix="Return a finite number")
    return number
