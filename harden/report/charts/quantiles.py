"""Normal probability plot: the chips in order against where a Gaussian would have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter
from scipy import stats

from harden.report.blocks import Figure
from harden.report.charts.curves import HEIGHT, WIDTH
from harden.report.measures import normal_scores
from harden.report.plots import COLOURS, MARKERS, SMALL, Plot, drawing, percent_axis, rate_limits
from harden.report.words import percent, rate

_TICKS = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Sample:
    """The chips of one network; ``gaussian`` says whether its Gaussian line may be read off."""

    label: str
    colour: str
    values: Sequence[float]


def quantiles(name: str, sample: Sample, *, measure: str, threshold: float | None, alt: str, caption: str) -> Figure:
    """Draw the ordered chips, the Gaussian of equal mean and standard deviation, and the required value."""
    values = np.sort(np.asarray(sample.values, float))
    scores = normal_scores(len(values))
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
        dots = {"marker": MARKERS[sample.colour], "linestyle": "none", "markersize": 4.5, "alpha": 0.8}
        axis.plot(scores, values, color=COLOURS[sample.colour], markeredgewidth=0, **dots)
        percent_axis(axis, "y", low, high)
        axis.set_xlim(span[0] - 0.1, span[1] + 0.1)
        ticks = [t for t in _TICKS if span[0] <= stats.norm.ppf(t) <= span[1]]
        axis.xaxis.set_major_locator(FixedLocator([float(stats.norm.ppf(t)) for t in ticks]))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda z, _: f"{100 * stats.norm.cdf(z):.3g}%"))
        axis.set_xlabel("share of chips below (Gaussian scale)")
        cut = "" if low == 0 else f" (axis starts at {percent(low, 0)})"
        plot.canvas.text(
            4 / WIDTH, 1 - 4 / HEIGHT, f"{measure} of a chip{cut}", va="top", fontsize=SMALL, color=COLOURS["muted"]
        )
        offset = {"textcoords": "offset points", "fontsize": SMALL}
        if threshold is not None:
            axis.axhline(threshold, color=COLOURS["limit"], linewidth=1.6, linestyle=(0, (1.5, 2)))
            text = f"required {rate(threshold)}"
            axis.annotate(text, (1, threshold), xycoords=("axes fraction", "data"), xytext=(0, 4), ha="right", **offset)
        return Figure(name, plot.svg(name, alt), alt, caption, width=WIDTH)
