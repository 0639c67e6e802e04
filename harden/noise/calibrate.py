"""From a lab's measurements to a profile: fitted laws, how well they fit, and a plot of data against fit.

What is fitted follows from the columns. Every file gives the programming error: the mean and the standard deviation
as polynomials of the target's share of g_max. With times and cells followed through at least three of them, the drift
exponent of each cell is found, and its mean and spread are fitted (power law from the first reading on); what is left
around each cell's line is read noise. With times but no cells, each time has its own programming error, and the
profile is valid at those times only. With at least five devices, the spread of their gains becomes die-to-die
variation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import tomli_w

from harden.errors import SettingsError
from harden.noise.definition import read_definition
from harden.noise.fitting import Fit, Goodness, bins, fit, goodness
from harden.noise.measurements import Measurements, read_measurements
from harden.parsing import Table

_FEWEST_DEVICES = 5
_FEWEST_TIMES = 3
_FEWEST_CELLS = 100
_SHOWN = 2000  # points of a plot
_SLACK = 0.05  # of the measured range: how far a fit may be used beyond it


@dataclass(frozen=True)
class Panel:
    """One plot: data and the fit of its spread.

    Attributes:
        title: What is shown.
        unit: Unit of the values.
        x: The state in µS.
        y: What was fitted.
        fit: The fit, over x / g_max.
        known_error: The part of the spread that is known (a standard deviation).
    """

    title: str
    unit: str
    x: np.ndarray
    y: np.ndarray
    fit: Fit
    known_error: np.ndarray | float = 0.0

    @property
    def shown_unit(self) -> str:
        """The unit as an axis shows it."""
        return f" ({self.unit})" if self.unit else ""


class PanelFit(Goodness):
    """The number of values of a panel, its fit's coefficients, and the fit's goodness."""

    rows: int
    mean: list[float]
    sigma: list[float]


class Fitted(TypedDict):
    """The number of measurements, the range, the spread of the devices' gains, and each panel's fit by title."""

    rows: int
    g_max_us: float
    d2d: float | None
    fits: dict[str, PanelFit]


@dataclass(frozen=True)
class Calibration:
    """A fitted profile.

    Attributes:
        name: The profile's name.
        toml: The profile's file.
        fit: What was fitted, and how well.
        panels: What the plot shows.
        g_max_us: The largest conductance of the profile.
    """

    name: str
    toml: str
    fit: Fitted
    panels: tuple[Panel, ...]
    g_max_us: float

    def svg(self) -> str:
        """The plot of data against fit, as one SVG: two plots in a row for each panel; equal data give equal bytes."""
        import matplotlib
        from matplotlib.figure import Figure

        drawing: Any = matplotlib  # its own types are partial
        with drawing.rc_context({"svg.hashsalt": "harden", "svg.fonttype": "none", "font.size": 9}):
            figure: Any = Figure(figsize=(9, 3.2 * len(self.panels)), layout="constrained")
            axes = figure.subplots(len(self.panels), 2, squeeze=False)
            for (left, right), panel in zip(axes, self.panels, strict=True):
                _draw_data(left, panel, self.g_max_us)
                _draw_sigma(right, panel, self.g_max_us)
            text = StringIO()
            figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        return text.getvalue()


def calibrate(
    path: str | Path,
    *,
    name: str | None = None,
    g_max_us: float | None = None,
    g_min_us: float | None = None,
    citation: str | None = None,
) -> Calibration:
    """Fit a profile to a CSV file of measurements.

    Args:
        path: The file; `read_measurements` says which columns it has.
        name: The profile's name; the file's stem if not given.
        g_max_us: The largest conductance of the profile in µS; the largest target if not given.
        g_min_us: The smallest; the smallest target if not given.
        citation: Where the data come from.

    Returns:
        The profile's text, which loads as it is, with the goodness of its fits.

    Raises:
        DataError: The data are too little or inconsistent, with every reason.
        SettingsError: The range makes no sense, or goes beyond what was measured.
    """
    data = read_measurements(path)
    high = float(g_max_us if g_max_us is not None else data.target.max())
    low = float(g_min_us if g_min_us is not None else data.target.min())
    _within_the_data(data, low, high)
    label = name or Path(path).stem
    within, gains = _without_gains(data)
    laws, panels = _laws(within, high)
    document: dict[str, object] = {
        "summary": f"Fitted to {len(data)} measurements of {Path(path).name}",
        "citation": citation or f"Measurements in {Path(path).name}, fitted by harden profiles calibrate",
    }
    if gains is not None:
        about = "die to die: relative standard deviation of a gain that a chip shares, from the measured devices"
        document["knobs"] = {"d2d": {"default": gains, "min": 0, "about": about}}
    document["mapping"] = {"kind": "pair", "g_min_us": low, "g_max_us": high}
    document |= laws
    text = tomli_w.dumps(document)
    read_definition(text, where=label)
    fits = {panel.title: _record(panel, high) for panel in panels}
    return Calibration(
        label, text, {"rows": len(data), "g_max_us": high, "d2d": gains, "fits": fits}, tuple(panels), high
    )


def _within_the_data(data: Measurements, low: float, high: float) -> None:
    first, last = float(data.target.min()), float(data.target.max())
    slack = _SLACK * (last - first)
    problems: list[str] = []
    if not 0 <= low < high:
        problems.append(f"g_min_us = {low:g} and g_max_us = {high:g}: needs 0 <= g_min_us < g_max_us")
    if high > last + slack:
        problems.append(f"g_max_us = {high:g}: targets were measured up to {last:g} µS only")
    if low < first - slack:
        problems.append(f"g_min_us = {low:g}: targets were measured from {first:g} µS on only")
    if problems:
        raise SettingsError("the range of the profile cannot be fitted", problems=problems)


def _laws(data: Measurements, high: float) -> tuple[Table, list[Panel]]:
    if data.time_s is None or len(np.unique(data.time_s)) == 1:
        return _programming([(None, data)], high)
    times = np.unique(data.time_s)
    followed = None if data.cell is None else _followed(data, data.time_s, data.cell)
    if followed is not None and len(times) >= _FEWEST_TIMES and times[0] > 0 and len(followed[0]) >= _FEWEST_CELLS:
        return _drifting(*followed, high, start_s=float(times[0]))
    laws, panels = _programming([(float(time), data.rows(data.time_s == time)) for time in times], high)
    return {"time": {"valid_s": times.tolist()}, **laws}, panels


def _programming(groups: list[tuple[float | None, Measurements]], high: float) -> tuple[Table, list[Panel]]:
    panels: list[Panel] = []
    for time, data in groups:
        error = data.measured - data.target
        result = fit(data.target / high, error, floor=-data.target)
        title = "programming error" if time is None else f"programming error after {time:g} s"
        panels.append(Panel(title, "µS", data.target, error, result))
    order = max(len(panel.fit.sigma) for panel in panels)
    mean_order = max(len(panel.fit.mean) for panel in panels)
    times = [time for time, _ in groups]
    means = [_piece(time, panel.fit.mean, mean_order) for time, panel in zip(times, panels, strict=True)]
    spreads = [_piece(time, panel.fit.sigma, order) for time, panel in zip(times, panels, strict=True)]
    return {"program": _program(means if mean_order else [], spreads, high)}, panels


def _program(means: list[Table], spreads: list[Table], high: float) -> list[Table]:
    """The laws of the programming error: its mean, where there is one, and its spread."""
    shift = {"law": "shift", "argument": "share", "mean": means, "fitted_full": high, "of": "target"}
    state = {"law": "state", "sigma": spreads, "fitted_full": high}
    return [shift, state] if means else [state]


def _piece(time: float | None, coefficients: tuple[float, ...], size: int) -> Table:
    padded = [float(value) for value in coefficients] + [0.0] * (size - len(coefficients))
    return {"poly": padded} if time is None else {"at_s": time, "poly": padded}


def _followed(data: Measurements, time_s: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, readings and times of the cells that were read at every time: [cells], [cells, times], [times]."""
    times, when = np.unique(time_s, return_inverse=True)
    cells, which = np.unique(cell, return_inverse=True)
    table = np.full((len(cells), len(times)), np.nan)
    table[which, when] = data.measured
    target = np.zeros(len(cells))
    target[which] = data.target
    whole = np.isfinite(table).all(axis=1) & (table > 0).all(axis=1)
    return target[whole], table[whole], times


