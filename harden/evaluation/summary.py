"""From trials to a condition's record: numbers only, no model, no time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harden.evaluation.log import Columns
from harden.evaluation.plan import Condition
from harden.records import ConditionRecord
from harden.statistics import intervals
from harden.statistics.distribution import normality
from harden.statistics.metrics import expected_kl
from harden.statistics.reliability import reliability
from harden.statistics.requirements import Requirement, judge

CONTENTS = (0.90, 0.95, 0.99)
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
_AVERAGED = ("loss", "confidence", "ece", "agreement", "top5", "balanced_accuracy", "f1", "auroc", "rms_noise_relative")
_SPREAD = ("loss", "balanced_accuracy", "f1", "auroc", "top5")
_CUSTOM = "metrics."
_FIDELITY = ("nrmse", "sqnr_db", "cosine")


def summarise(
    condition: Condition,
    trials: Columns,
    *,
    clean: Mapping[str, Any],
    threshold: float | None,
    requirements: Sequence[Requirement],
    hits: np.ndarray | None = None,
    mean_p: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    bins: np.ndarray | None = None,
    periphery: Mapping[str, object] | None = None,
) -> ConditionRecord:
    """The record of one condition.

    Args:
        condition: The noise.
        trials: Its part of the log: one column per metric, one row per chip.
        clean: The clean network's scores.
        threshold: Accuracy a good chip reaches; None takes that of a yield among the requirements.
        requirements: Demands to judge.
        hits: [N] how many chips got each image right.
        mean_p: [M, C] probabilities averaged over chips.
        labels: [N], for the accuracy of each class.
        bins: [15, 3] images of all chips by confidence.
        periphery: Knobs and ranges of converters and output noise, where there are any.
    """
    chips = len(trials["chip"])
    accuracies = trials.get("accuracy")
    limit = threshold if threshold is not None else _asked(requirements)
    entry: dict[str, Any] = {
        **condition.describe(),
        "chips": chips,
        "accuracy": None,
        "yield": None,
        "tolerance": {f"{round(c * 100)}/95": None for c in CONTENTS},
        **{key: _mean(trials, key) for key in _AVERAGED},
        "ekl": None,
        "fidelity": {k: _spread(trials, k) for k in _FIDELITY} if "nrmse" in trials else None,
        "clean_accuracy": clean.get("accuracy"),
        "accuracies": None,
    }
    if accuracies is not None:
        entry |= _over_chips(accuracies, trials["correct"], limit, hits)
        entry["spreads"] = {k: _spread(trials, k) for k in _SPREAD if k in trials}
    if mean_p is not None:
        entry["ekl"] = expected_kl(mean_p, float(trials["entropy"].mean()))
    if bins is not None:
        entry["reliability"] = reliability(bins)
    if hits is not None and labels is not None:
        entry["class_accuracy"] = class_accuracy(hits, labels, chips)
    custom = [key for key in trials if key.startswith(_CUSTOM)]
    if custom:
        entry["metrics"] = {key.removeprefix(_CUSTOM): intervals.describe(trials[key]) for key in custom}
    if "non_finite" in trials:
        entry["non_finite_chips"] = int((trials["non_finite"] > 0).sum())
    entry["requirements"] = [_verdict(r, entry) for r in requirements]
    if periphery is not None:
        entry["periphery"] = periphery
    return ConditionRecord.model_validate(entry)


def _over_chips(
    accuracies: np.ndarray, correct: np.ndarray, limit: float | None, hits: np.ndarray | None
) -> dict[str, Any]:
    both = intervals.mean_interval_images(correct, hits) if hits is not None else None
    return {
        "accuracy": {
            **intervals.describe(accuracies),
            "ci95": _rates(intervals.mean_interval(accuracies)),
            "ci95_images": _rates(both),
            "quantiles": [
                {
                    "q": q,
                    "value": float(np.quantile(accuracies, q, method="linear")),
                    "ci95": _listed(intervals.quantile_interval(accuracies, q)),
                }
                for q in QUANTILES
            ],
        },
        "yield": None if limit is None else yield_at(accuracies, limit),
        "tolerance": {f"{round(c * 100)}/95": intervals.tolerance_bound(accuracies, c) for c in CONTENTS},
        "tolerance_ranks": {f"{round(c * 100)}/95": intervals.tolerance_rank(len(accuracies), c) for c in CONTENTS},
        "distribution": {k: v for k, v in normality(accuracies, limit).items() if k != "quantiles"},
        "worst_chip": int(np.argmin(accuracies)),
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
        "ci95": _listed(intervals.proportion_interval(good, len(accuracies))),
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


def _mean(trials: Columns, key: str) -> float | None:
    return float(np.nanmean(trials[key])) if key in trials else None


def _spread(trials: Columns, key: str) -> dict[str, float | None] | None:
    values = trials.get(key, np.empty(0))
    values = values[~np.isnan(values)]
    return intervals.describe(values) if len(values) else None


def _listed(interval: tuple[float | None, float | None] | None) -> list[float | None] | None:
    """As JSON gives it back, so that a document equals its own file."""
    return None if interval is None else list(interval)


def _rates(interval: tuple[float | None, float | None] | None) -> list[float | None] | None:
    """An interval of a rate: what lies outside [0, 1] cannot be, and cutting it off loses no coverage."""
    if interval is None:
        return None
    return [None if bound is None else min(max(bound, 0.0), 1.0) for bound in interval]


def _verdict(requirement: Requirement, entry: Mapping[str, Any]) -> dict[str, Any]:
    verdict = judge(requirement, entry)
    return {"text": requirement.text, "found": verdict.found, "met": verdict.met}
