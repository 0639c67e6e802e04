"""``harden profiles check`` and ``calibrate``: a lab's own device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harden.errors import ProfileError, RunFolderError
from harden.noise.calibrate import calibrate as fit_profile
from harden.noise.check import check as find_problems
from harden.store import write_atomic

_NOTED_OUTLIERS = 1e-3


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
    found = fit_profile(measurements, name=name, g_max_us=g_max_us, g_min_us=g_min_us, citation=citation)
    path = out or Path(f"{found.name}.toml")
    if path.exists():
        raise RunFolderError("exists already", where=str(path), fix="Name another --out")
    plot = path.with_suffix(".svg")
    write_atomic(plot, found.svg())
    write_atomic(path, found.toml)
    return {"name": found.name, "profile": str(path), "plot": str(plot), "fit": found.fit}


def calibrate_text(document: dict[str, Any]) -> str:
    """The result for people."""
    fit = document["fit"]
    lines = [f"{document['profile']}: fitted to {fit['rows']} measurements; data against fit in {document['plot']}"]
    for title, one in fit["fits"].items():
        spread = ", ".join(f"{value:.4g}" for value in one["sigma"])
        lines.append(f"  {title}: sigma polynomial in g/g_max: {spread}")
        lines.append(
            f"    within 1 sigma {one['within_1']:.1%} (Gaussian 68.3%), 2 sigma {one['within_2']:.1%} (95.4%); "
            f"R2 of sigma {one['r2_sigma']:.3f}"
        )
        lines.append(f"    Kolmogorov-Smirnov against a Gaussian {one['ks']:.3f} (p = {one['ks_p']:.2g})")
        if one["outliers"] > _NOTED_OUTLIERS:
            lines.append(f"    {one['outliers']:.1%} of the values are far off (stuck cells?); sigma includes them")
    if fit["d2d"] is not None:
        lines.append(f"  device to device: {fit['d2d']:.4g} relative")
    return "\n".join(lines)
