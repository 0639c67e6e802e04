"""How much another training run would change: one row per seed."""

from __future__ import annotations

import statistics

from harden.report.blocks import Block, Paragraph, Section, Table
from harden.report.document import Document, Reading
from harden.report.words import interval, known, number, percent, plural, rate

ORDER = 25
TITLE = "From seed to seed"


def applies(document: Document) -> bool:
    """Where several seeds were run."""
    return len(Reading(document).rows("seeds")) > 1


def build(document: Document) -> Section:
    """Every seed's chips, and how far the seeds are apart."""
    reading = Reading(document)
    found = reading.rows("seeds")
    keys = ("mean", "p05", "min", "clean")
    rows = [[number(row.get("seed")), *(percent(row.get(key)) for key in keys)] for row in found]
    condition = reading.conditions[0] if reading.conditions else None
    where = f"Noise: {condition.label}. " if condition else ""
    table = Table(
        ["seed", "mean over chips", "5th percentile", "worst chip", "without noise"],
        rows,
        "rrrrr",
        caption=f"{where}Each row is a whole run: another order of examples, other noise in training, other chips.",
    )
    blocks: list[Block] = [Paragraph(_words(reading)), table]
    return Section(TITLE, blocks)


def _words(reading: Reading) -> str:
    found = reading.rows("seeds")
    means = [float(row["mean"]) for row in found if known(row.get("mean"))]
    text = f"{plural(len(found), 'run')} with {len(found)} seeds."
    if len(means) > 1:
        low, high = min(means), max(means)
        digits = 2 if percent(low) == percent(high) else 1
        text = (
            f"Over {plural(len(means), 'run')} the mean {reading.measure} over chips goes from "
            f"{percent(low, digits)} to {percent(high, digits)}: on average {percent(statistics.mean(means), digits)}, "
            f"standard deviation {number(100 * statistics.stdev(means), 2)} points."
        )
    share = reading.document.get("convergence_probability")
    if known(share):
        reached = round(share * len(means))
        required = f" {rate(reading.document.get('settings', {}).get('threshold'))}"
        bounds = interval(reading.document.get("convergence_ci95"))
        text += (
            f" {reached} of {len(means)} reach the required{required} with it (95% interval of that share: {bounds})."
        )
    return f"{text} All else in this report is of seed {number(found[0].get('seed'))}."
