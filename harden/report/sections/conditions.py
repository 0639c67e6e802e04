"""All conditions side by side: profiles, times and sweep points."""

from __future__ import annotations

from harden.report.blocks import Block, Section, Table
from harden.report.charts.bars import Range, ranges
from harden.report.conditions import gained, swept, timed
from harden.report.document import Reading
from harden.report.plots import colour
from harden.words import MISSING, clean

ORDER = 30
TITLE = "All conditions"
MOST = 24


def build(reading: Reading) -> Section:
    """A plot of ranges, and the table; left out where the conditions are one, or one curve over time or a parameter."""
    groups = timed(reading.conditions)
    curve = [len(group) for group in groups] == [len(reading.conditions)] or swept(reading.conditions) is not None
    if not reading.conditions or (reading.kind != "compare" and (len(reading.conditions) == 1 or curve)):
        return Section(TITLE, [])
    blocks: list[Block] = []
    items = [
        Range(
            condition.label if position == 0 else "",
            colour(trials.role, position),
            trials.mean,
            trials.spread.p05,
            trials.spread.p95,
            trials.spread.min,
        )
        for condition in reading.conditions
        for position, trials in enumerate(condition.trials)
    ]
    if len(items) <= MOST and reading.headline.rate:
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
            spread = trials.spread
            cells = map(trials.write, (spread.mean, spread.std, spread.p05, trials.worst))
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
        columns = [condition.of(role) for role in reading.roles]
        for trials in columns:
            row += [trials.write(trials.mean), trials.write(trials.worst)] if trials else [MISSING, MISSING]
        if changes:
            old, new = columns
            row.append(gained(new.measure, new.mean - old.mean).removesuffix(" points") if old and new else "")
        rows.append(row)
    head += ["change, points" if reading.headline.rate else "change"] if changes else []
    return Table(head, rows, "l" + "r" * (len(head) - 1), caption=f"{reading.measure.capitalize()} over chips.")
