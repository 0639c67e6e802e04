"""Normal probability plot: the chips in order against where a Gaussian would have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter
from scipy import special

from harden.report.blocks import Figure
from harden.report.charts.curves import HEIGHT, WIDTH
from harden.report.measures import kept
from harden.report.plots import COLOURS, MARKERS, SMALL, Plot, cut_note, drawing, percent_axis, rate_limits
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
    with drawing():
        plot = Plot(WIDTH, HEIGHT)
        plot.margins(left=46, right=16, top=28, bottom=48)
        axis = plot.axis
        axis.grid(axis="y")
        line = {"color": COLOURS["muted"], "linewidth": 1.4, "linestyle": (0, (5, 3))}
        axis.plot(span, mean + std * span, **line)
        dots = {"marker": MARKERS[colour], "linestyle": "none", "markersize": 4.5, "alpha": 0.8}
        axis.plot(scores[shown], values[shown], color=COLOURS[colour], markeredgewidth=0, **dots)
        percent_axis(axis, "y", low, high)
        axis.set_xlim(span[0] - 0.1, span[1] + 0.1)
        ticks = [t for t in _TICKS if span[0] <= special.ndtri(t) <= span[1]]
        axis.xaxis.set_major_locator(FixedLocator([float(special.ndtri(t)) for t in ticks]))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda z, _: f"{100 * special.ndtr(z):.3g}%"))
        axis.set_xlabel("share of chips below (Gaussian scale)")
        plot.canvas.text(
            4 / WIDTH,
            1 - 4 / HEIGHT,
            f"{measure} of a chip{cut_note(low)}",
            va="top",
            fontsize=SMALL,
            color=COLOURS["muted"],
        )
        offset = {"textcoords": "offset points", "fontsize": SMALL}
        if threshold is not None:
            axis.axhline(threshold, color=COLOURS["limit"], linewidth=1.6, linestyle=(0, (1.5, 2)))
            text = f"required {rate(threshold)}"
            # On the side where the dots are further away from the line.
            left = threshold > mean
            place = {"xy": (0 if left else 1, threshold), "xytext": (4 if left else -2, 4)}
            axis.annotate(text, xycoords=("axes fraction", "data"), ha="left" if left else "right", **place, **offset)
        return Figure(name, plot.svg(name, alt), alt, caption, width=WIDTH)
