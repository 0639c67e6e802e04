"""What a report is about: which networks, under which conditions, with which chips.

A report is made from a record of ``harden eval`` (one network), ``harden fit`` (before and after) or ``harden compare``
(several); what follows from the record for the reader is worked out here, so that the sections need not.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePath
from typing import Any

from harden.records import CompareRecord, EvalRecord, FitRecord, ReportRecord, TrainingRecord, read
from harden.records.condition import Verdict
from harden.records.evaluation import DataRecord, Environment, LayerRow, ModelRecord
from harden.records.measure import ACCURACY, Measure
from harden.report.conditions import Condition, Trials, condition_labels, written
from harden.words import clean, known

Document = Mapping[str, Any] | ReportRecord
"""A record, or the JSON of one of any version."""

_NO_MODEL = ModelRecord.read({})
_NO_DATA = DataRecord.read({})
_NO_TRAINING = TrainingRecord.read({})


class Reading:
    """A record with names for what a report asks of it.

    Args:
        document: A record of ``harden eval``, ``fit`` or ``compare``, or its JSON of any version.

    Attributes:
        record: The record.
        fit: The record where it is one of ``harden fit``, else None.
        comparison: The record where it is one of ``harden compare``, else None.
        evaluations: The networks' chips, by role: "network", before and after, or their names.

    Raises:
        InputError: The document is none of these.

    Example:
        >>> Reading({"schema": "harden.eval/2", "conditions": []}).kind
        'eval'
    """

    def __init__(self, document: Document | Reading) -> None:
        if isinstance(document, Reading):
            document = document.record
        self.record: ReportRecord = read(document) if isinstance(document, Mapping) else document
        self.fit = self.record if isinstance(self.record, FitRecord) else None
        self.comparison = self.record if isinstance(self.record, CompareRecord) else None
        self.evaluations: tuple[tuple[str, EvalRecord], ...] = tuple(_evaluations(self.record))

    @property
    def kind(self) -> str:
        """``eval``, ``fit`` or ``compare``."""
        return "fit" if self.fit else "compare" if self.comparison else "eval"

    @property
    def last(self) -> EvalRecord | None:
        """The chips of the network that the report is about; of several, those of the last."""
        return self.evaluations[-1][1] if self.evaluations else None

    @property
    def roles(self) -> tuple[str, ...]:
        """The networks: before and after, or their names."""
        return tuple(role for role, _ in self.evaluations)

    @property
    def model(self) -> ModelRecord:
        """The network that the report is about, as it was given."""
        return (self.fit and self.fit.model) or (self.last and self.last.model) or _NO_MODEL

    @property
    def model_name(self) -> str:
        """The model's file name, or what it was called on the command line."""
        text = clean(self.model.path or "model")
        return text if ":" in text and "/" not in text else PurePath(text.replace("\\", "/")).name or text

    @property
    def method(self) -> str | None:
        """The name of the method, resolved; None in evaluations."""
        return clean(self.fit.method.name) if self.fit and self.fit.method else None

    @property
    def levers(self) -> Mapping[str, Any]:
        """What each lever did, by name; empty outside of ``harden fit``."""
        return self.fit.levers if self.fit else {}

    @property
    def training(self) -> TrainingRecord:
        """How the weights came about; without any value outside of ``harden fit``."""
        return (self.fit and self.fit.training) or _NO_TRAINING

    @property
    def data(self) -> DataRecord:
        """The data the networks were tested on."""
        return next((e.data for _, e in reversed(self.evaluations) if e.data), _NO_DATA)

    @property
    def seed(self) -> int | None:
        """The root seed of the chips."""
        return next((e.seed for _, e in reversed(self.evaluations) if e.seed is not None), None)

    @property
    def environment(self) -> Environment | None:
        """Versions and machine."""
        return self.record.environment

    @property
    def layers(self) -> tuple[LayerRow, ...]:
        """What noise in one tensor does, a row for each tensor."""
        return (self.fit and self.fit.sensitivity) or (self.last and self.last.sensitivity) or ()

    @property
    def headline(self) -> Measure:
        """What is measured of a chip."""
        return next((trials.measure for condition in self.conditions for trials in condition.trials), ACCURACY)

    @property
    def measure(self) -> str:
        """What it is called: "accuracy", without labels "fidelity", ..."""
        return self.headline.title

    def write(self, value: float | None) -> str:
        """A value of it, as people read it."""
        return written(self.headline, value)

    @property
    def constant(self) -> float | None:
        """The accuracy of always answering with the commonest class; None where chips have no accuracy."""
        share = self.data.classes.commonest if self.data.classes else None
        return share if self.headline.name == ACCURACY.name else None

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions in the order they were asked for; only those that have a number."""
        columns = [[Trials(role, entry, e.clean) for entry in e.conditions] for role, e in self.evaluations]
        count = max((len(column) for column in columns), default=0)
        groups = [tuple(c[i] for c in columns if i < len(c) and known(c[i].mean)) for i in range(count)]
        groups = [group for group in groups if group]
        labels = condition_labels([group[-1].entry for group in groups])
        return tuple(map(self._condition, labels, groups))

    def _condition(self, text: str, group: tuple[Trials, ...]) -> Condition:
        entry = group[-1].entry
        best = max(group, key=lambda t: t.measure.sign * t.mean) if self.kind == "compare" else group[-1]
        return Condition(text, entry.name, entry.at_s, {**entry.parameters, **entry.sweep}, group, best)

    @property
    def hardest(self) -> Condition | None:
        """The condition with the lowest mean, the one a verdict has to stand on."""
        return min(self.conditions, key=lambda c: c.subject.measure.sign * c.subject.mean, default=None)

    @property
    def requirements(self) -> list[tuple[Condition, Verdict]]:
        """What was required of the network that the report is about, condition by condition, and whether it is met."""
        return [(c, verdict) for c in self.conditions for verdict in c.subject.entry.requirements]

    @property
    def profile(self) -> str:
        """The names of the profiles, each once."""
        names = list(dict.fromkeys(c.name for c in self.conditions if c.name))
        return ", ".join(clean(n) for n in names) or (clean(self.fit.profile) if self.fit else "") or "noise"


def _evaluations(record: ReportRecord) -> list[tuple[str, EvalRecord]]:
    if isinstance(record, EvalRecord):
        return [("network", record)]
    if isinstance(record, FitRecord):
        return [(role, part) for role, part in (("before", record.before), ("after", record.after)) if part]
    return [
        (clean(model.name or f"model {number}"), model.evaluation)
        for number, model in enumerate(record.models, 1)
        if model.evaluation
    ]
