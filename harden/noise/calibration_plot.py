"""Data against fit: the values with the fitted mean and ±2σ, and the spread of each level against the fitted σ."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from harden.noise.fitting import bins

if TYPE_CHECKING:
    from harden.noise.calibrate import Panel

_SHOWN = 2000


def svg(panels: Sequence[Panel], g_max_us: float) -> str:
    """One row of two plots for each panel; equal data give equal bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "harden", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9, 3.2 * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 2, squeeze=False)
        for (left, right), panel in zip(axes, panels, strict=True):
            _draw(left, right, panel, g_max_us)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _draw(left, right, panel: Panel, g_max_us: float) -> None:
    state = np.linspace(panel.x.min(), panel.x.max(), 200)
    mean = panel.fit.mean_at(state / g_max_us)
    sigma = panel.fit.sigma_at(state / g_max_us)
    unit = f" ({panel.unit})" if panel.unit else ""
    some = np.linspace(0, len(panel.x) - 1, min(len(panel.x), _SHOWN)).astype(int)
    left.plot(panel.x[some], panel.y[some], ".", markersize=2, alpha=0.4, label="measured")
    left.plot(state, mean, color="black", label="fitted mean")
    left.fill_between(state, mean - 2 * sigma, mean + 2 * sigma, alpha=0.2, color="black", label="± 2 σ fitted")
    left.set(title=panel.title, xlabel="target (µS)", ylabel=f"{panel.title}{unit}")
    left.legend(loc="best", frameon=False)
    groups = bins(panel.x)
    centre = [panel.x[group].mean() for group in groups]
    at_data = panel.fit.mean_at(panel.x / g_max_us)
    known = np.broadcast_to(np.asarray(panel.known, dtype=float), panel.x.shape)
    square = [((panel.y[group] - at_data[group]) ** 2 - known[group] ** 2).mean() for group in groups]
    right.plot(centre, np.sqrt(np.maximum(square, 0)), "o", markersize=4, label="measured")
    right.plot(state, sigma, color="black", label="fitted")
    right.set(title="standard deviation", xlabel="target (µS)", ylabel=f"σ{unit}", ylim=(0, None))
    right.legend(loc="best", frameon=False)
