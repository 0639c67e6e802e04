"""Demands on the chips: ``--require 'p05_accuracy>=0.85'`` and ``--require 'yield(0.9)>=0.99@95%'``.

Grammar: ``MEASURE OPERATOR NUMBER [@CONFIDENCE%]``. Without a confidence the point estimate is compared; with one, the
one-sided bound at that confidence, so that a met demand means "with this confidence, the chips fulfil it".

Measures: ``mean_accuracy``, ``median_accuracy``, ``min_accuracy``, ``worst_accuracy``, ``max_accuracy``,
``std_accuracy``, ``pNN_accuracy`` (the NN-th percentile), the same of another task's figure (``p95_rmse``),
``clean_accuracy``, ``yield(T)`` (share of chips at least as good as T in the headline), and numbers of a profile's
entry: ``ekl``, ``ece``, ``confidence``, ``agreement``, ``loss``.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from harden.errors import RequirementError, SettingsError, UnmeetableError, nearest
from harden.records import EvalRecord
from harden.records.measure import ACCURACY, Measure
from harden.statistics import intervals

_PATTERN = re.compile(
    r"\s*(?P<measure>[a-z]\w*)\s*(?:\(\s*(?P<argument>[^)]*)\))?\s*(?P<operator>>=|<=|>|<)"
    r"\s*(?P<value>[-+.\deE]+)\s*(?P<percent>%)?\s*(?:@\s*(?P<confidence>[.\d]+)\s*%)?\s*$"
)
_OPERATORS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
_PLAIN = (
    "confidence",
    "ece",
    "ekl",
    "agreement",
    "loss",
    "rms_noise_relative",
    "top5",
    "balanced_accuracy",
    "f1",
    "auroc",
)
_STATISTICS = ("mean", "median", "min", "worst", "max", "std")
_OVER_CHIPS = re.compile(rf"({'|'.join(_STATISTICS)}|p\d+(?:_\d+)?)_([a-z]\w*)")
METRIC = "metric"  # the user's own, where it is the headline
FIGURES = ("accuracy", "concordance", "r2", "rmse", "mae", "micro_f1", "macro_f1", "mean_average_precision", METRIC)
"""Figures of a chip that requirements may name: those of the tasks that come with harden."""
_MANY = 10_000_000


@dataclass(frozen=True)
class Requirement:
    """One demand, parsed.

    Attributes:
        text: As the user wrote it.
        measure: Such as "yield", "p05_accuracy".
        argument: The threshold of a yield.
        sign: ">=", ">", "<=" or "<".
        value: The number on the right.
        confidence: Of the one-sided bound, in (0, 1); None compares the point estimate.
    """

    text: str
    measure: str
    argument: float | None
    sign: str
    value: float
    confidence: float | None

    @classmethod
    def parse(cls, text: str, figures: Sequence[str] = FIGURES) -> Requirement:
        """The same as `parse`."""
        return parse(text, figures)

    def failure(self, entry: Mapping[str, Any]) -> str | None:
        """What is wrong with a condition's entry, in words; None if the demand is met.

        The entry's own verdict counts where it has one: it knows every figure of every chip.
        """
        kept = next((each for each in entry.get("requirements") or () if each["text"] == self.text), None)
        verdict = judge(self, entry) if kept is None else Verdict(self, kept["found"], kept["met"])
        if verdict.met:
            return None
        shown = "these chips do not give this number" if verdict.found is None else f"found {verdict.found:.4f}"
        return f"{self.text} is not met by {entry['name']} at {entry['at_s']:g} s: {shown}"

    @property
    def statistic(self) -> str:
        """``"p05"`` for ``p05_accuracy``; empty for what is no statistic over chips."""
        return self._parts[0]

    @property
    def figure(self) -> str:
        """``"accuracy"`` for ``p05_accuracy``; empty for what is no statistic over chips."""
        return self._parts[1]

    @property
    def quantile(self) -> float | None:
        """0.05 for ``p05_accuracy``, 0.5 for a median; None for other measures."""
        if self.statistic == "median":
            return 0.5
        return float(self.statistic[1:].replace("_", ".")) / 100 if self.statistic.startswith("p") else None

    @property
    def _parts(self) -> tuple[str, str]:
        match = _OVER_CHIPS.fullmatch(self.measure)
        return (match[1], match[2]) if match and self.measure not in _PLAIN else ("", "")

    def holds(self, value: float | None) -> bool:
        """Whether a number meets the demand; no number never does."""
        return value is not None and bool(_OPERATORS[self.sign](value, self.value))


@dataclass(frozen=True)
class Verdict:
    """What became of a requirement for one profile.

    Attributes:
        requirement: The demand.
        found: The point estimate or bound that was compared; None where these chips give none.
        met: Whether it holds.
    """

    requirement: Requirement
    found: float | None
    met: bool


def parse(text: str, figures: Sequence[str] = FIGURES) -> Requirement:
    """Read one requirement.

    Args:
        text: As given to ``--require``.
        figures: What every chip has a figure of.

    Raises:
        SettingsError: It cannot be read, or a number is out of range.

    Example:
        >>> parse("yield(0.9)>=0.99@95%")
        Requirement(text='yield(0.9)>=0.99@95%', measure='yield', argument=0.9, sign='>=', value=0.99, confidence=0.95)
    """
    match = _PATTERN.match(text)
    if match is None:
        raise SettingsError(
            f"cannot read the requirement '{text}'",
            where="--require",
            fix="Write 'p05_accuracy>=0.85' or 'yield(0.9)>=0.99@95%'",
        )
    argument = match["argument"]
    try:
        value = float(match["value"]) / (100 if match["percent"] else 1)
        threshold = float(argument) if argument is not None else None
    except ValueError as error:
        raise SettingsError(f"'{text}' holds something that is not a number", where="--require") from error
    confidence = float(match["confidence"]) / 100 if match["confidence"] else None
    requirement = Requirement(text, match["measure"], threshold, match["operator"], value, confidence)
    _check(requirement, figures)
    return requirement


def _check(r: Requirement, figures: Sequence[str]) -> None:
    problems: list[str] = []
    measures = [f"{p}_{figure}" for figure in figures for p in (*_STATISTICS, "p05")]
    measures += [*(f"clean_{figure}" for figure in figures), "yield(T)", *_PLAIN]
    is_rate = r.measure == "yield" or r.measure.endswith("accuracy")
    if not (r.figure in figures or r.measure == "yield" or r.measure in measures):
        problems.append(
            f"unknown measure '{r.measure}'. {nearest(r.measure, measures)} A percentile is written p05_accuracy"
        )
    if r.quantile is not None and not 0 < r.quantile < 1:
        problems.append(f"the percentile in '{r.measure}' must lie between 0 and 100")
    if (r.measure == "yield") != (r.argument is not None):
        problems.append("yield takes what a chip must reach, as in yield(0.9); nothing else takes an argument")
    if is_rate and not 0 <= r.value <= 1:
        problems.append(f"the rate {r.value:g} is outside [0, 1]{_meant(r.value)}")
    if r.confidence is not None:
        if not 0 < r.confidence < 1:
            problems.append("the confidence must lie between 0% and 100%")
        if not (r.measure == "yield" or r.statistic == "mean" or r.quantile is not None):
            problems.append(f"no bound is known for '{r.measure}'; leave out the @, or ask for a yield or a percentile")
    if problems:
        raise SettingsError(f"the requirement '{r.text}' is not valid", where="--require", problems=problems)


def _meant(value: float) -> str:
    return f"; write {value / 100:g} or {value:g}%" if 1 < value <= 100 else ""


def chips_needed(r: Requirement) -> int:
    """The least number of chips with which the demand could be met at all; 1 where any number will do.

    For a yield bound every chip must pass: the least n whose Clopper-Pearson bound of n out of n reaches the demand.
    For a percentile bound the worst chip must be the bound. Two for the bound of a mean.
    """
    if r.confidence is None:
        return 1
    if r.statistic == "mean":
        return 2
    upward = r.sign in (">=", ">")
    if r.measure == "yield":
        share = r.value if upward else 1 - r.value
    else:
        q = r.quantile or 0.0
        share = 1 - q if upward else q
    if share <= 0:
        return 1
    if share >= 1:
        return _MANY
    return max(1, intervals.tolerance_trials(share, r.confidence))


def check_meetable(requirements: Sequence[Requirement], chips: int) -> None:
    """Refuse, before the run, what this many chips can never show.

    Raises:
        UnmeetableError: Names the number of chips needed.
    """
    problems: list[str] = []
    for r in requirements:
        needed = chips_needed(r)
        if needed >= _MANY:
            problems.append(f"'{r.text}': no number of chips can show a yield of 1; ask for less")
        elif needed > chips:
            problems.append(f"'{r.text}' needs at least {needed} chips, even if every one of them passes")
    if problems:
        raise UnmeetableError(f"{chips} chips can never meet the requirement", where="--require", problems=problems)


def check_limits(requirements: Sequence[Requirement], threshold: float | None, measure: Measure) -> None:
    """Refuse what no chip can have: shares of more than everything, and demands on another task's figures.

    Args:
        requirements: The demands.
        threshold: That of ``--threshold``.
        measure: The headline.

    Raises:
        SettingsError: Lists the problems.
    """
    problems = [
        f"the threshold {limit:g} of {where} is outside [0, 1], where the {measure.title} lies{_meant(limit)}"
        for where, limit in (("--threshold", threshold), *((f"'{r.text}'", r.argument) for r in requirements))
        if limit is not None and measure.rate and not 0 <= limit <= 1
    ]
    if problems:
        raise SettingsError("a demand makes no sense", problems=problems)


def judge(
    r: Requirement,
    entry: Mapping[str, Any],
    trials: Mapping[str, np.ndarray] | None = None,
    measure: Measure = ACCURACY,
    measures: Sequence[Measure] = (),
) -> Verdict:
    """Compare a requirement with one profile's entry of an evaluation.

    Args:
        r: The demand.
        entry: A member of the document's ``conditions``.
        trials: Figures of each chip, by name; those in the entry where there are none.
        measure: The headline.
        measures: Other figures, for which way of them is better.
    """
    if r.measure == "yield" or r.figure:
        name = measure.name if r.measure == "yield" else r.figure
        if trials is None:
            kept: Sequence[float] = entry.get("accuracies" if name == ACCURACY.name else "scores") or ()
            values = np.asarray(kept, dtype=np.float64)
        else:
            values = trials.get(measure.name if name == METRIC else name, np.empty(0))
        sign = next((each.sign for each in measures if each.name == name), measure.sign)
        value = _bound(r, values, sign)
    else:
        value = entry.get(r.measure)
    return Verdict(r, value, r.holds(value))


def _bound(r: Requirement, values: np.ndarray, sign: int) -> float | None:
    if len(values) == 0:
        return None
    upward, n = r.sign in (">=", ">"), len(values)
    if r.measure == "yield":
        k = int((sign * values >= sign * (r.argument or 0.0)).sum())
        if r.confidence is None:
            return k / n
        if upward:
            return intervals.proportion_lower(k, n, r.confidence)
        return 1 - intervals.proportion_lower(n - k, n, r.confidence)
    q = r.quantile
    if r.confidence is None:
        return _point(r.statistic, q, values, sign)
    if q is not None:
        if upward:
            return intervals.tolerance_bound(values, 1 - q, r.confidence)
        mirrored = intervals.tolerance_bound(-values, q, r.confidence)
        return None if mirrored is None else -mirrored
    if n < 2:
        return None
    half = float(special.stdtrit(n - 1, r.confidence)) * float(values.std(ddof=1)) / math.sqrt(n)
    return float(values.mean()) + (-half if upward else half)


def _point(statistic: str, q: float | None, values: np.ndarray, sign: int) -> float | None:
    if q is not None:
        return float(np.quantile(values, q, method="linear"))
    worst = "min" if sign > 0 else "max"
    return intervals.describe(values)[worst if statistic == "worst" else statistic]


def enforce(texts: Sequence[str], record: EvalRecord | None) -> None:
    """Check every demand against every condition of an evaluation.

    Args:
        texts: The demands, as given to ``--require``.
        record: The evaluation; None where nothing was evaluated.

    Raises:
        RequirementError: Any is not met; names each with what was found.
    """
    unmet = [
        failure
        for text in texts
        for condition in (record.conditions if record else ())
        if (failure := _as_asked(text).failure(condition.to_json())) is not None
    ]
    if unmet:
        raise RequirementError("; ".join(unmet))


def _as_asked(text: str) -> Requirement:
    """A requirement that was read before, whatever figure it names."""
    match = _PATTERN.match(text)
    figure = match and _OVER_CHIPS.fullmatch(match["measure"])
    return parse(text, [figure[2]] if figure else FIGURES)
