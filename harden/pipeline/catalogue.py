"""What can be chosen by name: methods and profiles, those of a lab included."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from harden import methods as method_package
from harden.errors import ProfileError, RunFolderError
from harden.noise import describe as noise_text
from harden.noise.against_data import DataCheck, against
from harden.noise.calibrate import calibrate as fit_profile
from harden.noise.calibration import Fitted
from harden.noise.calibration_plot import svg
from harden.noise.check import check as find_problems
from harden.noise.profile import Profile
from harden.pipeline.models import open_model
from harden.registry import METHODS
from harden.store import write_atomic


class Summary(TypedDict):
    """A method in short."""

    name: str
    kind: str
    summary: str
    cost: str
    source: str


class Shown(method_package.Description):
    """A method, and the name that it was asked for by."""

    alias: str


class Calibrated(TypedDict):
    """The profile's name, its file, the plot of data against fit ("" where nothing was fitted), and what was fitted."""

    name: str
    profile: str
    plot: str
    fit: Fitted


def methods() -> list[Summary]:
    """Every method in short."""
    return [
        {"name": m["name"], "kind": m["kind"], "summary": m["summary"], "cost": m["cost"], "source": m["source"]}
        for m in map(method_package.describe, METHODS)
    ]


def method(name: str) -> Shown:
    """Everything there is to know of one method, options included."""
    return {**method_package.describe(name), "alias": name}


def profiles() -> list[dict[str, str]]:
    """One record a shipped profile: name, kind, summary, source, level, valid."""
    return noise_text.listing()


def profile(text: str, model: str | None = None, at_s: float | None = None) -> noise_text.Description:
    """One profile, with any values given in its name, and what it would do to a model.

    Args:
        text: ``NAME[:key=value,...]`` or a file.
        model: An ONNX file, or ``timm:NAME``.
        at_s: Seconds since programming; None is the first valid time.
    """
    weights = None if model is None else open_model(model, allow_random=True).analog_weights()
    return noise_text.describe(Profile.parse(text), weights, at_s=at_s)


class Checked(TypedDict):
    """A profile that has no problems, and what measurements say of it where there are any."""

    file: str
    problems: list[str]
    data: DataCheck | None


def check(file: str, data: Path | None = None) -> Checked:
    """Check a profile file, and hold it against measurements.

    Args:
        file: The profile.
        data: Measured cells; see `harden.noise.measurements`.

    Raises:
        ProfileError: It is malformed; lists every problem.
        DataError: The measurements cannot be used.
    """
    problems = find_problems(file)
    if problems:
        raise ProfileError("the profile is wrong", where=file, problems=problems)
    tested = None if data is None else against(Profile.parse(file), data)
    return {"file": file, "problems": [], "data": tested}


@dataclass(frozen=True)
class Wanted:
    """What a calibration is to make.

    Attributes:
        out: The profile to write; ``NAME.toml`` in this folder by default. The plot lies beside it as ``.svg``.
        name: The profile's name; the file's stem by default.
        g_max_us: The largest conductance in µS; the largest target by default.
        g_min_us: The smallest conductance in µS; the smallest target by default.
        citation: Where the data come from.
        drift: How followed cells change in time; ``auto`` compares the models.
    """

    out: Path | None = None
    name: str | None = None
    g_max_us: float | None = None
    g_min_us: float | None = None
    citation: str | None = None
    drift: str = "auto"


def calibrate(measurements: Path, wanted: Wanted = Wanted()) -> Calibrated:
    """Fit a profile to measured conductances, and write it with a plot of data against fit.

    Args:
        measurements: The file; see `harden.noise.measurements`.
        wanted: What to make of it.

    Raises:
        DataError: The data are too little or inconsistent, or the fit explains nothing; gives every reason.
        RunFolderError: The profile exists already.
    """
    path = wanted.out
    if path is not None and path.exists():
        raise RunFolderError("exists already", where=str(path), fix="Name another --out")
    calibration = fit_profile(
        measurements,
        name=wanted.name,
        g_max_us=wanted.g_max_us,
        g_min_us=wanted.g_min_us,
        citation=wanted.citation,
        drift=wanted.drift,
    )
    path = path or Path(f"{calibration.name}.toml")
    if path.exists():
        raise RunFolderError("exists already", where=str(path), fix="Name another --out")
    plot = path.with_suffix(".svg") if calibration.panels else None
    if plot is not None:
        write_atomic(plot, svg(calibration))
    write_atomic(path, calibration.toml)
    return {"name": calibration.name, "profile": str(path), "plot": str(plot or ""), "fit": calibration.fit}
