"""Networks under conditions: what each chip scored, and what tells the conditions apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harden.report.words import clean, duration, known, number, shown


@dataclass(frozen=True)
class Trials:
    """One network under one condition: an entry of ``profiles`` of an evaluation.

    Args:
        role: "before", "after", or the network's name.
        entry: The entry itself.
        clean: The ``clean`` part of its evaluation.
    """

    role: str
    entry: Mapping[str, Any]
    clean: Mapping[str, Any]

    @property
    def spread(self) -> Mapping[str, Any]:
        """Mean, std and percentiles over chips: of the accuracy, or of the fidelity where nothing is classified."""
        fidelity = self.entry.get("fidelity") or {}
        for part in (self.entry.get("accuracy"), fidelity.get("cosine"), fidelity):
            if isinstance(part, Mapping) and known(part.get("mean")):
                return part
        return {}

    @property
    def chips(self) -> int:
        """Number of chips."""
        count = self.entry.get("chips")
        return int(count) if known(count) else len(self.values)

    @property
    def values(self) -> list[float]:
        """The measure of every chip in order, empty where the document keeps none."""
        return [float(v) for v in self.entry.get("accuracies") or [] if known(v)]

    @property
    def yields(self) -> Mapping[str, Any]:
        """The ``yield`` part, empty where no threshold was given."""
        part = self.entry.get("yield")
        return part if isinstance(part, Mapping) and known(part.get("value")) else {}

    @property
    def threshold(self) -> float | None:
        """The accuracy a chip has to reach."""
        value = self.yields.get("threshold")
        return float(value) if known(value) else None


@dataclass(frozen=True)
class Condition:
    """One profile at one time and one sweep point, with the trials of every network under it.

    ``subject`` is the network that the report is about: the hardened one, the only one, or the best of several.
    """

    label: str
    name: str
    at_s: float | None
    parameters: Mapping[str, Any]
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
            >>> Condition("pcm at 1 h", "pcm", 3600.0, {}, (), Trials("network", {}, {})).noise
            'pcm noise at 1 h'
        """
        name = clean(self.name or "noise")
        return self.described.replace(name, f"{name} noise", 1) if self.name else self.described


def condition_labels(entries: list[Mapping[str, Any]]) -> list[str]:
    """What tells the entries apart: the profile's name, the parameters that differ, the time.

    Example:
        >>> condition_labels([{"name": "pcm", "at_s": 0}, {"name": "pcm", "at_s": 3600}])
        ['pcm at 0 s', 'pcm at 1 h']
        >>> condition_labels([{"name": "gaussian", "parameters": {"sigma": s, "to": "max"}} for s in (0.1, 0.2)])
        ['gaussian, sigma 0.1', 'gaussian, sigma 0.2']
    """

    def parameters(entry: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**(entry.get("parameters") or {}), **(entry.get("sweep") or {})}

    timed = any(known(e.get("at_s")) and e["at_s"] > 0 for e in entries)
    labels = []
    for entry in entries:
        same = [parameters(e) for e in entries if e.get("name") == entry.get("name")]
        differing = [k for k in parameters(entry) if len({repr(p.get(k)) for p in same}) > 1]
        text = clean(entry.get("name") or "noise")
        for key in differing:
            value = parameters(entry)[key]
            text += f", {clean(key)} {number(value) if known(value) else clean(value)}"
        if timed and known(entry.get("at_s")):
            text += f" at {duration(entry['at_s'])}"
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
