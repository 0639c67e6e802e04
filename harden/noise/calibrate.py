"""From a lab's measurements to a profile: fitted laws, why these, and how well they fit.

What is fitted follows from the columns. Every file gives the error of the first reading: its mean, its scale and its
shape over the target's share of g_max (`harden.noise.fitting`), and the share of stuck cells. With cells followed
through several times, models of how they change are compared (`harden.noise.ageing`). With times but no cells, each
time has its own error, and the profile is valid at those times only. With at least five devices, the spread of their
gains becomes die-to-die variation. A fit whose spread has nothing to do with the measured one is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tomli_w

from harden.errors import DataError, SettingsError
from harden.noise.ageing import Followed, PowerDrift, candidates, fits_at_times
from harden.noise.calibration import Calibration, Fitted, Panel, PanelFit, Stuck
from harden.noise.definition import read_definition
from harden.noise.fitted_laws import ageing_laws, spread_laws, stuck_law
from harden.noise.fitting import Fit, Values, levels
from harden.noise.goodness import bins, goodness
from harden.noise.measurements import Measurements, read_measurements
from harden.noise.selection import Comparison, choose, deviations, halves
from harden.noise.shapes import ROBUST, robust_scale
from harden.noise.stuck_cells import StuckCells, find_stuck
from harden.parsing import Table

_FEWEST_DEVICES = 5
_FEWEST_CELLS = 100
_SLACK = 0.05  # of the measured range: how far a fit may be used beyond it
_GAIN_STEPS = 20
_MOST_OFF = 0.3  # relative error of the fitted spread, beyond which R² below 0 means that nothing is explained


@dataclass(frozen=True)
class _Laws:
    """The stages, what was fitted, and what was compared."""

    stages: Table
    panels: tuple[Panel, ...]
    compared: dict[str, list[Comparison]]


def calibrate(
    path: str | Path,
    *,
    name: str | None = None,
    g_max_us: float | None = None,
    g_min_us: float | None = None,
    citation: str | None = None,
    drift: str = "auto",
) -> Calibration:
    """Fit a profile to measurements.

    Args:
        path: The file; `read_measurements` says what it may look like.
        name: The profile's name; the file's stem if not given.
        g_max_us: The largest conductance of the profile in µS; the largest target if not given.
        g_min_us: The smallest; the smallest target if not given.
        citation: Where the data come from.
        drift: How cells change: ``power_drift``, ``relaxation``, ``each_time``, or ``auto`` to compare these;
            ``resampled`` fits nothing, and puts the measured deviations themselves into the profile.

    Returns:
        The profile's text, which loads as it is, with the goodness of its fits.

    Raises:
        DataError: The data are too little or inconsistent, with every reason; or the fit explains nothing.
        SettingsError: The range makes no sense, or goes beyond what was measured.
    """
    data = read_measurements(path)
    high = float(g_max_us if g_max_us is not None else data.target.max())
    low = float(g_min_us if g_min_us is not None else data.target.min())
    _within_the_data(data, low, high)
    label = name or Path(path).stem
    within, gains = _without_gains(data)
    stuck, following = (None, within) if drift == "resampled" else _without_stuck(within)
    laws = _resampled(following, high) if drift == "resampled" else _laws(following, high, drift)
    document: dict[str, object] = {
        "summary": f"Fitted to {len(data)} measurements of {Path(path).name}",
        "citation": citation or f"Measurements in {Path(path).name}, fitted by harden profiles calibrate",
    }
    if gains is not None:
        about = "die to die: relative standard deviation of a gain that a chip shares, from the measured devices"
        document["knobs"] = {"d2d": {"default": gains, "min": 0, "about": about}}
    document["mapping"] = {"kind": "pair", "g_min_us": low, "g_max_us": high}
    document |= laws.stages
    if stuck is not None:
        document["stuck"] = [stuck_law(stuck, low, high)]
    fits = {panel.title: _record(panel) for panel in laws.panels}
    _explains_something(fits, where=str(path))
    text = tomli_w.dumps(document)
    read_definition(text, where=label)
    record: Fitted = {
        "rows": len(data),
        "g_max_us": high,
        "d2d": gains,
        "notes": list(data.notes),
        "stuck": None if stuck is None else _stuck_record(stuck),
        "compared": laws.compared,
        "fits": fits,
    }
    return Calibration(label, text, record, laws.panels, high)


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


def _explains_something(fits: dict[str, PanelFit], where: str) -> None:
    """Refuse a fit whose spread is no better than one number for all levels, and far off."""
    problems = [
        f"{title}: R² of σ is {fit['r2_sigma']:.3g}, and σ is off by {fit['sigma_off']:.0%} on average"
        for title, fit in fits.items()
        if fit["r2_sigma"] < 0 and fit["sigma_off"] > _MOST_OFF
    ]
    if problems:
        drifting = any("drift exponent" in title for title in fits)
        cause = (
            "the cells do not follow a power law of time, as phase-change memory does: try --drift auto"
            if drifting
            else "several populations in one file, or a spread that jumps from level to level"
        )
        raise DataError("the fit explains nothing", where=where, problems=problems, fix=f"Likely: {cause}.")


def _laws(data: Measurements, high: float, drift: str) -> _Laws:
    if data.time_s is None or len(np.unique(data.time_s)) == 1:
        return _programming([(None, data)], high)
    followed = _followed(data, high)
    if followed is not None and len(followed.target) >= _FEWEST_CELLS:
        return _ageing(followed, drift)
    if drift not in ("auto", "each_time"):
        raise SettingsError(f"--drift {drift} needs a column cell, and cells that were read at every time")
    times = np.unique(data.time_s)
    laws = _programming([(float(time), data.rows(data.time_s == time)) for time in times], high)
    return replace(laws, stages={"time": {"valid_s": times.tolist()}, **laws.stages})


def _programming(groups: Sequence[tuple[float | None, Measurements]], high: float) -> _Laws:
    """Each time has its own error, of the same kind of shape and curves."""
    values = [Values(data.target / high, data.measured - data.target, floor=-data.target) for _, data in groups]
    tried = [choose_fit(part) for part in values]
    kinds = {fit.shape.name for fit, _ in tried}
    tables = {bool(fit.scale.table) for fit, _ in tried}
    if len(kinds) > 1 or len(tables) > 1:
        # Laws that are interpolated in time are of one kind: the one that suits the times together.
        fits, comparison = _common_kind(values)
    else:
        fits, comparison = [fit for fit, _ in tried], tried[0][1]
    titles = ["programming error" + ("" if time is None else f" after {time:g} s") for time, _ in groups]
    panels = [
        Panel(title, "µS", data.target, part, fit)
        for title, (_, data), part, fit in zip(titles, groups, values, fits, strict=True)
    ]
    times = [time for time, _ in groups]
    laws = spread_laws(list(zip(times, fits, strict=True)), high)
    return _Laws({"program": laws}, tuple(panels), {"programming error": comparison})


def choose_fit(values: Values) -> tuple[Fit, list[Comparison]]:
    """The best supported fit of deviations at one time, and the comparison."""
    fits, tried = choose(deviations([values], halves(len(values))))
    return fits[0], tried


def _common_kind(values: Sequence[Values]) -> tuple[list[Fit], list[Comparison]]:
    size = min(len(part) for part in values)
    rows = [np.linspace(0, len(part) - 1, size).astype(int) for part in values]
    fits, tried = choose(deviations([part.rows(index) for part, index in zip(values, rows, strict=True)], halves(size)))
    return fits, tried


def _followed(data: Measurements, high: float) -> Followed | None:
    """The cells that were read at every time; None where cells have no names."""
    if data.cell is None or data.time_s is None:
        return None
    times, when = np.unique(data.time_s, return_inverse=True)
    cells, which = np.unique(data.cell, return_inverse=True)
    table = np.full((len(cells), len(times)), np.nan)
    table[which, when] = data.measured
    target = np.zeros(len(cells))
    target[which] = data.target
    whole = np.isfinite(table).all(axis=1)
    return Followed(target[whole], table[whole], times, high)


def _ageing(data: Followed, drift: str) -> _Laws:
    half = halves(len(data.target))
    model, tried = choose(candidates(data, half, drift))
    share = data.target / data.full
    if isinstance(model, PowerDrift):
        whole = data.above_zero()
        target = data.target[whole]
        exponent = Values(share[whole], model.exponent, model.error_of_exponent)
        first = Values(share[whole], model.start - target, model.error_of_start)
        later = [Panel("drift exponent", "", target, exponent, model.drift)]
    else:
        target = data.target
        first = Values(share, data.readings[:, 0] - target, floor=-target)
        pairs = zip(data.changes(), fits_at_times(model, data.times[1:].tolist()), strict=True)
        later = [Panel(f"change after {time:g} s", "µS", target, part, fit) for part, (time, fit) in pairs]
    program, shapes = choose_fit(first)
    panels = (Panel("programming error", "µS", target, first, program), *later)
    laws = {"program": spread_laws([(None, program)], data.full), **ageing_laws(model, data)}
    compared = {"programming error": shapes, "change in time": tried}
    return _Laws(laws, panels, compared)


def _resampled(data: Measurements, high: float) -> _Laws:
    """The measured cells themselves, level by level; stuck ones among them."""
    followed = None if data.time_s is None or len(np.unique(data.time_s)) == 1 else _followed(data, high)
    if followed is None and data.time_s is not None and len(np.unique(data.time_s)) > 1:
        raise SettingsError(
            "several times can only be resampled where a column cell says which readings belong together"
        )
    target = data.target if followed is None else followed.target
    deviation = (data.measured[:, None] if followed is None else followed.readings) - target[:, None]
    groups = sorted(levels(target) or bins(target), key=lambda group: float(target[group].mean()))
    if not groups:
        raise DataError("no level has ten cells to draw from")
    law: dict[str, object] = {"law": "resampled", "fitted_full": high}
    law["levels"] = [
        {"share": float(target[group].mean() / high), "deviations": np.round(deviation[group], 6).tolist()}
        for group in groups
    ]
    if followed is None:
        return _Laws({"program": [law]}, (), {})
    law["times_s"] = followed.times.tolist()
    span = {"from_s": float(followed.times[0]), "to_s": float(followed.times[-1])}
    return _Laws({"time": span, "program": [law]}, (), {})


def _without_stuck(data: Measurements) -> tuple[StuckCells | None, Measurements]:
    """Stuck cells by the first reading of each, and the data without their readings."""
    first = np.ones(len(data), dtype=bool) if data.time_s is None else data.time_s == data.time_s.min()
    stuck = find_stuck(data.target[first], data.measured[first], float(data.target.max()))
    if stuck is None:
        return None, data
    rows = np.zeros(len(data), dtype=bool)
    if data.cell is None:
        rows[np.flatnonzero(first)[stuck.rows]] = True
    else:
        rows = np.isin(data.cell, data.cell[first][stuck.rows])
    return stuck, data.rows(~rows)


def _without_gains(data: Measurements) -> tuple[Measurements, float | None]:
    """The data with each device's own gain divided out, and the standard deviation of the gains.

    A gain is the slope through the origin, by Student's t with four degrees of freedom, so that stuck cells do not
    move it. The error of estimating a gain is taken off the spread. Fewer than five devices say nothing: the data stay,
    and None.
    """
    if data.device is None or len(np.unique(data.device)) < _FEWEST_DEVICES:
        return data, None
    devices, which = np.unique(data.device, return_inverse=True)
    gains, errors = np.ones(len(devices)), np.zeros(len(devices))
    for index in range(len(devices)):
        target, measured = data.target[which == index], data.measured[which == index]
        if not target.any():
            continue
        gains[index], errors[index] = _slope(target, measured)
    relative = gains / gains.mean()
    spread = float(np.sqrt(max(np.var(relative, ddof=1) - errors.mean(), 0.0)))
    return replace(data, measured=data.measured / relative[which]), spread


def _slope(target: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    """The slope through the origin, and its squared error."""
    weight = np.ones(len(target))
    slope, rest, total = 1.0, measured - target, float((target**2).sum())
    for _ in range(_GAIN_STEPS):
        total = float((weight * target**2).sum())
        slope = float((weight * target * measured).sum()) / total
        rest = measured - slope * target
        weight = ROBUST.weight(rest / robust_scale(rest))
    return slope, float((weight**2 * target**2 * rest**2).sum()) / total**2


def _record(panel: Panel) -> PanelFit:
    fit = panel.fit
    return {
        "rows": len(panel.values),
        "mean": fit.mean.numbers,
        "sigma": fit.scale.numbers,
        "shape": str(fit.shape),
        **goodness(fit, panel.values),
    }


def _stuck_record(stuck: StuckCells) -> Stuck:
    return {
        "share": stuck.share,
        "low": stuck.low,
        "high": stuck.high,
        "anywhere": stuck.anywhere,
        "low_us": stuck.low_us,
        "high_us": stuck.high_us,
        "cells": int(stuck.rows.sum()),
    }
