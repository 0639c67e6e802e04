"""Accuracy against noise strength, before and after: a quick curve on a sample of the examples."""

from __future__ import annotations

import math
from pathlib import Path

from harden import pacing
from harden.analyses.sample import Sample
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.records import AccuracySpread
from harden.records.fit import SeverityRecord

_MOST, _LEAST = Sample(20, 300), Sample(4, 64)


def sampled(passes: float) -> Sample:
    """The chips and examples that the curves of two networks may have for so many passes."""
    return _MOST.within(passes / (2 * len(pacing.current().severity_scales)), _LEAST)


def severity_curve(
    judge: Judge, original: Model, hardened: Model, folder: Path, passes: float = math.inf
) -> SeverityRecord:
    """Mean accuracy and 5th to 95th percentile of a few chips at multiples of the first condition's noise.

    Args:
        judge: The run's judge; at most 20 of its chips and a random sample of at most 300 of its examples are used.
        original: The model before hardening.
        hardened: The model after it.
        folder: The run folder; trials are kept there, so that a killed run resumes.
        passes: What it may cost, in passes of one example; chips and examples are reduced to keep it, down to 4 and 64.
    """
    condition, scales = judge.condition, pacing.current().severity_scales
    scaled = (Condition(condition.profile.scaled(scale), condition.at_s) for scale in scales)
    sample = sampled(passes)
    few = judge.here().on(*scaled).few(sample.chips, sample.examples, "severity")
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
