"""Networks under conditions: what each chip scored, and what tells the conditions apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from harden.records import AccuracySpread, ConditionRecord, Spread
from harden.records.base import RateInterval
from harden.records.condition import Yield
from harden.records.evaluation import Clean
from harden.records.measure import ACCURACY, CONCORDANCE, Measure
from harden.words import MISSING, clean, duration, known, number, percent, points, shown

_NOTHING = Spread.read({})


@dataclass(frozen=True)
class Trials:
    """One network under one condition.

    Args:
        role: "network", "before", "after", or the network's name.
        entry: The condition's record.
        clean: The network's scores without noise.
    """

    role: str
    entry: ConditionRecord
    clean: Clean

    @property
    def measure(self) -> Measure:
        """The headline: what the report is about."""
        return self.entry.measure or (CONCORDANCE if self.entry.fidelity and not self.entry.accuracy else ACCURACY)

    @property
    def spread(self) -> Spread | AccuracySpread:
        """The headline over chips; of an old record without labels, a cosine."""
        fidelity = self.entry.fidelity
        return self.entry.accuracy or self.entry.score or (fidelity and fidelity.cosine) or _NOTHING

    @property
    def mean(self) -> float:
        """Mean over chips; NaN where no chip was tried."""
        return self.spread.mean

    @property
    def worst(self) -> float | None:
        """Of the worst chip."""
        return self.spread.min if self.measure.better == "more" else self.spread.max

    @property
    def ci95(self) -> tuple[float | None, float | None] | None:
        """95% interval of the mean over other chips."""
        spread = self.entry.accuracy or self.entry.score
        return spread.ci95 if spread else None

    @property
    def ci95_images(self) -> RateInterval | None:
        """95% interval of the mean over other chips and other images."""
        return self.entry.accuracy.ci95_images if self.entry.accuracy else None

    @property
    def without_noise(self) -> float | None:
        """The headline of the network without noise."""
        return self.clean.accuracy if self.measure.name == ACCURACY.name else self.clean.score

    def write(self, value: float | None) -> str:
        """A value of the headline as people read it."""
        return written(self.measure, value)

    def between(self, bounds: tuple[float | None, float | None] | None) -> str:
        """Two values of the headline as a range."""
        low, high = bounds or (None, None)
        return f"{self.write(low)} to {self.write(high)}" if known(low) and known(high) else MISSING

    @property
    def chips(self) -> int:
        """Number of chips."""
        return len(self.values) if self.entry.chips is None else self.entry.chips

    @property
    def values(self) -> list[float]:
        """The headline of every chip in order, empty where the record keeps none."""
        return [float(v) for v in self.entry.accuracies or self.entry.scores if known(v)]

    @property
    def reached(self) -> Yield | None:
        """The share of chips that reach the threshold; None where no threshold was given."""
        part = self.entry.yield_
        return part if part and known(part.value) else None

    @property
    def threshold(self) -> float | None:
        """The accuracy a chip has to reach."""
        return self.reached.threshold if self.reached and known(self.reached.threshold) else None

    @property
    def tolerance(self) -> Mapping[str, float | None]:
        """Tolerance bounds by name; empty where there are none."""
        return self.entry.tolerance or {}


def written(measure: Measure, value: float | None) -> str:
    """A value of a measure: a rate in percent, any other as a number."""
    return percent(value) if measure.rate else number(value, 4)


def gained(measure: Measure, value: float | None) -> str:
    """A difference of two values of a measure, with its sign and unit.

    Example:
        >>> gained(ACCURACY, 0.1)
        '+10.0 points'
    """
    if measure.rate:
        return f"{points(value)} points"
    return MISSING if value is None else f"{value:+.4g}".replace("-", "\u2212")


@dataclass(frozen=True)
class Condition:
    """One profile at one time and one sweep point, with the trials of every network under it.

    ``subject`` is the network that the report is about: the hardened one, the only one, or the best of several.
    """

    label: str
    name: str
    at_s: float | None
    parameters: Mapping[str, object]
    trials: tuple[Trials, ...]
    subject: Trials

    def of(self, role: str) -> Trials | None:
        """The trials of one network."""
        return next((t for t in self.trials if t.role == role), None)

    @property
    def described(self) -> str:
        """The label, with the profile's parameters where these are few."""
        usual = {"reference": "tensor", "tile_rows": 256, "tile_columns": 256, "gradient": "straight"}
        knobs = [
            f"{clean(key)} {shown(value)}"
            for key, value in self.parameters.items()
            if value not in (0, None, usual.get(key)) and f", {clean(key)} " not in self.label
        ]
        return f"{self.label} ({', '.join(knobs)})" if 0 < len(knobs) <= 3 else self.label

    @property
    def noise(self) -> str:
        """As ``described``, for use in a sentence.

        Example:
            >>> pcm = ConditionRecord.read({"name": "pcm", "at_s": 3600.0})
            >>> Condition("pcm at 1 h", "pcm", 3600.0, {}, (), Trials("network", pcm, Clean.read({}))).noise
            'pcm noise at 1 h'
        """
        name = clean(self.name or "noise")
        return self.described.replace(name, f"{name} noise", 1) if self.name else self.described


