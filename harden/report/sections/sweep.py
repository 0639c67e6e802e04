"""Accuracy along a swept parameter of the profile."""

from __future__ import annotations

from harden.report.blocks import Section
from harden.report.charts.along import along
from harden.report.conditions import swept
from harden.report.document import Document, Reading
from harden.report.words import clean, label, number

ORDER = 45
TITLE = "Along the sweep"


def applies(document: Document) -> bool:
    """Where the conditions differ in one numeric parameter of one profile."""
    return swept(Reading(document).conditions) is not None


def build(document: Document) -> Section:
    """A curve and a table over the parameter."""
    reading = Reading(document)
    key = swept(reading.conditions) or ""
    conditions = sorted(reading.conditions, key=lambda c: c.parameters[key])
    values = [float(c.parameters[key]) for c in conditions]
    block = along(
        "sweep",
        reading,
        conditions,
        values,
        [number(v) for v in values],
        ticks=False,
        x_label=label(key),
        caption=f"{clean(conditions[0].name)}: mean over chips; band: 5th to 95th percentile of the chips.",
    )
    return Section(TITLE, [block])
