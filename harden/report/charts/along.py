"""Conditions in a row: a curve of means with a band of percentiles, beside its table."""

from __future__ import annotations

from collections.abc import Sequence

from harden.report.blocks import Columns, Table
from harden.report.charts.curves import Line, Scale, curves
from harden.report.conditions import Condition
from harden.report.document import Reading
from harden.report.plots import colour, cut_note, rate_limits
from harden.words import clean, known


def along(
    name: str,
    reading: Reading,
    conditions: Sequence[Condition],
    places: Sequence[tuple[float, str]],
    *,
    ticks: bool,
    x_label: str,
    caption: str,
) -> Columns:
    """Draw the measure of every network along an axis.

    Args:
        name: Name of the figure.
        reading: The document.
        conditions: In the order of the axis.
        places: Where each condition stands on the axis, and what the place is called.
        ticks: Whether the axis is labelled with these names rather than with numbers.
        x_label: Title of the axis.
        caption: How to read it.
    """
    lines = [line for i, role in enumerate(reading.roles) if (line := _line(role, i, conditions, places))]
    if not reading.headline.rate:
        return Columns([], [_table(reading, conditions, [text for _, text in places], x_label)])
    low, high = rate_limits([v for line in lines for v in (*line.y, *(line.low or ()), *(line.high or ()))])
    ends = "; ".join(f"{line.label} {reading.write(line.y[0])} to {reading.write(line.y[-1])}" for line in lines)
    figure = curves(
        name,
        lines,
        x=Scale(x_label, ticks=places if ticks else ()),
        y=Scale(f"{reading.measure} over chips{cut_note(low)}", rate=True, limits=(low, high)),
        alt=f"{reading.measure.capitalize()} against {x_label}, {places[0][1]} to {places[-1][1]}: {ends}.",
        caption=caption,
    )
    return Columns([figure], [_table(reading, conditions, [text for _, text in places], x_label)])


def _line(
    role: str, position: int, conditions: Sequence[Condition], places: Sequence[tuple[float, str]]
) -> Line | None:
    spreads = [(x, trials.spread) for (x, _), c in zip(places, conditions, strict=True) if (trials := c.of(role))]
    if not spreads:
        return None
    banded = all(known(s.p05) and known(s.p95) for _, s in spreads)
    return Line(
        "mean" if role == "network" else clean(role),
        colour(role, position),
        [x for x, _ in spreads],
        [s.mean for _, s in spreads],
        [s.p05 or 0.0 for _, s in spreads] if banded else None,
        [s.p95 or 0.0 for _, s in spreads] if banded else None,
    )


def _table(reading: Reading, conditions: Sequence[Condition], texts: Sequence[str], x_label: str) -> Table:
    if reading.kind == "eval":
        spreads = [c.subject.spread for c in conditions]
        rows = [
            [text, *map(reading.write, (spread.mean, spread.p05, spread.min))]
            for text, spread in zip(texts, spreads, strict=True)
        ]
        return Table([x_label.split(" (")[0], "mean", "5th perc.", "worst"], rows, "rrrr")
    rows = [
        [text, *(trials.write(trials.mean) if (trials := c.of(role)) else "" for role in reading.roles)]
        for text, c in zip(texts, conditions, strict=True)
    ]
    return Table([x_label.split(" (")[0], *map(clean, reading.roles)], rows, "r" * (1 + len(reading.roles)))
