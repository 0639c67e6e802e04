"""The chips themselves: histogram and strip of every network, under the hardest condition."""

from __future__ import annotations

from harden.report.blocks import Details, Section, Table
from harden.report.charts.distribution import Row, distribution
from harden.report.conditions import Condition, Trials
from harden.report.document import Reading
from harden.report.plots import colour
from harden.words import clean, percent, plural

ORDER = 20
TITLE = "Every chip"
MOST = 500
LISTED = 8


def build(reading: Reading) -> Section:
    """Draw the hardest condition, and list the chips of all, where the record keeps them."""
    conditions = [c for c in reading.conditions if c.subject.values]
    if not conditions or not reading.headline.rate:
        return Section(TITLE, [])
    condition = min(conditions, key=lambda c: c.subject.mean)
    trials = [t for t in condition.trials if t.values]
    rows = [_row(t, i, reading) for i, t in enumerate(trials)]
    text = "; ".join(_words(t) for t in trials)
    most = max(len(t.values) for t in trials)
    some = f" ({MOST} of {most:,} are drawn, the worst 50 among them)" if most > MOST else ""
    figure = distribution(
        "chips",
        rows,
        measure=reading.measure,
        threshold=condition.subject.threshold,
        alt=f"Histogram of the {reading.measure} of each chip under {condition.label}: {text}.",
        caption=f"Noise: {condition.described}. Bars count chips; below them, each dot is one chip{some}.",
    )
    listed = conditions if len(conditions) <= LISTED else [condition]
    lists = [Details(f"The {reading.measure} of every chip ({c.label})", [_table(c)]) for c in listed]
    return Section(TITLE, [figure, *lists])


def _row(trials: Trials, position: int, reading: Reading) -> Row:
    level = trials.without_noise
    name = reading.model_name if trials.role == "network" else trials.role
    title = (
        f"{clean(name).capitalize() if trials.role in ('before', 'after') else clean(name)[:40]}: {_numbers(trials)}"
    )
    return Row(title, colour(trials.role, position), trials.values, level)


def _numbers(trials: Trials) -> str:
    return f"mean {percent(trials.mean)}, worst {percent(trials.spread.min)}"


def _words(trials: Trials) -> str:
    role = "" if trials.role == "network" else f"{clean(trials.role)} "
    return f"{role}{_numbers(trials)}, best {percent(trials.spread.max)} of {plural(trials.chips, 'chip')}"


def _table(condition: Condition) -> Table:
    columns = [t.values for t in condition.trials]
    count = max(len(c) for c in columns)
    subject = condition.subject.values
    worst = sorted(range(len(subject)), key=subject.__getitem__)[:MOST]
    shown = range(count) if count <= MOST else worst
    rows = [[str(i), *(percent(c[i] if i < len(c) else None, 2) for c in columns)] for i in shown]
    heads = ["accuracy" if t.role == "network" else clean(t.role) for t in condition.trials]
    caption = f"The {MOST} worst of {count:,}; all of them are in report.json." if count > MOST else ""
    return Table(["chip", *heads], rows, "r" * (len(columns) + 1), caption=caption)
