"""Accuracy along a swept parameter of the profile."""

from __future__ import annotations

from harden.report.blocks import Section
from harden.report.charts.curves import Line, curves
from harden.report.document import Document, Reading, swept
from harden.report.plots import colour
from harden.report.words import clean, known, label, number, percent

ORDER = 45
TITLE = "Along the sweep"


def applies(document: Document) -> bool:
    """Where the conditions differ in one numeric parameter of one profile."""
    return swept(Reading(document).conditions) is not None


def build(document: Document) -> Section:
    """Mean over chips along the parameter, with the band of the 5th to 95th percentile."""
    reading = Reading(document)
    key = swept(reading.conditions) or ""
    conditions = sorted(reading.conditions, key=lambda c: c.parameters[key])
    lines = []
    for index, role in enumerate(reading.roles):
        spreads = [(c.parameters[key], t.spread) for c in conditions if (t := c.of(role))]
        banded = all(known(s.get("p05")) and known(s.get("p95")) for _, s in spreads)
        lines.append(
            Line(
                "mean" if role == "network" else clean(role),
                colour(role, index),
                [x for x, _ in spreads],
                [s["mean"] for _, s in spreads],
                [s["p05"] for _, s in spreads] if banded else None,
                [s["p95"] for _, s in spreads] if banded else None,
            )
        )
    ends = "; ".join(
        f"{line.label} {percent(line.y[0])} at {number(line.x[0])} to {percent(line.y[-1])} at {number(line.x[-1])}"
        for line in lines
    )
    figure = curves(
        "sweep",
        lines,
        x_label=label(key),
        y_label=f"{reading.measure} over chips",
        alt=f"{reading.measure.capitalize()} against {label(key)}: {ends}.",
        caption=f"{clean(conditions[0].name)}: mean over chips; band: 5th to 95th percentile of the chips.",
    )
    return Section(TITLE, [figure])
