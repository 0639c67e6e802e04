"""Accuracy against noise strength, before and after: a quick curve on a sample of the examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harden import pacing, streams
from harden.data.dataset import Dataset
from harden.evaluation.evaluate import evaluate
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.progress import Notify

CHIPS = 20
EXAMPLES = 300


def severity_curve(
    original: Model,
    hardened: Model,
    condition: Condition,
    data: Dataset,
    *,
    folder: Path,
    chips: int,
    seed: int,
    threads: int,
    digital: tuple[str, ...],
    notify: Notify,
) -> dict[str, Any]:
    """Mean accuracy and 5th to 95th percentile of a few chips at multiples of the profile's noise.

    Args:
        original: The model before hardening.
        hardened: The model after it.
        condition: The profile and time whose severity is scaled; 1 is the device, 0 no noise.
        data: The examples reported on; a random sample of at most 300 is used.
        folder: The run folder; trials are kept there, so that a killed run resumes.
        chips: Chips of the run; the curve uses at most 20.
        seed: The run's root seed.
        threads: Processor threads.
        digital: Globs of tensors kept off the crossbars.
        notify: Told of progress.

    Returns:
        ``scale``, ``before``, ``after`` (mean accuracies), ``before_band``, ``after_band`` (5th and 95th percentile
        over chips at each strength), ``chips``, ``examples``, ``profile``.
    """
    few = data.sample(EXAMPLES, streams.numpy_generator(seed, "severity"))
    count, scales = min(chips, CHIPS), pacing.current().severity_scales
    conditions = [Condition(condition.profile.scaled(scale), condition.at_s) for scale in scales]
    curves = {}
    for stage, model in (("before", original), ("after", hardened)):
        document = evaluate(
            model,
            conditions,
            few,
            chips=count,
            seed=seed,
            threads=threads,
            digital=digital,
            trials=folder / f"trials.severity-{stage}.jsonl",
            progress=lambda done, total, stage=stage: notify(f"severity {stage}", done, total),
        ).document
        found = [entry["accuracy"] for entry in document["profiles"]]
        curves[stage] = [one["mean"] for one in found]
        curves[f"{stage}_band"] = [[one["p05"], one["p95"]] for one in found]
    return {
        "profile": condition.profile.name,
        "scale": list(scales),
        **curves,
        "chips": count,
        "examples": len(few),
    }
