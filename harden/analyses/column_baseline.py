"""What a column-referenced mapping would give for nothing: 20 chips, beside the evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.records import EvalRecord
from harden.records.condition import ColumnBaseline

CHIPS = 20
_STAGE = "chips of a mapping that scales each column"


def with_column_baseline(
    judge: Judge, model: Model, record: EvalRecord, trial_log: Path | None = None, chips: int = CHIPS
) -> EvalRecord:
    """The record with ``column_baseline`` in each condition whose profile refers to the largest weight of the tensor.

    Much of what rescaling gains is what hardware with a digital scale per column gives by itself, so a gain is shown
    beside it. Conditions of other profiles get ``None``.

    Args:
        judge: The judge of the record.
        model: The model that the record is of.
        record: What that judge found.
        trial_log: The run's own log; the logs of these chips lie beside it, so that a killed run resumes.
        chips: How many of the judge's chips are used, at most.
    """
    conditions = []
    for number, (entry, condition) in enumerate(zip(record.conditions, judge.conditions, strict=True)):
        baseline = None
        column = by_column(condition)
        if column is not None:
            few = judge.here().on(column).few(chips)
            log = None if trial_log is None else trial_log.with_name(f"trials.column-{number}.jsonl")
            accuracy = few.of(model, trial_log=log, stage=_STAGE).conditions[0].accuracy
            baseline = ColumnBaseline(chips=few.chips, accuracy=accuracy)
        conditions.append(entry.replaced(column_baseline=baseline))
    return record.replaced(conditions=tuple(conditions))


def by_column(condition: Condition) -> Condition | None:
    """The same noise, relative to the largest weight of each column; None where it is not relative to the tensor's."""
    profile = condition.profile
    if not profile.scales_with_range or profile.parameters.get("reference") != "tensor":
        return None
    knobs = {**profile.knobs, "reference": "column"}
    return Condition(replace(profile, knobs=knobs), condition.at_s, copies=condition.copies)
