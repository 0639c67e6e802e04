"""How much another training run would change: one row per seed."""

from __future__ import annotations

import statistics

from harden.records import FitRecord
from harden.report.blocks import Paragraph, Section, Table
from harden.report.document import Reading
from harden.words import interval, known, number, percent, plural, rate

ORDER = 25
TITLE = "From seed to seed"


def build(reading: Reading) -> Section:
    """Every seed's chips, and how far the seeds are apart."""
    if not reading.fit or len(reading.fit.seeds) < 2:
        return Section(TITLE, [])
    runs = reading.fit.seeds
    rows = [[number(run.seed), *map(percent, (run.mean, run.p05, run.min, run.clean))] for run in runs]
    condition = reading.conditions[0] if reading.conditions else None
    where = f"Noise: {condition.label}. " if condition else ""
    table = Table(
        ["seed", "mean over chips", "5th percentile", "worst chip", "without noise"],
        rows,
        "rrrrr",
        caption=f"{where}Each row is a whole run: another order of examples, other noise in training, other chips.",
    )
    return Section(TITLE, [Paragraph(_words(reading.fit, reading.measure)), table])


def _words(fit: FitRecord, measure: str) -> str:
    runs = fit.seeds
    means = [float(run.mean) for run in runs if known(run.mean)]
    text = f"{plural(len(runs), 'run')} with {len(runs)} seeds."
    if len(means) > 1:
        low, high = min(means), max(means)
        digits = 2 if percent(low) == percent(high) else 1
        text = (
            f"Over {plural(len(means), 'run')} the mean {measure} over chips goes from "
            f"{percent(low, digits)} to {percent(high, digits)}: on average {percent(statistics.mean(means), digits)}, "
            f"standard deviation {number(100 * statistics.stdev(means), 2)} points."
        )
    if known(share := fit.convergence_probability):
        text += (
            f" {round(share * len(means))} of {len(means)} reach the required {rate(fit.settings.get('threshold'))} "
            f"with it (95% interval of that share: {interval(fit.convergence_ci95)})."
        )
    return f"{text} All else in this report is of seed {number(runs[0].seed)}."
