"""Which share of chips reaches which accuracy, with exact bounds."""

from __future__ import annotations

from harden.report.blocks import Block, Columns, Paragraph, Section, Table
from harden.report.charts.curves import Level, Line, Scale, curves
from harden.report.conditions import Trials
from harden.report.document import Reading
from harden.report.measures import survival, upper_bound
from harden.report.plots import colour, cut_note, rate_limits
from harden.statistics.intervals import proportion_interval
from harden.words import clean, percent, plural, rate, span

ORDER = 50
TITLE = "Yield"


def build(reading: Reading) -> Section:
    """The yield curve of each network under the hardest condition, and a table; where the record keeps each chip."""
    condition = reading.hardest
    trials = [t for t in condition.trials if t.values] if condition else []
    if condition is None or not trials or not reading.headline.rate:
        return Section(TITLE, [])
    threshold = condition.subject.threshold
    lines = [_line(t, i) for i, t in enumerate(trials)]
    levels = [Level(f"required {rate(threshold)}", x=threshold, colour="limit")] if threshold is not None else []
    at = f" At the required {rate(threshold)}: {_at(trials, threshold)}." if threshold is not None else ""
    required = [] if threshold is None else [threshold]
    low, high = rate_limits([*required, *(v for t in trials for v in t.values)])
    figure = curves(
        "yield",
        lines,
        x=Scale(f"{reading.measure} required of a chip{cut_note(low)}", rate=True, limits=(low, high)),
        y=Scale("share of chips that reach it", rate=True),
        alt=f"Share of chips that reach a required {reading.measure}, with 95% bounds.{at}",
        caption=f"Noise: {condition.label}. Band: 95% Clopper-Pearson interval, point by point.",
        levels=levels,
    )
    if reading.kind == "compare":
        return Section(TITLE, [Columns([figure], _models(trials, threshold))])
    table = _table(trials, threshold, reading.measure)
    return Section(TITLE, [Columns([figure], [table, Paragraph(_meaning(trials[-1], threshold), tone="note")])])


def _models(trials: list[Trials], threshold: float | None) -> list[Block]:
    if threshold is None:
        return [Paragraph("No required accuracy was given. Set one with `--threshold`.", tone="note")]
    rows = []
    for t in trials:
        reached, count = _reach(t, threshold), len(t.values)
        rows.append([clean(t.role), f"{reached} of {count}", span(proportion_interval(reached, count))])
    return [Table(["model", f"at least {rate(threshold)}", "95% interval"], rows, "lrr")]


def _line(trials: Trials, position: int) -> Line:
    x, share, low, high = survival(trials.values)
    # Left of the worst chip all of them pass; each step down stands just right of a chip's own value.
    edge = float(proportion_interval(len(trials.values), len(trials.values))[0])
    return Line(
        "chips" if trials.role == "network" else clean(trials.role),
        colour(trials.role, position),
        [0.0, *x.tolist(), 1.0],
        [1.0, *share[1:].tolist(), 0.0, 0.0],
        [edge, *low[1:].tolist(), 0.0, 0.0],
        [1.0, *high[1:].tolist(), *[float(proportion_interval(0, len(trials.values))[1])] * 2],
        steps=True,
        markers=False,
    )


def _at(trials: list[Trials], threshold: float) -> str:
    return ", ".join(
        f"{'' if t.role == 'network' else clean(t.role) + ' '}{percent(_reach(t, threshold) / len(t.values))}"
        for t in trials
    )


def _reach(trials: Trials, threshold: float) -> int:
    return sum(v >= threshold for v in trials.values)


def _table(trials: list[Trials], threshold: float | None, measure: str) -> Table:
    last = sorted(trials[-1].values)
    marks = {last[int(q * (len(last) - 1))] for q in (0.0, 0.05, 0.25, 0.5)}
    levels = sorted(marks | ({threshold} if threshold is not None else set()))
    rows = []
    for level in levels:
        reached = [_reach(t, level) for t in trials]
        rows.append([percent(level), *map(str, reached), span(proportion_interval(reached[-1], len(last)))])
    heads = ["chips" if t.role == "network" else clean(t.role) for t in trials]
    which = "" if len(trials) == 1 else f" ({clean(trials[-1].role)})"
    strong = (levels.index(threshold),) if threshold is not None else ()
    caption = (
        f"Number of chips, of {len(last):,}, with at least this {measure}; the interval is that of the yield{which}."
    )
    return Table(["at least", *heads, "95% interval"], rows, "r" * (len(heads) + 2), caption=caption, strong=strong)


def _meaning(trials: Trials, threshold: float | None) -> str:
    chips = len(trials.values)
    if threshold is None:
        return (
            "No required accuracy was given; the levels are the worst chip, the 5th and 25th percentile and the "
            "median. Set one with `--threshold`."
        )
    failures = chips - _reach(trials, threshold)
    bound = percent(upper_bound(failures, chips))
    return (
        f"{plural(failures, 'chip')} of {chips:,} failed. With 95% confidence, at most {bound} of all chips of this "
        "profile do (one-sided). The true share may be smaller; this many chips cannot show it."
    )