def _drifting(
    target: np.ndarray, table: np.ndarray, times: np.ndarray, high: float, *, start_s: float
) -> tuple[Table, list[Panel]]:
    """Power-law drift of followed cells: ln g = ln g₀ − ν ln(t / t₀), one line per cell."""
    elapsed = np.log(times / start_s)
    centred = elapsed - elapsed.mean()
    logs = np.log(table)
    slope = (logs * centred).sum(axis=1) / (centred**2).sum()
    start = np.exp(logs.mean(axis=1) - slope * elapsed.mean())
    residual = logs - logs.mean(axis=1, keepdims=True) - slope[:, None] * centred
    read = float(np.sqrt((residual**2).sum() / (residual.size - 2 * len(table))))
    share = target / high
    error_of_slope = read / float(np.sqrt((centred**2).sum()))
    drift = Panel(
        "drift exponent",
        "",
        target,
        -slope,
        fit(share, -slope, known_error=error_of_slope, shifted=True),
        error_of_slope,
    )
    error_of_start = start * read * float(np.sqrt(1 / len(times) + elapsed.mean() ** 2 / (centred**2).sum()))
    errors = fit(share, start - target, known_error=error_of_start)
    program = Panel("programming error", "µS", target, start - target, errors, error_of_start)
    parts = (program.fit.mean, program.fit.sigma, drift.fit.mean, drift.fit.sigma)
    means, spreads, mean, sigma = ([_piece(None, part, len(part))] for part in parts)
    return {
        "time": {"from_s": 0.0, "to_s": float(times[-1] - start_s)},
        "program": _program(means if program.fit.mean else [], spreads, high),
        "drift": [{"law": "power_drift", "mean": mean, "sigma": sigma, "start_s": start_s}],
        "read": [{"law": "gaussian", "relative_to": "weight", "sigma": read}],
    }, [program, drift]


