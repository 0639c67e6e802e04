"""What a column-referenced mapping would give for nothing: 20 chips, beside the evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.graph.file import Model

CHIPS = 20
_STAGE = "chips of a mapping that scales each column"


def add_column_baseline(judge: Judge, model: Model, document: dict[str, Any], trial_log: Path | None = None) -> None:
    """Put ``column_baseline`` into each entry whose profile refers to the largest weight of the tensor.

    Much of what rescaling gains is what hardware with a digital scale per column gives by itself, so a gain is shown
    beside it. Entries of other profiles get ``None``.

    Args:
        judge: The judge of the document; at most 20 of its chips are used.
        model: The model that the document is of.
        document: A ``harden.eval/1`` document; changed.
        trial_log: The run's own log; the logs of these chips lie beside it, so that a killed run resumes.
    """
    for number, (entry, condition) in enumerate(zip(document["profiles"], judge.conditions, strict=True)):
        entry["column_baseline"] = None
        column = by_column(condition)
        if column is not None:
            few = judge.here().on(column).few(CHIPS)
            log = None if trial_log is None else trial_log.with_name(f"trials.column-{number}.jsonl")
            baseline = few.of(model, trial_log=log, stage=_STAGE).document
            entry["column_baseline"] = {"chips": few.chips, "accuracy": baseline["profiles"][0]["accuracy"]}


def by_column(condition: Condition) -> Condition | None:
    """The same noise, relative to the largest weight of each column; None where it is not relative to the tensor's."""
    profile = condition.profile
    if not profile.scales_with_range or profile.parameters.get("reference") != "tensor":
        return None
    knobs = {**profile.knobs, "reference": "column"}
    return Condition(replace(profile, knobs=knobs), condition.at_s, copies=condition.copies)
