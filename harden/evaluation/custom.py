"""The user's own metrics: ``--metric package.module:function``."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np

from harden.errors import SettingsError
from harden.records.measure import Measure
from harden.tasks import Scorer, Scores

Metric = Callable[..., float]
"""Called with the first output for all examples, [N, ...], and the labels (None without); and, where it has parameters
of these names, with ``outputs`` and ``inputs``: all of the model's, each [N, ...], by name. Where less is better it has
an attribute ``greater_is_better = False``."""

Arrays = Mapping[str, np.ndarray]


def load_metrics(names: Sequence[str]) -> dict[str, Metric]:
    """Import metrics by ``package.module:function``.

    Modules are looked for in the current folder, too. What a metric is called with: :data:`Metric`.

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
            member: Any = getattr(_imported(module), function)
        except Exception as error:  # whatever the user's module raises
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


def measure_of(name: str, metric: Metric) -> Measure:
    """The user's metric as a measure: its column in the log of trials, its name without the module."""
    better = "more" if getattr(metric, "greater_is_better", True) else "less"
    return Measure(name=f"metrics.{name}", title=name.rpartition(":")[2].replace("_", " "), better=better, rate=False)


@dataclass(frozen=True)
class WithMetrics:
    """A task's scorer and the user's metrics.

    Attributes:
        scorer: The task's.
        metrics: The user's, by name.
        labels: [N, ...], or None.
        names: Of the model's outputs.
        inputs: All examples' inputs by name; asked only where a metric wants them.
    """

    scorer: Scorer
    metrics: Mapping[str, Metric]
    labels: np.ndarray | None
    names: Sequence[str]
    inputs: Callable[[], Arrays]

    def tally(self) -> ChipTally:
        """An empty tally for one chip."""
        return ChipTally(self)


class ChipTally:
    """A task's tally of one chip, with the outputs kept for the user's metrics where there are any."""

    def __init__(self, judge: WithMetrics) -> None:
        self._judge, self._tally = judge, judge.scorer.tally()
        self._outputs: list[list[np.ndarray]] = []

    def add(self, outputs: list[np.ndarray]) -> None:
        """Take the next examples' outputs."""
        if self._judge.metrics:
            self._outputs.append(outputs)
        self._tally.add(outputs)

    def result(self) -> Judged:
        """All that the chip scored."""
        scores, judge = self._tally.result(), self._judge
        outputs = {
            name: np.concatenate(parts)
            for name, parts in zip(judge.names, zip(*self._outputs, strict=True), strict=False)
            if all(part.ndim for part in parts)
        }
        return Judged(scores, apply_metrics(judge.metrics, outputs, judge.labels, judge.inputs))


def apply_metrics(
    metrics: Mapping[str, Metric], outputs: Arrays, labels: np.ndarray | None, inputs: Callable[[], Arrays]
) -> dict[str, float]:
    """Call every metric on one chip's outputs.

    Raises:
        SettingsError: A metric raises, or returns something other than a finite number.
    """
    return {name: _number(name, metric, outputs, labels, inputs) for name, metric in metrics.items()}


def _imported(module: str) -> ModuleType:
    """A module of an installed package, or of the current folder."""
    folder = str(Path.cwd())
    if folder in sys.path:
        return importlib.import_module(module)
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(folder)


def _number(
    name: str, metric: Metric, outputs: Arrays, labels: np.ndarray | None, inputs: Callable[[], Arrays]
) -> float:
    first = next(iter(outputs.values()))
    try:
        wanted = inspect.signature(metric).parameters
    except (TypeError, ValueError):  # written in C: it has no signature to read
        wanted = {}
    # The first two parameters are the first output and the labels, whatever they are called.
    extra = list(wanted)[2:]
    more = {"outputs": lambda: outputs, "inputs": inputs}
    try:
        value: Any = metric(first, labels, **{key: more[key]() for key in extra if key in more})
        number = float(value)
    except Exception as error:  # whatever the user's code raises
        shape = None if labels is None else list(labels.shape)
        raise SettingsError(
            f"the metric raised {type(error).__name__}: {error}",
            where=f"--metric {name}",
            fix=f"It is called with outputs {list(first.shape)} {first.dtype} and labels {shape}",
        ) from error
    if not math.isfinite(number):
        raise SettingsError(f"the metric returned {number}", where=f"--metric {name}", fix="Return a finite number")
    return number