def _without_gains(data: Measurements) -> tuple[Measurements, float | None]:
    """The data with each device's own gain divided out, and the standard deviation of the gains.

    The error of estimating a gain is taken off the spread. Fewer than five devices say nothing: the data stay, and
    None.
    """
    if data.device is None or len(np.unique(data.device)) < _FEWEST_DEVICES:
        return data, None
    devices, which = np.unique(data.device, return_inverse=True)
    gains, errors = np.ones(len(devices)), np.zeros(len(devices))
    for index in range(len(devices)):
        target, measured = data.target[which == index], data.measured[which == index]
        weight = float((target**2).sum())
        if weight > 0:
            gains[index] = (target * measured).sum() / weight
            errors[index] = (target**2 * (measured - gains[index] * target) ** 2).sum() / weight**2
    relative = gains / gains.mean()
    spread = float(np.sqrt(max(np.var(relative, ddof=1) - errors.mean(), 0.0)))
    return replace(data, measured=data.measured / relative[which]), spread


def _record(panel: Panel, high: float) -> PanelFit:
    share = panel.x / high
    return {
        "rows": len(panel.x),
        "mean": list(panel.fit.mean),
        "sigma": list(panel.fit.sigma),
        **goodness(panel.fit, share, panel.y, known_error=panel.known_error),
    }


def _draw_data(axes: Any, panel: Panel, g_max_us: float) -> None:
    """The values, with the fitted mean and ±2σ."""
    state = np.linspace(float(panel.x.min()), float(panel.x.max()), 200)
    mean, sigma = panel.fit.mean_at(state / g_max_us), panel.fit.sigma_at(state / g_max_us)
    some = np.linspace(0, len(panel.x) - 1, min(len(panel.x), _SHOWN)).astype(int)
    axes.plot(panel.x[some], panel.y[some], ".", markersize=2, alpha=0.4, label="measured")
    axes.plot(state, mean, color="black", label="fitted mean")
    axes.fill_between(state, mean - 2 * sigma, mean + 2 * sigma, alpha=0.2, color="black", label="± 2 σ fitted")
    axes.set(title=panel.title, xlabel="target (µS)", ylabel=f"{panel.title}{panel.shown_unit}")
    axes.legend(loc="best", frameon=False)


def _draw_sigma(axes: Any, panel: Panel, g_max_us: float) -> None:
    """The standard deviation of each level, against the fitted σ."""
    state = np.linspace(float(panel.x.min()), float(panel.x.max()), 200)
    groups = bins(panel.x)
    centre = [panel.x[group].mean() for group in groups]
    at_data = panel.fit.mean_at(panel.x / g_max_us)
    known_error = np.broadcast_to(np.asarray(panel.known_error, dtype=float), panel.x.shape)
    square = [((panel.y[group] - at_data[group]) ** 2 - known_error[group] ** 2).mean() for group in groups]
    axes.plot(centre, np.sqrt(np.maximum(square, 0)), "o", markersize=4, label="measured")
    axes.plot(state, panel.fit.sigma_at(state / g_max_us), color="black", label="fitted")
    axes.set(title="standard deviation", xlabel="target (µS)", ylabel=f"σ{panel.shown_unit}", ylim=(0, None))
    axes.legend(loc="best", frameon=False)
