"""Reading a report document: which networks, under which conditions, with which chips.

A document is plain JSON: ``harden.eval/1`` (one network), ``harden.fit/1`` (before and after) or ``harden.compare/1``
(several). Keys may be missing or null; everything here copes with that, so that the sections need not.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePath
from typing import Any

from harden.errors import InputError
from harden.report.conditions import Condition, Trials, condition_labels
from harden.report.words import clean, known

Document = Mapping[str, Any]


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
    def constant(self) -> float | None:
        """The accuracy of always answering with the commonest class; None where chips have no accuracy."""
        share = (self.data.get("classes") or {}).get("commonest")
        return float(share) if known(share) and self.measure == "accuracy" else None

    @property
    def clean(self) -> dict[str, Document]:
        """The clean measures of each network, by role."""
        return {role: e.get("clean") or {} for role, e in self.evaluations}

    @cached_property
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
