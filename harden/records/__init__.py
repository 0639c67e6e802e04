"""The documents that harden writes and reads: typed, versioned, frozen, one class for both directions.

``read(document)`` takes any version, ``record.document`` gives the JSON, and the published schemas are made from the
classes.
"""

from __future__ import annotations

from collections.abc import Mapping

from harden.errors import InputError
from harden.records.base import Record, is_number
from harden.records.chip import ChipRecord, ReplayRecord
from harden.records.comparison import ComparedModel, CompareRecord, Difference
from harden.records.condition import AccuracySpread, ConditionRecord, Spread
from harden.records.evaluation import Environment, EvalRecord
from harden.records.fit import FitRecord
from harden.records.migrate import migrated
from harden.records.training import AnotherTraining, TrainingRecord

__all__ = [
    "AccuracySpread",
    "AnotherTraining",
    "ChipRecord",
    "CompareRecord",
    "ComparedModel",
    "ConditionRecord",
    "Difference",
    "Environment",
    "EvalRecord",
    "Evaluation",
    "FitRecord",
    "Record",
    "ReplayRecord",
    "ReportRecord",
    "Spread",
    "TrainingRecord",
    "is_number",
    "read",
]

Evaluation = EvalRecord  # its name before it was a record
ReportRecord = EvalRecord | FitRecord | CompareRecord
"""What a report is made from."""

_KINDS: dict[str, type[ReportRecord]] = {kind.SCHEMA: kind for kind in (EvalRecord, FitRecord, CompareRecord)}


def read(document: Mapping[str, object], where: str | None = None) -> ReportRecord:
    """The record in a document of ``harden eval``, ``fit`` or ``compare``, of any version.

    Args:
        document: As ``json.loads`` gives it.
        where: The file, for the message.

    Raises:
        InputError: It is none of these, or a value is of another kind than the record's.

    Example:
        >>> read({"schema": "harden.eval/1", "seed": 3, "profiles": []})._keys
        ('seed', 'conditions')
    """
    current = migrated(document)
    kind = _KINDS.get(str(current.get("schema", "")))
    if kind is None:
        raise InputError(
            f"'{current.get('schema', '')}' is not a document that reports are made from",
            where=where or "schema",
            fix="Give the report.json of `harden fit`, `harden eval` or `harden compare`.",
        )
    return kind.read(current, where)
