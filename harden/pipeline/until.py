"""``harden eval --until``: the mean over chips to a wanted certainty, and nothing that so few images cannot tell."""

from __future__ import annotations

import time
from typing import Any

from harden.analyses.mean_to_precision import mean_accuracy_until
from harden.engines import LocalEngine
from harden.evaluation.judge import Judge
from harden.graph.file import Model

_UNKNOWN = ("std", "min", "p05", "median", "p95", "max", "ci95_images")


def evaluate_until(judge: Judge, model: Model, until: str) -> dict[str, Any]:
    """A ``harden.eval/1`` document whose entries know the mean and its interval; the rest of them is null.

    Args:
        judge: The judge; every example is in the mean.
        model: The model.
        until: The certainty that is wanted, such as ``ci95(mean_accuracy)<0.005``.
    """
    data, conditions, engine = judge.data, judge.conditions, judge.where.engine
    started = time.perf_counter()
    entries = []
    for number, condition in enumerate(conditions):
        judge.notify("conditions", number, len(conditions))
        result = mean_accuracy_until(
            model,
            condition,
            data,
            until,
            seed=judge.seed,
            digital=judge.where.digital,
            threads=judge.where.threads,
            engine=engine,
        )
        accuracy = {"mean": result["mean"], **dict.fromkeys(_UNKNOWN), "ci95": result["ci"]}
        empty = dict.fromkeys(("yield", "tolerance", "confidence", "ece", "ekl", "agreement", "fidelity", "accuracies"))
        entries.append(
            {**condition.describe(), "chips": result["chips"], "accuracy": accuracy, **empty, "until": result}
        )
    judge.notify("conditions", len(conditions), len(conditions))
    seconds = time.perf_counter() - started
    images = sum(entry["until"]["images"] for entry in entries)
    return {
        "schema": "harden.eval/1",
        "model": {"path": model.source, "sha256": model.sha256, "opset": model.opset, "batch_norm": model.batch_norm},
        "data": {"source": str(data.source), "examples": len(data), "sha256": data.sha256},
        "seed": judge.seed,
        "clean": {"accuracy": entries[0]["until"]["clean"]},
        "profiles": entries,
        "runtime": {"seconds": seconds, "images_per_second": images / seconds, "engine": (engine or LocalEngine).name},
    }
