"""A profile against measurements that it was not fitted to: goodness of fit for each level and time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from scipy import stats

from harden.errors import DataError, SettingsError
from harden.noise.circuit import Draw
from harden.noise.fitting import levels
from harden.noise.goodness import bins
from harden.noise.laws import power_drift
from harden.noise.measurements import read_measurements
from harden.noise.profile import Profile
from harden.noise.shapes import robust_scale

_DRAWN = 20  # devices for each measured cell: what is drawn is known far better than what was measured
_ERROR_RATE = 0.05
_FEWEST = 20
_SLACK = 0.05  # of the range: how far beyond it a target may lie


class LevelTest(TypedDict):
    """One level at one time: readings as measured and as the profile draws them, and a two-sample test.

    ``p`` is of the two-sample Kolmogorov-Smirnov test, ``p_adjusted`` Holm's, for all levels and times together.
    """

    at_s: float
    target_us: float
    cells: int
    sigma_us: float
    sigma_drawn_us: float
    mean_us: float
    mean_drawn_us: float
    ks: float
    p: float
    p_adjusted: float
    differs: bool


class DataCheck(TypedDict):
    """The tests, how many of them find a difference, and what could not be tested."""

    tests: list[LevelTest]
    differing: int
    skipped: list[str]


def against(profile: Profile, path: str | Path) -> DataCheck:
    """Hold a profile against measured cells.

    For each level and time, as many devices again (20 times) are drawn from the profile with the targets of the
    measured cells, and the readings are compared by a two-sample Kolmogorov-Smirnov test. P values are adjusted by
    Holm's method, so that a true profile is found to differ anywhere in 5% of such checks.

    Args:
        profile: Of conductances.
        path: Measurements; `read_measurements` says what the file may look like.

    Raises:
        SettingsError: The profile has no conductances.
        DataError: The file cannot be used, or nothing in it lies within the profile's range and times.
    """
    mapping = profile.circuit.mapping
    if mapping.unit != "µS" or profile.definition.sampler is not None:
        raise SettingsError(f"profile '{profile.name}' has no conductances that measurements could be held against")
    data = read_measurements(path)
    slack = _SLACK * (mapping.high - mapping.low)
    within = (data.target >= mapping.low - slack) & (data.target <= mapping.high + slack)
    outside = f"{int((~within).sum())} rows with targets outside {mapping.low:g} to {mapping.high:g} µS"
    skipped = [] if within.all() else [outside]
    time_s = np.full(len(data), profile.default_at_s) if data.time_s is None else data.time_s
    tests: list[LevelTest] = []
    for time in np.unique(time_s):
        at_s = max(float(time) - _first_reading(profile), 0.0)
        if not profile.definition.time.covers(at_s):
            skipped.append(f"{int((time_s == time).sum())} rows at {time:g} s: valid are {profile.definition.time}")
            continue
        rows = within & (time_s == time)
        tests += _levels(profile, data.target[rows], data.measured[rows], at_s, float(time))
    if not tests:
        raise DataError("nothing can be tested", where=str(path), problems=skipped)
    adjusted = holm([test["p"] for test in tests])
    for test, p in zip(tests, adjusted, strict=True):
        test["p_adjusted"], test["differs"] = p, p < _ERROR_RATE
    return {"tests": tests, "differing": sum(test["differs"] for test in tests), "skipped": skipped}


def holm(values: Sequence[float]) -> list[float]:
    """P values adjusted for their number: sequentially rejective (Holm, Scandinavian Journal of Statistics 6, 1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(values, kind="stable")
    scaled = np.asarray(values)[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in adjusted]


def _first_reading(profile: Profile) -> float:
    """Power laws count time from the first reading, measurements from programming."""
    laws = [stage.law for stage in profile.circuit.stages]
    return max((law.start_s for law in laws if isinstance(law, power_drift.Law)), default=0.0)


def _levels(profile: Profile, target: np.ndarray, measured: np.ndarray, at_s: float, time: float) -> list[LevelTest]:
    if not len(target):
        return []
    mapping = profile.circuit.mapping
    many = np.repeat(np.minimum(np.maximum(target, mapping.low), mapping.high), _DRAWN)
    draw = Draw(0, ("check",), profile.name, at_s, profile.severity)
    drawn = profile.circuit.read_devices(torch.tensor(many), draw).numpy()
    tests: list[LevelTest] = []
    for group in levels(target) or bins(target):
        if len(group) < _FEWEST:
            continue
        here = measured[group]
        there = np.concatenate([drawn[group * _DRAWN + index] for index in range(_DRAWN)])
        test = stats.ks_2samp(here, there)
        tests.append(
            {
                "at_s": time,
                "target_us": float(target[group].mean()),
                "cells": len(group),
                "sigma_us": robust_scale(here - np.median(here)),
                "sigma_drawn_us": robust_scale(there - np.median(there)),
                "mean_us": float(here.mean()),
                "mean_drawn_us": float(there.mean()),
                "ks": float(test.statistic),
                "p": float(test.pvalue),
                "p_adjusted": 1.0,
                "differs": False,
            }
        )
    return tests
