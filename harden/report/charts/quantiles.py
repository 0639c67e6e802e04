"""Normal probability plot: the chips in order against where a Gaussian would have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from harden.report.blocks import Figure
from harden.report.charts.curves import HEIGHT, WIDTH
from harden.report.measures import kept
from harden.report.plots import MARKERS, Axes, Box, Marker, Plot, Stroke, cut_note, percent_ticks, rate_limits
from harden.words import rate

_TICKS = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


def quantiles(
    name: str,
    points: Sequence[Sequence[float]],
    colour: str,
    *,
    measure: str,
    threshold: float | None,
    alt: str,
    caption: str,
) -> Figure:
    """Draw the ordered chips, the Gaussian of equal mean and standard deviation, and the required value.

    Args:
        name: Name of the figure.
        points: Normal quantile and measure of each chip.
        colour: Name of the dots' colour.
        measure: "accuracy" or "fidelity".
        threshold: What a chip has to reach, if anything.
        alt: Alternative text.
        caption: How to read it.
    """
    scores, values = np.asarray(points, float).T
    shown = kept(len(values))
    mean, std = float(values.mean()), float(values.std(ddof=1))
    span = np.array([min(scores[0], -2.6), max(scores[-1], 2.6)])
    low, high = rate_limits([*values.tolist(), *([threshold] if threshold is not None else [])])
    plot = Plot(name, WIDTH, HEIGHT)
    box = Box.within(plot, left=46, right=16, top=28, bottom=48)
    axes = Axes(plot, box, (span[0] - 0.1, span[1] + 0.1), (low, high))
    axes.y_ticks(percent_ticks(low, high))
    places = [(float(stats.norm.ppf(share)), f"{100 * share:.3g}%") for share in _TICKS]
    axes.x_ticks([(score, text) for score, text in places if span[0] <= score <= span[1]])
    axes.line(span, mean + std * span, Stroke("muted", 1.4, (5, 3)))
    axes.dots(scores[shown], values[shown], Marker(colour, MARKERS[colour], 4.5, edge=0, opacity=0.8))
    axes.frame()
    axes.x_label("share of chips below (Gaussian scale)")
    plot.heading(f"{measure} of a chip{cut_note(low)}")
    if threshold is not None:
        axes.level(Stroke("limit", 1.6, (1.5, 2)), y=threshold)
        # On the side where the dots are further away from the line.
        x, anchor = (box.left + 4, "start") if threshold > mean else (box.right - 2, "end")
        plot.text(x, axes.down(threshold) - 4, f"required {rate(threshold)}", anchor=anchor)
    return Figure(name, plot.svg(alt), alt, caption, width=WIDTH)
