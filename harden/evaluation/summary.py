"""From trials to a condition's record: numbers only, no model, no time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harden.evaluation.log import Columns
from harden.evaluation.plan import Condition
from harden.records import AccuracySpread, ConditionRecord
from harden.records.condition import Quantile, ScoreSpread, Verdict, Yield
from harden.records.evaluation import Clean
from harden.records.measure import ACCURACY, Measure
from harden.statistics import intervals
from harden.statistics.distribution import normality
from harden.statistics.requirements import Requirement, judge
from harden.tasks import Scorer
from harden.tasks.base import spread

_BOUNDS = {"90/95": 0.90, "95/95": 0.95, "99/95": 0.99}  # content by name; the confidence is 95%
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
_CUSTOM = "metrics."


def summarise(
    condition: Condition,
    trials: Columns,
    *,
    clean: Clean,
    threshold: float | None,
    requirements: Sequence[Requirement],
    scorer: Scorer,
    measure: Measure | None = None,
    sums: Mapping[str, np.ndarray] | None = None,
) -> ConditionRecord:
    """The record of one condition.

    Args:
        condition: The noise.
        trials: Its part of the log: one column per metric, one row per chip.
        clean: The network without noise.
        threshold: What a good chip reaches in the headline; None takes that of a yield among the requirements.
        requirements: Demands to judge.
        scorer: The task's, which knows what else there is to say.
        measure: The headline; None takes the scorer's.
        sums: Sums over the chips; None where the task has none.
    """
    chips, measure = len(trials["chip"]), measure or scorer.headline
    values = trials.get(measure.name)
    accuracies = trials.get(ACCURACY.name)
    limit = threshold if threshold is not None else _asked(requirements)
    more = dict(scorer.summary(trials, sums, chips))
    record = ConditionRecord(
        **condition.describe(),
        chips=chips,
        accuracy=None if accuracies is None else _accuracy(accuracies, trials["correct"], sums),
        yield_=None if values is None or limit is None else yield_at(values, limit, measure),
        tolerance={
            name: None if values is None else _bound(values, content, measure) for name, content in _BOUNDS.items()
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
        fidelity=None,
        clean_accuracy=clean.accuracy,
        accuracies=None if accuracies is None else tuple(accuracies.tolist()),
    )
    if values is not None:
        shape = normality(values, limit if measure.better == "more" else None)
        more["tolerance_ranks"] = {name: intervals.tolerance_rank(chips, c) for name, c in _BOUNDS.items()}
        more["distribution"] = {key: value for key, value in shape.items() if key != "quantiles"}
        more["worst_chip"] = int(np.argmin(measure.sign * values))
        more["spreads"] = {key: spread(trials, key) for key in scorer.spreads(trials)}
    if values is not None and measure.name != ACCURACY.name:
        more |= {"measure": measure, "score": _score(values), "scores": tuple(values.tolist())}
    if custom := {key.removeprefix(_CUSTOM): spread(trials, key) for key in trials if key.startswith(_CUSTOM)}:
        more["metrics"] = custom
    if "non_finite" in trials:
        more["non_finite_chips"] = int((trials["non_finite"] > 0).sum())
    numbers = {**record.replaced(**more).to_json(), f"clean_{measure.name}": clean.score}
    if accuracies is not None:
        numbers["clean_accuracy"] = clean.accuracy
    return record.replaced(
        **more, requirements=tuple(_verdict(each, numbers, trials, measure, scorer) for each in requirements)
    )


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


def _score(values: np.ndarray) -> ScoreSpread:
    return ScoreSpread.model_validate({**intervals.describe(values), "ci95": intervals.mean_interval(values)})


def _bound(values: np.ndarray, content: float, measure: Measure) -> float | None:
    """What a share of all chips has at least or, where less is better, at most."""
    bound = intervals.tolerance_bound(measure.sign * values, content)
    return None if bound is None else measure.sign * bound


def yield_at(values: np.ndarray, threshold: float, measure: Measure = ACCURACY) -> Yield:
    """The share of chips that are at least as good as a threshold, with its two-sided Clopper-Pearson interval.

    Example:
        >>> yield_at(np.array([0.8, 0.9, 0.95, 1.0]), 0.9).value
        0.75
    """
    good, chips = int((measure.sign * values >= measure.sign * threshold).sum()), len(values)
    return Yield(threshold=threshold, value=good / chips, ci95=intervals.proportion_interval(good, chips))


def _asked(requirements: Sequence[Requirement]) -> float | None:
    return next((r.argument for r in requirements if r.measure == "yield"), None)


def _mean(trials: Columns, key: str) -> float | None:
    return float(np.nanmean(trials[key])) if key in trials else None


def _rates(interval: intervals.Interval | None) -> intervals.Interval | None:
    """An interval of a rate: what lies outside [0, 1] cannot be, and cutting it off loses no coverage."""
    return interval and (min(max(interval[0], 0.0), 1.0), min(max(interval[1], 0.0), 1.0))


def _verdict(
    requirement: Requirement, numbers: Mapping[str, object], trials: Columns, measure: Measure, scorer: Scorer
) -> Verdict:
    verdict = judge(requirement, numbers, trials, measure, scorer.measures)
    return Verdict(text=requirement.text, found=verdict.found, met=verdict.met)
