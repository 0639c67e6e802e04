"""Tolerance bounds by order statistics, and whether a Gaussian may be trusted in the tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harden.report.blocks import Block, Columns, Paragraph, Section, Table
from harden.report.charts.quantiles import quantiles
from harden.report.conditions import Trials
from harden.report.document import Reading
from harden.report.measures import upper_bound
from harden.report.plots import colour
from harden.statistics.distribution import normality
from harden.statistics.intervals import tolerance_rank, tolerance_trials
from harden.words import clean, known, number, ordinal, percent, plural, rate

ORDER = 60
TITLE = "What can be promised"
CHIPS = 3
_SHOWN = 1e-4  # a smaller share would read as none at all
_NAMES = {"90/95": 0.90, "95/95": 0.95, "99/95": 0.99}


def build(reading: Reading) -> Section:
    """The bounds by name; the quantile plot of the network the report is about."""
    condition = reading.hardest
    if condition is None:
        return Section(TITLE, [])
    table = _table(condition.trials, reading.measure)
    subject = condition.subject
    if len(subject.values) < CHIPS or not reading.headline.rate:
        return Section(TITLE, [table] if any(map(known, subject.tolerance.values())) else [])
    form = normality(np.asarray(subject.values), subject.threshold)
    text = Paragraph(_gaussian(form, subject), tone="plain" if form["gaussian"] else "warning")
    who = "" if subject.role == "network" else f"{clean(subject.role)}, "
    figure = quantiles(
        "quantiles",
        form["quantiles"],
        colour(subject.role, condition.trials.index(subject)),
        measure=reading.measure,
        threshold=subject.threshold,
        alt=f"Normal probability plot of the chips ({who}{condition.label}): {_numbers(form)}.",
        caption=f"{who}{condition.label}. Dashed: the Gaussian of equal mean and standard deviation. "
        "Dots below the line on the left: the worst chips are worse than a Gaussian predicts.",
    )
    if reading.kind == "compare":
        return Section(TITLE, [table, Columns([figure], [text])])
    return Section(TITLE, [Columns([table, text], [figure])])


def _table(trials: Sequence[Trials], measure: str) -> Block:
    rows = []
    chips = trials[-1].chips
    bound = "at least" if trials[-1].measure.better == "more" else "at most"
    least = tolerance_trials(min(_NAMES.values()))
    if chips < least:
        return Paragraph(f"{chips} chips are too few for any bound: the weakest needs {least}. Raise `--chips`.")
    for name, coverage in _NAMES.items():
        rank = tolerance_rank(chips, coverage)
        basis = f"{ordinal(rank)} of {chips:,}" if rank else f"needs {tolerance_trials(coverage)} chips"
        values = [t.write(t.tolerance.get(name)) for t in trials]
        rows.append([name, percent(coverage, 0), *values, basis])
    heads = [measure] if len(trials) == 1 else [clean(t.role) for t in trials]
    return Table(
        ["bound", "chips", *heads, "rests on"],
        rows,
        "lr" + "r" * len(trials) + "r",
        caption=f"90/95 reads: with 95% confidence, 90% of chips have {bound} this {measure}. "
        "By order statistics, so whatever the shape of the distribution.",
    )


def _numbers(form: Mapping[str, Any]) -> str:
    return f"skew {number(form['skew'], 2)}, excess kurtosis {number(form['kurtosis'], 2)}"


def _gaussian(form: Mapping[str, Any], trials: Trials) -> str:
    chips = len(trials.values)
    rare = f"Nothing is said about chips rarer than one in {chips:,}."
    if not form["gaussian"]:
        return f"No Gaussian extrapolation: {str(form['reason']).replace('-', '−')}. {rare}"
    text = f"Nothing in {plural(chips, 'chip')} speaks against a Gaussian ({_numbers(form)})."
    if trials.threshold is None:
        return f"{text} {rare}"
    tail = form["below"]["gaussian"]
    put = percent(tail, 2) if tail >= _SHOWN else f"less than {percent(_SHOWN, 2)}"
    failures = sum(v < trials.threshold for v in trials.values)
    return (
        f"{text} It would put {put} of chips below the required "
        f"{rate(trials.threshold)}; counted: {failures} of {chips:,}, with 95% confidence at most "
        f"{percent(upper_bound(failures, chips))}. {rare}"
    )
