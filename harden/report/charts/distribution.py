"""Histogram and strip of chips, one row per network, all on one scale."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from harden.report.blocks import Figure
from harden.report.measures import kept
from harden.report.plots import (
    TEXT,
    Axes,
    Box,
    Marker,
    Plot,
    Stroke,
    cut_note,
    percent_ticks,
    rate_limits,
    ticks,
)
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
    marks = [_levels(row.clean, threshold, limits, width - 58) for row in rows]
    stacked = any(mark.raised for row in marks for mark in row)
    plot = Plot(f"{name}-narrow" if narrow else name, width, 60 + len(rows) * (130 if narrow else 150))
    inside = Box.within(plot, left=34, right=24, top=52 if stacked else 40, bottom=46)
    gap = (0.75 if narrow else 0.6) if stacked else (0.65 if narrow else 0.5)
    places = percent_ticks(low, high, 5 if narrow else 10)
    for row, count, levels, box in zip(rows, counts, marks, inside.rows([1.0] * len(rows), gap), strict=True):
        # One scale for all rows, so that equal areas are equal numbers of chips.
        axes = Axes(plot, box, x=limits, y=(-0.4 * top, 1.08 * top))
        axes.x_ticks(places, words=row is rows[-1])
        _row(axes, row, edges, count, top, narrow)
        for mark in levels:
            axes.level(mark.stroke, x=mark.value)
            plot.text(box.left + mark.left, box.top - (18 if mark.raised else 4), mark.text)
        axes.frame(left=False)
        plot.text(box.left, box.top - (32 if stacked else 20), row.title, size=TEXT)
    axes.x_label(f"{measure} of a chip{cut_note(low)}")
    return plot.svg(alt)


def _bins(rows: Sequence[Row], span: float, narrow: bool) -> int:
    """As many bins as the chips can fill, and none narrower than two steps of the measure (an example more or less)."""
    most = 25 if narrow or max(len(row.values) for row in rows) < 60 else 50
    steps = [b - a for row in rows for a, b in itertools.pairwise(sorted(set(row.values)))]
    finest = min((s for s in steps if s > 1e-9), default=span)
    return int(max(5, min(most, span / (2 * finest))))


def _row(axes: Axes, row: Row, edges: np.ndarray, count: np.ndarray, top: float, narrow: bool) -> None:
    axes.y_ticks([(t, f"{t:.0f}") for t in ticks(0, max(top, 3.0), 3, integer=True) if t <= 1.08 * top], marks=False)
    axes.bars(zip(edges[:-1], count, edges[1:], np.zeros(len(count)), strict=True), row.colour, 0.55)
    dots = np.sort(row.values)[kept(len(row.values))]
    jitter = (np.arange(len(dots)) * _SPREAD) % 1.0
    axes.dots(dots, top * (-0.12 - 0.2 * jitter), Marker(row.colour, size=3 if narrow else 4, edge=0, opacity=0.6))
    axes.level(Stroke("muted", 1), y=0)


@dataclass(frozen=True)
class _Mark:
    """A line at a value, and its label: where it begins, in pixels, and whether it stands above another."""

    value: float
    stroke: Stroke
    text: str
    left: float
    raised: bool


def _levels(clean: float | None, threshold: float | None, limits: tuple[float, float], width: int) -> list[_Mark]:
    """Lines of the clean measure and of the required one, with labels that neither touch nor leave the drawing."""
    values = [
        (value, f"{word} {text}", stroke)
        for value, word, text, stroke in (
            (clean, "clean", percent(clean), Stroke("ink", 1.6, (5, 3))),
            (threshold, "required", rate(threshold), Stroke("limit", 1.6, (1.5, 2))),
        )
        if value is not None
    ]
    taken, marks = -np.inf, []
    for value, text, stroke in sorted(values, key=lambda item: item[:2]):
        place, length = (value - limits[0]) / (limits[1] - limits[0]) * width, 6.4 * len(text)
        left = min(place - 4, width + 20 - length)
        marks.append(_Mark(value, stroke, text, left, left < taken))
        taken = left + length + 8
    return marks
