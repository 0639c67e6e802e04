"""``harden profiles check`` and ``calibrate``: a lab's own device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harden.errors import ProfileError, RunFolderError
from harden.noise.calibrate import calibrate as fit_profile
from harden.noise.check import check as find_problems
from harden.store import write_atomic


def check(file: str) -> dict[str, Any]:
    """Check a profile file.

    Returns:
        ``file`` and ``problems`` (empty).

    Raises:
        ProfileError: It is malformed; lists every problem.
    """
    problems = find_problems(file)
    if problems:
        raise ProfileError("the profile is wrong", where=file, problems=problems)
    return {"file": file, "problems": []}


def calibrate(
    measurements: Path,
    *,
    out: Path | None = None,
    name: str | None = None,
    g_max_us: float | None = None,
    g_min_us: float | None = None,
    citation: str | None = None,
) -> dict[str, Any]:
    """Fit a profile to measured conductances, and write it with a plot of data against fit.

    Args:
        measurements: A CSV file with columns ``target_us`` and ``measured_us``.
        out: The profile to write; ``NAME.toml`` in this folder by default. The plot lies beside it as ``.svg``.
        name: The profile's name; the file's stem by default.
        g_max_us: The largest conductance in µS; the largest target by default.
        g_min_us: The smallest conductance in µS; the smallest target by default.
        citation: Where the data come from.

    Returns:
        ``name``, ``profile`` and ``plot`` (paths), ``fit`` (coefficients and goodness).

    Raises:
        DataError: The data are too little or inconsistent; gives every reason.
        RunFolderError: The profile exists already.
    """
    calibration = fit_profile(measurements, name=name, g_max_us=g_max_us, g_min_us=g_min_us, citation=citation)
    path = out or Path(f"{calibration.name}.toml")
    if path.exists():
        raise RunFolderError("exists already", where=str(path), fix="Name another --out")
    plot = path.with_suffix(".svg")
    write_atomic(plot, calibration.svg())
    write_atomic(path, calibration.toml)
    return {"name": calibration.name, "profile": str(path), "plot": str(plot), "fit": calibration.fit}
