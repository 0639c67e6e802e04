"""Accuracy against noise strength, before and after: a quick curve on a sample of the examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harden import pacing
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.graph.file import Model

CHIPS = 20
EXAMPLES = 300


def severity_curve(judge: Judge, original: Model, hardened: Model, folder: Path) -> dict[str, Any]:
    """Mean accuracy and 5th to 95th percentile of a few chips at multiples of the first condition's noise.

    Args:
        judge: The run's judge; at most 20 of its chips and a random sample of at most 300 of its examples are used.
        original: The model before hardening.
        hardened: The model after it.
        folder: The run folder; trials are kept there, so that a killed run resumes.

    Returns:
        ``scale`` (1 is the device, 0 no noise), ``before``, ``after`` (mean accuracies), ``before_band``,
        ``after_band`` (5th and 95th percentile over chips at each strength), ``chips``, ``examples``, ``profile``.
    """
    condition, scales = judge.condition, pacing.current().severity_scales
    scaled = (Condition(condition.profile.scaled(scale), condition.at_s) for scale in scales)
    few = judge.here().on(*scaled).few(CHIPS, EXAMPLES, "severity")
    curves = {}
    for stage, model in (("before", original), ("after", hardened)):
        log = folder / f"trials.severity-{stage}.jsonl"
        document = few.of(model, trial_log=log, stage=f"severity {stage}").document
        accuracies = [entry["accuracy"] for entry in document["profiles"]]
        curves[stage] = [accuracy["mean"] for accuracy in accuracies]
        curves[f"{stage}_band"] = [[accuracy["p05"], accuracy["p95"]] for accuracy in accuracies]
    return {
        "profile": condition.profile.name,
        "scale": list(scales),
        **curves,
        "chips": few.chips,
        "examples": len(few.data),
    }
