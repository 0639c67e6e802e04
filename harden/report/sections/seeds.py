"""How much another training run would change: one row per seed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harden.records.fit import SeedRecord
from harden.report.blocks import Block, Paragraph, Section, Table
from harden.report.document import Reading
from harden.words import interval, known, number, percent, plural, rate

ORDER = 25
TITLE = "From seed to seed"


def applies(reading: Reading) -> bool:
    """Where several seeds were run."""
    return len(_runs(reading)) > 1


def build(reading: Reading) -> Section:
    """Every seed's chips, and how far the seeds are apart."""
    rows = [[number(run.seed), *map(percent, (run.mean, run.p05, run.min, run.clean))] for run in _runs(reading)]
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


def _runs(reading: Reading) -> Sequence[SeedRecord]:
    return reading.fit.seeds if reading.fit else ()


def _words(reading: Reading) -> str:
    runs = _runs(reading)
    means = [float(run.mean) for run in runs if known(run.mean)]
    text = f"{plural(len(runs), 'run')} with {len(runs)} seeds."
    if len(means) > 1:
        low, high = min(means), max(means)
        digits = 2 if percent(low) == percent(high) else 1
        text = (
            f"Over {plural(len(means), 'run')} the mean {reading.measure} over chips goes from "
            f"{percent(low, digits)} to {percent(high, digits)}: on average {percent(statistics.mean(means), digits)}, "
            f"standard deviation {number(100 * statistics.stdev(means), 2)} points."
        )
    share = reading.fit.convergence_probability if reading.fit else None
    if reading.fit and known(share):
        reached = round(share * len(means))
        required = f" {rate(reading.fit.settings.get('threshold'))}"
        bounds = interval(reading.fit.convergence_ci95)
        text += (
            f" {reached} of {len(means)} reach the required{required} with it (95% interval of that share: {bounds})."
        )
    return f"{text} All else in this report is of seed {number(runs[0].seed)}."
