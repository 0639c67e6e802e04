"""``harden eval --until``: the mean over chips to a wanted certainty, and nothing that so few images cannot tell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from harden.analyses.mean_to_precision import mean_accuracy_until
from harden.data.dataset import Dataset
from harden.engines import Engine, LocalEngine
from harden.errors import SettingsError
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.progress import Notify
from harden.settings import EvalSettings

_UNKNOWN = ("std", "min", "p05", "median", "p95", "max", "ci95_images")


def evaluate_until(
    settings: EvalSettings,
    model: Model,
    data: Dataset,
    conditions: Sequence[Condition],
    threads: int,
    notify: Notify,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """A ``harden.eval/1`` document whose entries know the mean and its interval; the rest of them is null.

    Raises:
        SettingsError: ``--until`` cannot be read, or is combined with what needs all images on every chip.
    """
    if settings.require or settings.threshold is not None or settings.out:
        raise SettingsError(
            "--until measures the mean only, so it cannot be combined with --require, --threshold or --out",
            fix="Leave --until out to have every image on every chip",
        )
    started = time.perf_counter()
    entries = []
    for number, condition in enumerate(conditions):
        notify("conditions", number, len(conditions))
        found = mean_accuracy_until(
            model,
            condition,
            data,
            settings.until or "",
            seed=settings.seed,
            digital=settings.digital,
            threads=threads,
            engine=engine,
        )
        accuracy = {"mean": found["mean"], **dict.fromkeys(_UNKNOWN), "ci95": found["ci"]}
        empty = dict.fromkeys(("yield", "tolerance", "confidence", "ece", "ekl", "agreement", "fidelity", "accuracies"))
        entries.append({**condition.describe(), "chips": found["chips"], "accuracy": accuracy, **empty, "until": found})
    notify("conditions", len(conditions), len(conditions))
    seconds = time.perf_counter() - started
    images = sum(entry["until"]["images"] for entry in entries)
    return {
        "schema": "harden.eval/1",
        "model": {"path": model.source, "sha256": model.sha256, "opset": model.opset, "batch_norm": model.batch_norm},
        "data": {"source": str(data.source), "examples": len(data), "sha256": data.sha256},
        "seed": settings.seed,
        "clean": {"accuracy": entries[0]["until"]["clean"]},
        "profiles": entries,
        "runtime": {"seconds": seconds, "images_per_second": images / seconds, "engine": (engine or LocalEngine).name},
    }
