"""From trials to a profile's entry of the document: numbers only, no model, no time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harden.evaluation import statistics
from harden.evaluation.metrics import expected_kl
from harden.evaluation.plan import Condition
from harden.evaluation.requirements import Requirement, judge

CONTENTS = (0.90, 0.95, 0.99)
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
_AVERAGED = ("loss", "confidence", "ece", "agreement", "top5", "balanced_accuracy", "f1", "auroc", "rms_noise_relative")
_FIDELITY = ("nrmse", "sqnr_db", "cosine")


def summarise(
    condition: Condition,
    trials: Sequence[Mapping[str, Any]],
    *,
    clean: Mapping[str, Any],
    threshold: float | None,
    requirements: Sequence[Requirement],
    hits: np.ndarray | None = None,
    mean_p: np.ndarray | None = None,
    labels: np.ndarray | None = None,
) -> dict[str, Any]:
    """One entry of "profiles".

    Args:
        condition: The noise.
        trials: Its lines of the log, by chip.
        clean: The clean network's scores.
        threshold: Accuracy a good chip reaches; None takes that of a yield among the requirements.
        requirements: Demands to judge.
        hits: [N] how many chips got each image right.
        mean_p: [M, C] probabilities averaged over chips.
        labels: [N], for the accuracy of each class.

    Returns:
        The entry, with all keys of ``harden.eval/1``.
    """
    classified = trials[0]["accuracy"] is not None
    accuracies = np.array([t["accuracy"] for t in trials]) if classified else None
    limit = threshold if threshold is not None else _asked(requirements)
    entry: dict[str, Any] = {
        **condition.describe(),
        "chips": len(trials),
        "accuracy": None,
        "yield": None,
        "tolerance": {f"{round(c * 100)}/95": None for c in CONTENTS},
        **{key: _mean(trials, key) for key in _AVERAGED},
        "ekl": None,
        "fidelity": {k: _spread(trials, k) for k in _FIDELITY} if "nrmse" in trials[0] else None,
        "clean_accuracy": clean.get("accuracy"),
        "accuracies": None,
    }
    if accuracies is not None:
        entry |= _over_chips(accuracies, trials, limit, hits)
    if mean_p is not None:
        entry["ekl"] = expected_kl(mean_p, float(np.mean([t["entropy"] for t in trials])))
    if hits is not None and labels is not None:
        entry["class_accuracy"] = class_accuracy(hits, labels, len(trials))
    if trials[0].get("metrics"):
        names = trials[0]["metrics"]
        entry["metrics"] = {n: statistics.describe([t["metrics"][n] for t in trials]) for n in names}
    broken = sum(1 for t in trials if t.get("non_finite"))
    if broken:
        entry["non_finite_chips"] = broken
    entry["requirements"] = [_verdict(r, entry) for r in requirements]
    return entry


def _over_chips(
    accuracies: np.ndarray, trials: Sequence[Mapping[str, Any]], limit: float | None, hits: np.ndarray | None
) -> dict[str, Any]:
    correct = np.array([t["correct"] for t in trials])
    both = statistics.mean_interval_images(correct, hits) if hits is not None else None
    worst = int(np.argmin(accuracies))
    return {
        "accuracy": {
            **statistics.describe(accuracies),
            "ci95": _listed(statistics.mean_interval(accuracies)),
            "ci95_images": _listed(both),
            "quantiles": [
                {
                    "q": q,
                    "value": float(np.quantile(accuracies, q, method="linear")),
                    "ci95": _listed(statistics.quantile_interval(accuracies, q)),
                }
                for q in QUANTILES
            ],
        },
        "yield": None if limit is None else yield_at(accuracies, limit),
        "tolerance": {f"{round(c * 100)}/95": statistics.tolerance_bound(accuracies, c) for c in CONTENTS},
        "tolerance_ranks": {f"{round(c * 100)}/95": statistics.tolerance_rank(len(accuracies), c) for c in CONTENTS},
        "worst_chip": worst,
        "accuracies": accuracies.tolist(),
    }


def yield_at(accuracies: np.ndarray, threshold: float) -> dict[str, Any]:
    """The share of chips at or above a threshold, with its two-sided Clopper-Pearson interval.

    Example:
        >>> yield_at(np.array([0.8, 0.9, 0.95, 1.0]), 0.9)["value"]
        0.75
    """
    good = int((accuracies >= threshold).sum())
    return {
        "threshold": threshold,
        "value": good / len(accuracies),
        "ci95": _listed(statistics.proportion_interval(good, len(accuracies))),
    }


def class_accuracy(hits: np.ndarray, labels: np.ndarray, chips: int) -> list[float | None]:
    """Mean accuracy over chips of the images of each class; None for a class without images.

    Example:
        >>> class_accuracy(np.array([2, 1, 0]), np.array([0, 0, 2]), 2)
        [0.75, None, 0.0]
    """
    images = np.bincount(labels)
    right = np.bincount(labels, weights=hits)
    return [float(r / (n * chips)) if n else None for r, n in zip(right, images, strict=True)]


def _asked(requirements: Sequence[Requirement]) -> float | None:
    return next((r.argument for r in requirements if r.measure == "yield"), None)


def _mean(trials: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [t[key] for t in trials if t.get(key) is not None]
    return float(np.mean(values)) if values else None


def _spread(trials: Sequence[Mapping[str, Any]], key: str) -> dict[str, float | None] | None:
    values = [t[key] for t in trials if t.get(key) is not None]
    return statistics.describe(values) if values else None


def _listed(interval: tuple[float | None, float | None] | None) -> list[float | None] | None:
    """As JSON gives it back, so that a document equals its own file."""
    return None if interval is None else list(interval)


def _verdict(requirement: Requirement, entry: Mapping[str, Any]) -> dict[str, Any]:
    verdict = judge(requirement, entry)
    return {"text": requirement.text, "found": verdict.found, "met": verdict.met}
