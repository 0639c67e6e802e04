"""Histogram and strip of chips, one row per network, all on one scale."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from harden.report.blocks import Figure
from harden.report.measures import kept
from harden.report.plots import COLOURS, SMALL, Plot, cut_note, drawing, percent_axis, rate_limits
from harden.words import percent, rate

WIDE, NARROW = 880, 360
# The golden ratio spreads successive dots evenly and never repeats: a jitter without randomness.
_SPREAD = 0.6180339887498949


@dataclass(frozen=True)
class Row:
    """The chips of one network: its title, colour, the measure of each chip, and of the network without noise."""

    title: str
    colour: str
    values: Sequence[float]
    clean: float | None


def distribution(
    name: str, rows: Sequence[Row], *, measure: str, threshold: float | None, alt: str, caption: str
) -> Figure:
    """Draw the chips of each network.

    Args:
        name: Name of the figure.
        rows: The networks, from top to bottom.
        measure: "accuracy" or "fidelity".
        threshold: What a chip has to reach, if anything.
        alt: Alternative text.
        caption: How to read it; a cut axis is said by the axis itself.
    """
    everything = [v for row in rows for v in row.values]
    everything += [v for v in (threshold, *(row.clean for row in rows)) if v is not None]
    limits = rate_limits(everything)
    drawings = [_draw(name, rows, measure, threshold, alt, limits, width) for width in (WIDE, NARROW)]
    return Figure(name, drawings[0], alt, caption, narrow=drawings[1], width=WIDE)


def _draw(
    name: str,
    rows: Sequence[Row],
    measure: str,
    threshold: float | None,
    alt: str,
    limits: tuple[float, float],
    width: int,
) -> Markup:
    narrow, (low, high) = width == NARROW, limits
    edges = np.linspace(low, high, 1 + _bins(rows, high - low, narrow))
    counts = [np.histogram(row.values, edges)[0] for row in rows]
    top = max(1.0, float(np.max(counts)))
    stacked = False
    with drawing():
        height = 60 + len(rows) * (130 if narrow else 150)
        plot = Plot(width, height, rows=len(rows))
        for axis, row, count in zip(plot.axes, rows, counts, strict=True):
            _row(axis, row, edges, count, top, narrow)
            stacked = _levels(axis, row.clean, threshold, edges, width - 58) or stacked
        for axis, row in zip(plot.axes, rows, strict=True):
            axis.set_title(row.title, loc="left", pad=32 if stacked else 20)
        gap = (0.75 if narrow else 0.6) if stacked else (0.65 if narrow else 0.5)
        plot.margins(left=34, right=24, top=52 if stacked else 40, bottom=46, gap=gap)
        percent_axis(plot.axes[-1], "x", low, high, ticks=5 if narrow else 10)
        plot.axes[-1].set_xlabel(f"{measure} of a chip{cut_note(low)}")
        return plot.svg(f"{name}-narrow" if narrow else name, alt)


def _bins(rows: Sequence[Row], span: float, narrow: bool) -> int:
    """As many bins as the chips can fill, and none narrower than two steps of the measure (an example more or less)."""
    most = 25 if narrow or max(len(row.values) for row in rows) < 60 else 50
    steps = [b - a for row in rows for a, b in itertools.pairwise(sorted(set(row.values)))]
    finest = min((s for s in steps if s > 1e-9), default=span)
    return int(max(5, min(most, span / (2 * finest))))


def _row(axis: Axes, row: Row, edges: np.ndarray, count: np.ndarray, top: float, narrow: bool) -> None:
    axis.bar(edges[:-1], count, np.diff(edges), align="edge", color=COLOURS[row.colour], alpha=0.55)
    dots = np.sort(row.values)[kept(len(row.values))]
    jitter = (np.arange(len(dots)) * _SPREAD) % 1.0
    axis.plot(
        dots,
        top * (-0.12 - 0.2 * jitter),
        linestyle="none",
        marker="o",
        markersize=3 if narrow else 4,
        markeredgewidth=0,
        color=COLOURS[row.colour],
        alpha=0.6,
    )
    axis.axhline(0, color=COLOURS["muted"], linewidth=1)
    axis.set_ylim(-0.4 * top, 1.08 * top)
    # One scale for all rows, so that equal areas are equal numbers of chips.
    axis.set_yticks(
        [t for t in MaxNLocator(3, integer=True, min_n_ticks=1).tick_values(0, top) if 0 <= t <= 1.08 * top]
    )
    axis.spines["left"].set_visible(False)
    axis.tick_params(left=False)
    axis.grid(axis="y")


def _levels(axis: Axes, clean: float | None, threshold: float | None, edges: np.ndarray, width: int) -> bool:
    """Lines of the clean measure and of the required one, with labels that neither touch nor leave the drawing.

    Returns whether a label had to go above the other.
    """
    marks = [
        (value, f"{word} {text}", colour, dashes)
        for value, word, text, colour, dashes in (
            (clean, "clean", percent(clean), "ink", (0, (5, 3))),
            (threshold, "required", rate(threshold), "limit", (0, (1.5, 2))),
        )
        if value is not None
    ]
    taken, stacked = -np.inf, False
    for value, text, colour, dashes in sorted(marks):
        axis.axvline(value, color=COLOURS[colour], linewidth=1.6, linestyle=dashes)
        place, length = (value - edges[0]) / (edges[-1] - edges[0]) * width, 6.4 * len(text)
        left = min(place - 4, width + 20 - length)
        raised = left < taken
        stacked = stacked or raised
        taken = left + length + 8
        axis.annotate(
            text, (0, 1), (left, 18 if raised else 4), "axes fraction", textcoords="offset points", fontsize=SMALL
        )
    return stacked
