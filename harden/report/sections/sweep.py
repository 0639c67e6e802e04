"""Accuracy along a swept parameter of the profile."""

from __future__ import annotations

from harden.report.blocks import Section
from harden.report.charts.along import along
from harden.report.conditions import swept
from harden.report.document import Reading
from harden.words import clean, known, label, number

ORDER = 45
TITLE = "Along the sweep"


def build(reading: Reading) -> Section:
    """A curve and a table, where the conditions differ in one numeric parameter of one profile."""
    key = swept(reading.conditions)
    if key is None:
        return Section(TITLE, [])
    points = [(float(value), c) for c in reading.conditions if known(value := c.parameters[key])]
    points.sort(key=lambda point: point[0])
    block = along(
        "sweep",
        reading,
        [c for _, c in points],
        [(value, number(value)) for value, _ in points],
        ticks=False,
        x_label=label(key),
        caption=f"{clean(points[0][1].name)}: mean over chips; band: 5th to 95th percentile of the chips.",
    )
    return Section(TITLE, [block])
