"""Tolerance bounds by order statistics, and whether a Gaussian may be trusted in the tail."""

from __future__ import annotations

from scipy import stats

from harden.report.blocks import Block, Columns, Paragraph, Section, Table
from harden.report.charts.quantiles import Sample, quantiles
from harden.report.document import Document, Reading, Trials
from harden.report.measures import Shape, shape, tolerance_needs, tolerance_rank, upper_bound
from harden.report.plots import colour
from harden.report.words import clean, known, number, ordinal, percent, plural, rate

ORDER = 60
TITLE = "What can be promised"
_NAMES = {"90/95": (0.90, 0.95), "95/95": (0.95, 0.95), "99/95": (0.99, 0.95)}


def applies(document: Document) -> bool:
    """Where bounds are stated, or can be named as out of reach."""
    condition = Reading(document).hardest
    return bool(condition and (condition.last.entry.get("tolerance") or len(condition.last.values) > 2))


def build(document: Document) -> Section:
    """The bounds by name; the quantile plot of the network the report is about."""
    reading = Reading(document)
    condition = reading.hardest
    if condition is None:
        return Section(TITLE, [])
    trials = condition.trials
    left: list[Block] = [_table(list(trials), reading.measure)]
    last = trials[-1]
    form = shape(last.values)
    left.append(Paragraph(_gaussian(form, last), tone="plain" if form and form.gaussian else "warning"))
    if form is None:
        return Section(TITLE, left)
    what = "" if last.role == "network" else f"{clean(last.role)}, "
    figure = quantiles(
        "quantiles",
        Sample(what, colour(last.role, len(trials) - 1 if reading.kind == "compare" else 0), last.values),
        measure=reading.measure,
        threshold=last.threshold,
        alt=f"Normal probability plot of the chips ({what}{condition.label}): skew {number(form.skew, 2)}, "
        f"excess kurtosis {number(form.kurtosis, 2)}.",
        caption=f"{what}{condition.label}. Dashed: the Gaussian of equal mean and standard deviation. "
        "Dots below the line on the left: bad chips are worse than it says.",
    )
    return Section(TITLE, [Columns(left, [figure])])


def _table(trials: list[Trials], measure: str) -> Table:
    rows = []
    for name, (coverage, confidence) in _NAMES.items():
        rank = tolerance_rank(trials[-1].chips, coverage, confidence)
        basis = (
            f"{ordinal(rank)} of {trials[-1].chips:,}"
            if rank
            else f"needs {tolerance_needs(coverage, confidence)} chips"
        )
        values = [percent((t.entry.get("tolerance") or {}).get(name)) for t in trials]
        rows.append([name, percent(coverage, 0), *values, basis])
    heads = [measure] if len(trials) == 1 else [clean(t.role) for t in trials]
    return Table(
        ["bound", "chips", *heads, "rests on"],
        rows,
        "lr" + "r" * len(trials) + "r",
        caption=f"90/95 reads: with 95% confidence, 90% of chips have at least this {measure}. "
        "By order statistics, so whatever the shape of the distribution.",
    )


def _gaussian(form: Shape | None, trials: Trials) -> str:
    if form is None:
        return "The chips do not vary, or are too few to tell their distribution's shape."
    numbers = f"skew {number(form.skew, 2)}, excess kurtosis {number(form.kurtosis, 2)}"
    if not form.gaussian:
        why = "the chips are too few" if form.chips < 20 else f"the chips are not Gaussian ({numbers})"
        return (
            f"No Gaussian extrapolation: {why}. Nothing is said about chips rarer than one in "
            f"{plural(form.chips, 'chip').split()[0]}."
        )
    text = f"Nothing speaks against a Gaussian ({numbers})."
    if trials.threshold is None or not known(trials.spread.get("std")):
        return text
    tail = float(stats.norm.cdf(trials.threshold, trials.spread["mean"], trials.spread["std"]))
    chips, failures = len(trials.values), sum(v < trials.threshold for v in trials.values)
    return (
        f"{text} It would put {percent(tail, 2)} of chips below the required {rate(trials.threshold)}; counted: "
        f"{failures} of {chips:,}, with 95% confidence at most {percent(upper_bound(failures, chips))}."
    )
