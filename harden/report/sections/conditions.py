"""All conditions side by side: profiles, times and sweep points."""

from __future__ import annotations

from harden.report.blocks import Block, Section, Table
from harden.report.charts.bars import Range, ranges
from harden.report.document import Document, Reading, swept
from harden.report.plots import colour
from harden.report.words import clean, known, percent, points

ORDER = 30
TITLE = "All conditions"
MOST = 24


def applies(document: Document) -> bool:
    """With more than one condition, or more than two networks."""
    reading = Reading(document)
    return len(reading.conditions) > 1 or (reading.kind == "compare" and bool(reading.conditions))


def build(document: Document) -> Section:
    """A plot of ranges where times and sweeps have no curve of their own, and the table."""
    reading = Reading(document)
    blocks: list[Block] = []
    several = len({c.name for c in reading.conditions}) > 1 or reading.kind == "compare"
    items = [
        Range(
            condition.label if position == 0 else "",
            colour(trials.role, position),
            trials.spread["mean"],
            trials.spread.get("p05"),
            trials.spread.get("p95"),
            trials.spread.get("min"),
        )
        for condition in reading.conditions
        for position, trials in enumerate(condition.trials)
    ]
    if several and not swept(reading.conditions) and len(items) <= MOST:
        order = (
            "" if reading.kind == "eval" else f" In each group, from the top: {', '.join(map(clean, reading.roles))}."
        )
        blocks.append(
            ranges(
                "conditions",
                items,
                measure=reading.measure,
                alt=f"Mean and range of the {reading.measure} over chips by condition, as in the table below.",
                caption=f"Dot: mean over chips. Line: 5th to 95th percentile. Tick: worst chip.{order}",
            )
        )
    blocks.append(_table(reading))
    return Section(TITLE, blocks)


def _table(reading: Reading) -> Table:
    single = reading.kind == "eval"
    head = ["condition"]
    for role in reading.roles:
        head += ["mean", "worst"] if single else [f"mean, {clean(role)}", f"worst, {clean(role)}"]
    changes = reading.kind == "fit" and len(reading.roles) == 2
    rows = []
    for condition in reading.conditions:
        row = [condition.label]
        for role in reading.roles:
            spread = found.spread if (found := condition.of(role)) else {}
            row += [percent(spread.get("mean")), percent(spread.get("min"))]
        if changes:
            means = [found.spread.get("mean") if (found := condition.of(role)) else None for role in reading.roles]
            row.append(points(means[1] - means[0]) if all(map(known, means)) else "")  # type: ignore[operator]
        rows.append(row)
    head += ["change, points"] if changes else []
    return Table(head, rows, "l" + "r" * (len(head) - 1), caption=f"{reading.measure.capitalize()} over chips.")