Row: TypeAlias = tuple[str, Callable[[Trials], float | None], Callable[[float | None], str]]
"""A row of a table: its title, the number in each network's cell, and how it is written."""


def table_rows(trials: Sequence[Trials], rows: Sequence[Row]) -> list[list[str]]:
    """The rows as text, a cell for each network; those without any number are left out."""
    table = [[title, *(write(get(t)) for t in trials)] for title, get, write in rows]
    return [row for row in table if any(cell != MISSING for cell in row[1:])]


def condition_labels(entries: Sequence[ConditionRecord]) -> list[str]:
    """What tells the entries apart: the profile's name, the parameters that differ, the time.

    Example:
        >>> condition_labels([ConditionRecord.read({"name": "pcm", "at_s": time}) for time in (0, 3600)])
        ['pcm at 0 s', 'pcm at 1 h']
        >>> laws = [{"name": "gaussian", "parameters": {"sigma": sigma, "to": "max"}} for sigma in (0.1, 0.2)]
        >>> condition_labels([ConditionRecord.read(law) for law in laws])
        ['gaussian, sigma 0.1', 'gaussian, sigma 0.2']
    """

    def parameters(entry: ConditionRecord) -> Mapping[str, object]:
        return {**entry.parameters, **entry.sweep}

    timed = any(known(entry.at_s) and entry.at_s > 0 for entry in entries)
    labels = []
    for entry in entries:
        same = [parameters(other) for other in entries if other.name == entry.name]
        differing = [k for k in parameters(entry) if len({repr(p.get(k)) for p in same}) > 1]
        text = clean(entry.name or "noise")
        for key in differing:
            value = parameters(entry)[key]
            text += f", {clean(key)} {number(value) if known(value) else clean(value)}"
        if timed and known(entry.at_s):
            text += f" at {duration(entry.at_s)}"
        labels.append(text)
    return labels


def swept(conditions: tuple[Condition, ...]) -> str | None:
    """The one numeric parameter that differs between conditions of one profile, if exactly one does."""
    if len(conditions) < 2 or len({c.name for c in conditions}) > 1 or len({c.at_s for c in conditions}) > 1:
        return None
    keys = [k for k in conditions[0].parameters if len({repr(c.parameters.get(k)) for c in conditions}) > 1]
    numeric = len(keys) == 1 and all(known(c.parameters.get(keys[0])) for c in conditions)
    return keys[0] if numeric else None


def timed(conditions: tuple[Condition, ...]) -> list[list[Condition]]:
    """Conditions that differ in their time only, in the order of time; groups of one are left out."""
    groups: dict[str, list[Condition]] = {}
    for condition in conditions:
        if known(condition.at_s):
            key = repr((condition.name, sorted(condition.parameters.items())))
            groups.setdefault(key, []).append(condition)
    return [sorted(g, key=lambda c: c.at_s or 0.0) for g in groups.values() if len({c.at_s for c in g}) > 1]
