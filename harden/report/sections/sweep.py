"""Accuracy along a swept parameter of the profile."""

from __future__ import annotations

from harden.report.blocks import Section
from harden.report.charts.along import along
from harden.report.conditions import swept
from harden.report.document import Reading
from harden.words import clean, known, label, number

ORDER = 45
TITLE = "Along the sweep"


def applies(reading: Reading) -> bool:
    """Where the conditions differ in one numeric parameter of one profile."""
    return swept(reading.conditions) is not None


def build(reading: Reading) -> Section:
    """A curve and a table over the parameter."""
    key = swept(reading.conditions) or ""
    places = sorted(
        ((float(value), c) for c in reading.conditions if known(value := c.parameters[key])), key=lambda item: item[0]
    )
    values, conditions = [value for value, _ in places], [c for _, c in places]
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
