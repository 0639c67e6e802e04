"""All conditions side by side: profiles, times and sweep points."""

from __future__ import annotations

from harden.report.blocks import Block, Section, Table
from harden.report.charts.bars import Range, ranges
from harden.report.conditions import swept, timed
from harden.report.document import Document, Reading
from harden.report.plots import colour
from harden.report.words import clean, known, percent, points

ORDER = 30
TITLE = "All conditions"
MOST = 24


def applies(document: Document) -> bool:
    """With several conditions that are not one curve over time or a parameter; always when models are compared."""
    reading = Reading(document)
    if reading.kind == "compare":
        return bool(reading.conditions)
    groups = timed(reading.conditions)
    one_curve = len(groups) == 1 and len(groups[0]) == len(reading.conditions)
    return len(reading.conditions) > 1 and not one_curve and swept(reading.conditions) is None


def build(document: Document) -> Section:
    """A plot of ranges, and the table."""
    reading = Reading(document)
    blocks: list[Block] = []
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
    if len(items) <= MOST:
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
    blocks.append(_long(reading) if reading.kind == "compare" else _table(reading))
    return Section(TITLE, blocks)


def _long(reading: Reading) -> Table:
    rows = []
    for condition in reading.conditions:
        for position, trials in enumerate(condition.trials):
            cells = [percent(trials.spread.get(key)) for key in ("mean", "std", "p05", "min")]
            rows.append([condition.label if position == 0 else "", clean(trials.role), *cells])
    head = ["noise", "model", "mean", "std over chips", "5th percentile", "worst"]
    return Table(head, rows, "llrrrr", caption=f"{reading.measure.capitalize()} over chips.")


def _table(reading: Reading) -> Table:
    single = reading.kind == "eval"
    head = ["condition"]
    for role in reading.roles:
        head += ["mean", "worst"] if single else [f"mean, {clean(role)}", f"worst, {clean(role)}"]
    changes = reading.kind == "fit" and len(reading.roles) == 2
    rows = []
    for condition in reading.conditions:
        row = [condition.label]
        spreads = [found.spread if (found := condition.of(role)) else {} for role in reading.roles]
        for spread in spreads:
            row += [percent(spread.get("mean")), percent(spread.get("min"))]
        if changes:
            old, new = (spread.get("mean") for spread in spreads)
            row.append(points(new - old) if known(old) and known(new) else "")
        rows.append(row)
    head += ["change, points"] if changes else []
    return Table(head, rows, "l" + "r" * (len(head) - 1), caption=f"{reading.measure.capitalize()} over chips.")
