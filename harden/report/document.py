"""Reading a report document: which networks, under which conditions, with which chips.

A document is plain JSON: ``harden.eval/1`` (one network), ``harden.fit/1`` (before and after) or ``harden.compare/1``
(several). Keys may be missing or null; everything here copes with that, so that the sections need not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from harden.errors import InputError
from harden.report.words import clean, duration, known, number, percent, shown

Document = Mapping[str, Any]

SPREAD = ("mean", "std", "min", "p05", "median", "p95", "max")


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


class Reading:
    """A document with names for its parts.

    Args:
        document: A ``harden.eval/1``, ``harden.fit/1`` or ``harden.compare/1`` document.

    Raises:
        InputError: The document is none of these.

    Example:
        >>> Reading({"schema": "harden.eval/1", "profiles": []}).kind
        'eval'
    """

    def __init__(self, document: Document) -> None:
        schema = str(document.get("schema", ""))
        kind = schema.removeprefix("harden.").partition("/")[0]
        if kind not in ("eval", "fit", "compare"):
            raise InputError(
                f"'{clean(schema)}' is not a document that reports are made from",
                where="schema",
                fix="Give the report.json of `harden fit`, `harden eval` or `harden compare`.",
            )
        self.document = document
        self.kind = kind
        self.evaluations = tuple(self._evaluations())

    def _evaluations(self) -> list[tuple[str, Document]]:
        if self.kind == "eval":
            return [("network", self.document)]
        if self.kind == "fit":
            return [(role, part) for role in ("before", "after") if (part := self.part(role))]
        models = self.document.get("models") or []
        return [(clean(m.get("name") or f"model {i + 1}"), m.get("evaluation") or {}) for i, m in enumerate(models)]

    def part(self, *keys: str) -> Document:
        """A nested mapping of the document, empty where it is missing or null."""
        node: Any = self.document
        for key in keys:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node if isinstance(node, Mapping) else {}

    def rows(self, key: str) -> list[Mapping[str, Any]]:
        """A list of mappings: of the document or else of its last evaluation; empty where it is missing or null."""
        places = [self.document, *(evaluation for _, evaluation in self.evaluations[-1:])]
        value = next((place[key] for place in places if isinstance(place.get(key), list)), [])
        return [row for row in value if isinstance(row, Mapping)]

    @property
    def roles(self) -> tuple[str, ...]:
        """The networks: before and after, or their names."""
        return tuple(role for role, _ in self.evaluations)

    @property
    def model(self) -> Document:
        """The model that the report is about."""
        return self.part("model") or (self.evaluations[-1][1].get("model") or {} if self.evaluations else {})

    @property
    def model_name(self) -> str:
        """The model's file name, or what it was called on the command line."""
        text = clean(self.model.get("path") or self.model.get("name") or "model")
        return text if ":" in text and "/" not in text else PurePath(text.replace("\\", "/")).name or text

    @property
    def method(self) -> str | None:
        """The name of the method, resolved; None in evaluations."""
        return name_of(self.document.get("method"))

    @property
    def data(self) -> Document:
        """The data the networks were tested on."""
        found = [part for _, evaluation in reversed(self.evaluations) if (part := evaluation.get("data"))]
        return found[0] if found else self.part("data")

    @property
    def seed(self) -> Any:
        """The root seed of the chips."""
        seeds = [e.get("seed") for _, e in self.evaluations if e.get("seed") is not None]
        return seeds[-1] if seeds else self.document.get("seed")

    @property
    def measure(self) -> str:
        """What is measured of a chip: "accuracy" or, without labels, "fidelity"."""
        entries = [e for _, part in self.evaluations for e in part.get("profiles") or []]
        classified = any(isinstance(e.get("accuracy"), Mapping) for e in entries)
        return "fidelity" if entries and not classified else "accuracy"

    @property
    def clean(self) -> dict[str, Document]:
        """The clean measures of each network, by role."""
        return {role: e.get("clean") or {} for role, e in self.evaluations}

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions in the order they were asked for; only those that have a number."""
        columns = [
            [Trials(role, entry, e.get("clean") or {}) for entry in e.get("profiles") or []]
            for role, e in self.evaluations
        ]
        count = max((len(column) for column in columns), default=0)
        groups = [tuple(c[i] for c in columns if i < len(c) and c[i].spread) for i in range(count)]
        groups = [group for group in groups if group]
        labels = condition_labels([group[-1].entry for group in groups])
        return tuple(map(self._condition, labels, groups))

    def _condition(self, text: str, group: tuple[Trials, ...]) -> Condition:
        entry = group[-1].entry
        best = max(group, key=lambda t: t.spread["mean"]) if self.kind == "compare" else group[-1]
        parameters = {**(entry.get("parameters") or {}), **(entry.get("sweep") or {})}
        return Condition(text, str(entry.get("name", "")), entry.get("at_s"), parameters, group, best)

    @property
    def hardest(self) -> Condition | None:
        """The condition with the lowest mean, the one a verdict has to stand on."""
        return min(self.conditions, key=lambda c: c.subject.spread["mean"], default=None)

    @property
    def requirements(self) -> list[tuple[Condition, Mapping[str, Any]]]:
        """What was required of the network that the report is about, condition by condition, and whether it is met."""
        return [(c, r) for c in self.conditions for r in c.subject.entry.get("requirements") or []]

    @property
    def profile(self) -> str:
        """The names of the profiles, each once."""
        names = list(dict.fromkeys(c.name for c in self.conditions if c.name))
        return ", ".join(clean(n) for n in names) or name_of(self.document.get("profile")) or "noise"


def name_of(value: Any) -> str | None:
    """The name in a string, in a mapping with "name", or in a list of these."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return name_of(value.get("name"))
    if isinstance(value, list):
        return ", ".join(name for item in value if (name := name_of(item))) or None
    return None


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


def over_chips(spread: Mapping[str, Any]) -> str:
    """Mean and standard deviation with the source of the variance named.

    Example:
        >>> over_chips({"mean": 0.8161, "std": 0.0123})
        '81.6% ± 1.2% (standard deviation over chips)'
    """
    if not known(spread.get("std")):
        return percent(spread.get("mean"))
    return f"{percent(spread.get('mean'))} ± {percent(spread.get('std'))} (standard deviation over chips)"
