"""The log of trials: one line a trial, in the order of the plan, appended as they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harden.errors import RunFolderError
from harden.evaluation.plan import Plan, Task
from harden.store import append_line, read_lines


class TrialLog:
    """The trials so far, in memory and, where a path is given, on disk.

    Args:
        path: ``trials.jsonl``; None keeps nothing on disk.
        plan: What the log must hold.

    Raises:
        RunFolderError: The file holds trials of another plan.
    """

    def __init__(self, path: Path | None, plan: Plan) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = list(read_lines(path)) if path is not None else []
        for record, task in zip(self.records, plan.tasks(), strict=False):
            self._compare(record, task, plan)
        if len(self.records) > len(plan):
            raise RunFolderError(
                f"the log holds {len(self.records)} trials, the plan has {len(plan)}",
                where=str(path),
                fix="Name another --out",
            )

    def add(self, number: int, record: dict[str, Any]) -> None:
        """Append the plan's trial ``number`` unless an earlier process already did."""
        if number < len(self.records):
            return
        self.records.append(record)
        if self.path is not None:
            append_line(self.path, record)

    def of(self, condition: int) -> list[dict[str, Any]]:
        """The trials of one condition, by chip."""
        return [r for r in self.records if r["condition"] == condition]

    def _compare(self, record: dict[str, Any], task: Task, plan: Plan) -> None:
        wanted = plan.identify(task)
        found = {key: record.get(key) for key in wanted}
        if found != wanted:
            raise RunFolderError(
                f"the log holds a trial of another run: {found} where {wanted} belongs",
                where=str(self.path),
                fix="Name another --out",
            )
