"""From trials to a condition's record: numbers only, no model, no time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harden.evaluation.log import Columns
from harden.evaluation.plan import Condition
from harden.records import AccuracySpread, ConditionRecord, Spread
from harden.records.condition import Fidelity, Quantile, Verdict, Yield
from harden.statistics import intervals
from harden.statistics.distribution import normality
from harden.statistics.requirements import Requirement, judge
from harden.tasks import Scorer

_BOUNDS = {"90/95": 0.90, "95/95": 0.95, "99/95": 0.99}  # content by name; the confidence is 95%
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
_SPREAD = ("loss", "balanced_accuracy", "f1", "auroc", "top5")
_CUSTOM = "metrics."
_FIDELITY = ("nrmse", "sqnr_db", "cosine")


def summarise(
    condition: Condition,
    trials: Columns,
    *,
    clean_accuracy: float | None,
    threshold: float | None,
    requirements: Sequence[Requirement],
    scorer: Scorer,
    sums: Mapping[str, np.ndarray] | None = None,
) -> ConditionRecord:
    """The record of one condition.

    Args:
        condition: The noise.
        trials: Its part of the log: one column per metric, one row per chip.
        clean_accuracy: Of the network without noise; None for data without labels.
        threshold: Accuracy a good chip reaches; None takes that of a yield among the requirements.
        requirements: Demands to judge.
        scorer: The task's, which knows what else there is to say.
        sums: Sums over the chips; None where the task has none.
    """
    chips = len(trials["chip"])
    accuracies = trials.get("accuracy")
    limit = threshold if threshold is not None else _asked(requirements)
    more = dict(scorer.summary(trials, sums, chips))
    record = ConditionRecord(
        **condition.describe(),
        chips=chips,
        accuracy=None if accuracies is None else _accuracy(accuracies, trials["correct"], sums),
        yield_=None if accuracies is None or limit is None else yield_at(accuracies, limit),
        tolerance={
            name: None if accuracies is None else intervals.tolerance_bound(accuracies, content)
            for name, content in _BOUNDS.items()
        },
        loss=_mean(trials, "loss"),
        confidence=_mean(trials, "confidence"),
        ece=_mean(trials, "ece"),
        agreement=_mean(trials, "agreement"),
        top5=_mean(trials, "top5"),
        balanced_accuracy=_mean(trials, "balanced_accuracy"),
        f1=_mean(trials, "f1"),
        auroc=_mean(trials, "auroc"),
        rms_noise_relative=_mean(trials, "rms_noise_relative"),
        ekl=None,
        fidelity=Fidelity(**{key: _spread(trials, key) for key in _FIDELITY}) if "nrmse" in trials else None,
        clean_accuracy=clean_accuracy,
        accuracies=None if accuracies is None else tuple(accuracies.tolist()),
    )
    if accuracies is not None:
        shape = normality(accuracies, limit)
        more["tolerance_ranks"] = {name: intervals.tolerance_rank(chips, c) for name, c in _BOUNDS.items()}
        more["distribution"] = {key: value for key, value in shape.items() if key != "quantiles"}
        more["worst_chip"] = int(np.argmin(accuracies))
        more["spreads"] = {key: _spread(trials, key) for key in _SPREAD if key in trials}
    if custom := {key.removeprefix(_CUSTOM): _spread(trials, key) for key in trials if key.startswith(_CUSTOM)}:
        more["metrics"] = custom
    if "non_finite" in trials:
        more["non_finite_chips"] = int((trials["non_finite"] > 0).sum())
    numbers = record.to_json()
    return record.replaced(**more, requirements=tuple(_verdict(demand, numbers) for demand in requirements))


def _accuracy(accuracies: np.ndarray, correct: np.ndarray, sums: Mapping[str, np.ndarray] | None) -> AccuracySpread:
    return AccuracySpread.model_validate(
        {
            **intervals.describe(accuracies),
            "ci95": _rates(intervals.mean_interval(accuracies)),
            "ci95_images": _rates(intervals.mean_interval_images(correct, sums["hits"]) if sums else None),
            "quantiles": [
                Quantile(
                    q=q,
                    value=float(np.quantile(accuracies, q, method="linear")),
                    ci95=intervals.quantile_interval(accuracies, q),
                )
                for q in QUANTILES
            ],
        }
    )


def yield_at(accuracies: np.ndarray, threshold: float) -> Yield:
    """The share of chips at or above a threshold, with its two-sided Clopper-Pearson interval.

    Example:
        >>> yield_at(np.array([0.8, 0.9, 0.95, 1.0]), 0.9).value
        0.75
    """
    good, chips = int((accuracies >= threshold).sum()), len(accuracies)
    return Yield(threshold=threshold, value=good / chips, ci95=intervals.proportion_interval(good, chips))


def _asked(requirements: Sequence[Requirement]) -> float | None:
    return next((r.argument for r in requirements if r.measure == "yield"), None)


def _mean(trials: Columns, key: str) -> float | None:
    return float(np.nanmean(trials[key])) if key in trials else None


def _spread(trials: Columns, key: str) -> Spread | None:
    values = trials.get(key, np.empty(0))
    values = values[~np.isnan(values)]
    return Spread.model_validate(intervals.describe(values)) if len(values) else None


def _rates(interval: intervals.Interval | None) -> intervals.Interval | None:
    """An interval of a rate: what lies outside [0, 1] cannot be, and cutting it off loses no coverage."""
    return interval and (min(max(interval[0], 0.0), 1.0), min(max(interval[1], 0.0), 1.0))


def _verdict(requirement: Requirement, numbers: Mapping[str, object]) -> Verdict:
    verdict = judge(requirement, numbers)
    return Verdict(text=requirement.text, found=verdict.found, met=verdict.met)
