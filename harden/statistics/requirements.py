"""Demands on the chips: ``--require 'p05_accuracy>=0.85'`` and ``--require 'yield(0.9)>=0.99@95%'``.

Grammar: ``MEASURE OPERATOR NUMBER [@CONFIDENCE%]``. Without a confidence the point estimate is compared; with one, the
one-sided bound at that confidence, so that a met demand means "with this confidence, the chips fulfil it".

Measures: ``mean_accuracy``, ``median_accuracy``, ``min_accuracy`` (also ``worst_accuracy``), ``max_accuracy``,
``std_accuracy``, ``pNN_accuracy`` (the NN-th percentile), ``clean_accuracy``, ``yield(T)`` (share of chips with an
accuracy of at least T), and numbers of a profile's entry: ``ekl``, ``ece``, ``confidence``, ``agreement``, ``loss``.
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
_ACCURACY = ("mean", "median", "min", "worst", "max", "std")
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
    def parse(cls, text: str) -> Requirement:
        """The same as `parse`."""
        return parse(text)

    def failure(self, entry: Mapping[str, Any]) -> str | None:
        """What is wrong with a profile's entry of an evaluation, in words; None if the demand is met."""
        verdict = judge(self, entry)
        if verdict.met:
            return None
        shown = "these chips do not give this number" if verdict.found is None else f"found {verdict.found:.4f}"
        return f"{self.text} is not met by {entry['name']} at {entry['at_s']:g} s: {shown}"

    @property
    def quantile(self) -> float | None:
        """0.05 for ``p05_accuracy``; None for other measures."""
        match = re.fullmatch(r"p(\d+(?:_\d+)?)_accuracy", self.measure)
        return float(match.group(1).replace("_", ".")) / 100 if match else None

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


def parse(text: str) -> Requirement:
    """Read one requirement.

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
    _check(requirement)
    return requirement


def _check(r: Requirement) -> None:
    problems: list[str] = []
    measures = [f"{p}_accuracy" for p in _ACCURACY] + ["p05_accuracy", "clean_accuracy", "yield(T)", *_PLAIN]
    is_rate = r.measure == "yield" or r.measure.endswith("accuracy")
    if not (r.quantile is not None or r.measure == "yield" or r.measure in measures):
        problems.append(
            f"unknown measure '{r.measure}'. {nearest(r.measure, measures)} A percentile is written p05_accuracy"
        )
    if r.quantile is not None and not 0 < r.quantile < 1:
        problems.append(f"the percentile in '{r.measure}' must lie between 0 and 100")
    if (r.measure == "yield") != (r.argument is not None):
        problems.append("yield takes the accuracy a chip must reach, as in yield(0.9); nothing else takes an argument")
    if r.argument is not None and not 0 <= r.argument <= 1:
        problems.append(f"the threshold {r.argument:g} is outside [0, 1]{_meant(r.argument)}")
    if is_rate and not 0 <= r.value <= 1:
        problems.append(f"the rate {r.value:g} is outside [0, 1]{_meant(r.value)}")
    if r.confidence is not None:
        if not 0 < r.confidence < 1:
            problems.append("the confidence must lie between 0% and 100%")
        if not (r.measure in ("yield", "mean_accuracy", "median_accuracy") or r.quantile is not None):
            problems.append(f"no bound is known for '{r.measure}'; leave out the @, or ask for a yield or a percentile")
    if problems:
        raise SettingsError(f"the requirement '{r.text}' is not valid", where="--require", problems=problems)


def _meant(value: float) -> str:
    return f"; write {value / 100:g}" if 1 < value <= 100 else ""


def chips_needed(r: Requirement) -> int:
    """The least number of chips with which the demand could be met at all; 1 where any number will do.

    For a yield bound every chip must pass: the least n whose Clopper-Pearson bound of n out of n reaches the demand.
    For a percentile bound the worst chip must be the bound. Two for the bound of a mean.
    """
    if r.confidence is None:
        return 1
    if r.measure == "mean_accuracy":
        return 2
    upward = r.sign in (">=", ">")
    if r.measure == "yield":
        share = r.value if upward else 1 - r.value
    else:
        q = 0.5 if r.measure == "median_accuracy" else r.quantile or 0.0
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


def judge(r: Requirement, entry: Mapping[str, Any]) -> Verdict:
    """Compare a requirement with one profile's entry of an evaluation (a member of the document's "profiles")."""
    if _over_chips(r):
        value = _bound(r, np.asarray(entry["accuracies"] or [], dtype=np.float64))
    else:
        value = entry.get(r.measure)
    return Verdict(r, value, r.holds(value))


def _over_chips(r: Requirement) -> bool:
    return r.measure == "yield" or (r.measure.endswith("_accuracy") and r.measure not in ("clean_accuracy", *_PLAIN))


def _bound(r: Requirement, values: np.ndarray) -> float | None:
    if len(values) == 0:
        return None
    upward, n = r.sign in (">=", ">"), len(values)
    if r.measure == "yield":
        k = int((values >= (r.argument or 0.0)).sum())
        if r.confidence is None:
            return k / n
        if upward:
            return intervals.proportion_lower(k, n, r.confidence)
        return 1 - intervals.proportion_lower(n - k, n, r.confidence)
    q = 0.5 if r.measure == "median_accuracy" else r.quantile
    if r.confidence is None:
        return _point(r.measure, q, values)
    if q is not None:
        if upward:
            return intervals.tolerance_bound(values, 1 - q, r.confidence)
        mirrored = intervals.tolerance_bound(-values, q, r.confidence)
        return None if mirrored is None else -mirrored
    if n < 2:
        return None
    half = float(special.stdtrit(n - 1, r.confidence)) * float(values.std(ddof=1)) / math.sqrt(n)
    return float(values.mean()) + (-half if upward else half)


def _point(measure: str, q: float | None, values: np.ndarray) -> float | None:
    if q is not None:
        return float(np.quantile(values, q, method="linear"))
    name = "min" if measure.startswith("worst") else measure.removesuffix("_accuracy")
    return intervals.describe(values)[name]


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
        if (failure := Requirement.parse(text).failure(condition.to_json())) is not None
    ]
    if unmet:
        raise RequirementError("; ".join(unmet))
