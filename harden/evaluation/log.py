"""The log of trials: one line per trial, in the order of the plan, appended as they end.

In memory a trial is a row of numbers, so that ten thousand chips need hardly more than ten.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harden.errors import RunFolderError
from harden.evaluation.plan import Task, TrialPlan
from harden.store import append_line, read_lines

Columns = dict[str, np.ndarray]
"""One float64 array per metric, NaN where it has no value; metrics of the user's are ``metrics.NAME``."""


class TrialLog:
    """The trials so far, in memory and, where a path is given, on disk.

    Args:
        path: ``trials.jsonl``; None keeps nothing on disk.
        plan: What the log must hold.

    Attributes:
        count: How many trials there are, from the plan's beginning.

    Raises:
        RunFolderError: The file holds trials of another plan.
    """

    def __init__(self, path: Path | None, plan: TrialPlan) -> None:
        self.path = path
        self.count = 0
        self._plan = plan
        self._columns: dict[str, array[float]] = {}
        tasks = plan.tasks()
        for record in read_lines(path) if path is not None else ():
            task = next(tasks, None)
            if task is None:
                raise RunFolderError(
                    f"the log holds more than the {len(plan)} trials of this run",
                    where=str(path),
                    fix="Name another --out",
                )
            self._compare(record, task, plan)
            self._keep(record)

    def add(self, number: int, record: Mapping[str, object]) -> None:
        """Append the plan's trial ``number`` unless an earlier process already did."""
        if number < self.count:
            return
        self._keep(record)
        if self.path is not None:
            append_line(self.path, record)

    def of(self, condition: int) -> Columns:
        """The finished trials of one condition: one column per metric, one row per chip."""
        rows = slice(condition * self._plan.chips, (condition + 1) * self._plan.chips)
        columns = {key: np.array(column[rows]) for key, column in self._columns.items()}
        return {key: column for key, column in columns.items() if not np.isnan(column).all()}

    def _keep(self, record: Mapping[str, object]) -> None:
        numbers = {key: value for key, value in record.items() if isinstance(value, (int, float))}
        if isinstance(metrics := record.get("metrics"), Mapping):
            numbers |= {f"metrics.{key}": value for key, value in metrics.items()}
        for key in numbers:
            if key not in self._columns:
                self._columns[key] = array("d", [float("nan")] * self.count)
        for key, column in self._columns.items():
            column.append(float(numbers.get(key, float("nan"))))
        self.count += 1

    def _compare(self, record: Mapping[str, object], task: Task, plan: TrialPlan) -> None:
        expected = plan.identify(task)
        identity = {key: record.get(key) for key in expected}
        if identity != expected:
            raise RunFolderError(
                f"the log holds a trial of another run: {identity} where {expected} belongs",
                where=str(self.path),
                fix="Name another --out",
            )
