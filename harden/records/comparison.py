"""``harden.compare/2``: several networks on the same chips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from harden.records.base import Count, Document, Interval, Rate, Real, Record, always, sometimes
from harden.records.evaluation import Environment, EvalRecord


class ComparedModel(Record):
    """One of the networks."""

    name: str = always("What it is called in the report.", "")
    evaluation: EvalRecord | None = always("Its chips.")


class Difference(Record):
    """The difference in accuracy of two networks under one condition: b minus a, over chips."""

    a: str = always("The network that is taken away.", "")
    b: str = always("The network that it is taken from.", "")
    condition: Count | None = always("Number of the condition, from 0.")
    paired: bool = always("Whether both have the same chips.", True)
    mean: Real | None = always("Mean difference, as a fraction.")
    ci95: Interval | None = always("Its 95% interval over chips: Student's, or Welch's where unpaired.")
    better: Count | None = sometimes("Where paired: chips on which b is better.")
    worse: Count | None = sometimes("Where paired: chips on which b is worse.")
    p_value: Rate | None = always("Two-sided: of the sign test where paired, else of Welch's test.")
    correlation: Real | None = sometimes("Where paired: correlation of the two over chips, in [-1, 1].")


class CompareRecord(Document):
    """What ``harden compare`` writes: several networks on the same chips and examples."""

    SCHEMA: ClassVar[str] = "harden.compare/2"

    models: tuple[ComparedModel, ...] = always("The networks, in the order asked for.", ())
    differences: tuple[Difference, ...] = always("For each pair of networks and each condition.", ())
    settings: Mapping[str, object] = sometimes("harden compare's settings, resolved; not from Python.", {})
    command: str | None = sometimes("The command line that repeats it; not from Python.")
    environment: Environment | None = sometimes("Versions and machine; not from Python.")
