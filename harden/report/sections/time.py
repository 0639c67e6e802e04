"""Accuracy against the time since programming."""

from __future__ import annotations

import math

from harden.report.blocks import Figure, Section
from harden.report.charts.curves import Line, curves
from harden.report.document import Condition, Document, Reading
from harden.report.plots import colour
from harden.report.words import clean, duration, known, percent

ORDER = 40
TITLE = "As the chips age"


def applies(document: Document) -> bool:
    """Where one profile was tried at several times."""
    return bool(_groups(Reading(document)))


def build(document: Document) -> Section:
    """One figure a profile: mean over chips, with the band of the 5th to 95th percentile."""
    reading = Reading(document)
    return Section(TITLE, [_figure(reading, i, group) for i, group in enumerate(_groups(reading))])


def _groups(reading: Reading) -> list[list[Condition]]:
    groups: dict[str, list[Condition]] = {}
    for condition in reading.conditions:
        if known(condition.at_s):
            key = repr((condition.name, sorted(condition.parameters.items(), key=lambda item: item[0])))
            groups.setdefault(key, []).append(condition)
    return [sorted(g, key=lambda c: c.at_s or 0.0) for g in groups.values() if len({c.at_s for c in g}) > 1]


def _figure(reading: Reading, position: int, group: list[Condition]) -> Figure:
    times = [float(c.at_s or 0.0) for c in group]
    positive = [t for t in times if t > 0]
    # Time is on a logarithmic axis, which has no zero: programming (0 s) stands one decade before the first time.
    start = math.log10(min(positive)) - 1.0
    place = [math.log10(t) if t > 0 else start for t in times]
    lines = []
    for index, role in enumerate(reading.roles):
        spreads = [(x, t.spread) for x, c in zip(place, group, strict=True) if (t := c.of(role))]
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
    ends = "; ".join(f"{line.label} {percent(line.y[0])} to {percent(line.y[-1])}" for line in lines)
    span = f"{duration(times[0])} to {duration(times[-1])}"
    zero = " 0 s is drawn one decade early, as a logarithm has no zero." if 0.0 in times else ""
    return curves(
        f"time-{position}",
        lines,
        x_label="time since programming (logarithmic)",
        y_label=f"{reading.measure} over chips",
        alt=f"{reading.measure.capitalize()} from {span} after programming, {clean(group[0].name)}: {ends}.",
        caption=f"{clean(group[0].name)}: mean over chips; band: 5th to 95th percentile of the chips.{zero}",
        x_ticks=[(x, duration(t)) for x, t in zip(place, times, strict=True)],
    )
