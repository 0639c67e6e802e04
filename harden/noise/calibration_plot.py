"""The plot of a calibration: data against fit, two plots in a row for each panel."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

import numpy as np

from harden.noise.calibration import Calibration, Panel
from harden.noise.goodness import bins
from harden.noise.shapes import robust_scale, robust_unit

_SHOWN = 2000  # points of a plot


def svg(calibration: Calibration) -> str:
    """The plot as one SVG; equal data give equal bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    panels: Sequence[Panel] = calibration.panels
    drawing: Any = matplotlib  # its own types are partial
    with drawing.rc_context({"svg.hashsalt": "harden", "svg.fonttype": "none", "font.size": 9}):
        figure: Any = Figure(figsize=(9, 3.2 * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 2, squeeze=False)
        for (left, right), panel in zip(axes, panels, strict=True):
            _draw_data(left, panel)
            _draw_sigma(right, panel)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _states(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """States in µS along the range, and their shares of g_max."""
    share = np.linspace(float(panel.values.x.min()), float(panel.values.x.max()), 200)
    return share * float(panel.target.max()) / float(panel.values.x.max()), share


def _draw_data(axes: Any, panel: Panel) -> None:
    """The values, with the fitted mean and two robust standard deviations either way."""
    state, share = _states(panel)
    unit = robust_unit(panel.fit.shape)
    mean, sigma = panel.fit.mean_at(share), panel.fit.scale_at(share) * unit
    some = np.linspace(0, len(panel.values) - 1, min(len(panel.values), _SHOWN)).astype(int)
    axes.plot(panel.target[some], panel.values.y[some], ".", markersize=2, alpha=0.4, label="measured")
    axes.plot(state, mean, color="black", label="fitted mean")
    axes.fill_between(state, mean - 2 * sigma, mean + 2 * sigma, alpha=0.2, color="black", label="± 2 σ fitted")
    axes.set(title=panel.title, xlabel="target (µS)", ylabel=f"{panel.title}{panel.shown_unit}")
    axes.legend(loc="best", frameon=False)


def _draw_sigma(axes: Any, panel: Panel) -> None:
    """The robust standard deviation of each level, against the fitted one."""
    state, share = _states(panel)
    values, unit = panel.values, robust_unit(panel.fit.shape)
    groups = bins(values.x)
    centre = [panel.target[group].mean() for group in groups]
    known_error = np.broadcast_to(np.asarray(values.known_error, dtype=float), values.x.shape)
    measured = [
        np.sqrt(max(robust_scale(values.y[g] - np.median(values.y[g])) ** 2 - float((known_error[g] ** 2).mean()), 0))
        for g in groups
    ]
    axes.plot(centre, measured, "o", markersize=4, label="measured")
    axes.plot(state, panel.fit.scale_at(share) * unit, color="black", label="fitted")
    axes.set(title="robust standard deviation", xlabel="target (µS)", ylabel=f"σ{panel.shown_unit}", ylim=(0, None))
    axes.legend(loc="best", frameon=False)
