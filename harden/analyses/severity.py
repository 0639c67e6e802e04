"""Accuracy against noise strength, before and after: a quick curve on a sample of the examples."""

from __future__ import annotations

from pathlib import Path

from harden import pacing
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.records import AccuracySpread
from harden.records.fit import SeverityRecord

CHIPS = 20
EXAMPLES = 300


def severity_curve(judge: Judge, original: Model, hardened: Model, folder: Path) -> SeverityRecord:
    """Mean accuracy and 5th to 95th percentile of a few chips at multiples of the first condition's noise.

    Args:
        judge: The run's judge; at most 20 of its chips and a random sample of at most 300 of its examples are used.
        original: The model before hardening.
        hardened: The model after it.
        folder: The run folder; trials are kept there, so that a killed run resumes.
    """
    condition, scales = judge.condition, pacing.current().severity_scales
    scaled = (Condition(condition.profile.scaled(scale), condition.at_s) for scale in scales)
    few = judge.here().on(*scaled).few(CHIPS, EXAMPLES, "severity")
    curves: dict[str, list[AccuracySpread]] = {}
    for stage, model in (("before", original), ("after", hardened)):
        log = folder / f"trials.severity-{stage}.jsonl"
        record = few.of(model, trial_log=log, stage=f"severity {stage}")
        curves[stage] = [entry.accuracy for entry in record.conditions if entry.accuracy]
    return SeverityRecord(
        profile=condition.profile.name,
        scale=tuple(scales),
        before=tuple(spread.mean for spread in curves["before"]),
        before_band=tuple((spread.p05, spread.p95) for spread in curves["before"]),
        after=tuple(spread.mean for spread in curves["after"]),
        after_band=tuple((spread.p05, spread.p95) for spread in curves["after"]),
        chips=few.chips,
        examples=len(few.data),
    )
