"""``harden profiles list|show|check|calibrate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harden.cli.completion import profiles
from harden.cli.screen import Answer, answer_options, table

if TYPE_CHECKING:
    from harden.noise.against_data import DataCheck
    from harden.noise.calibration import Stuck
    from harden.noise.selection import Comparison
    from harden.pipeline.catalogue import Calibrated


@click.group("profiles")
def command() -> None:
    """The noise profiles.

    \b
    harden profiles list
    harden profiles show rram1
    """


@command.command("list")
@answer_options
def list_command(answer: Answer) -> None:
    """Every profile that harden ships, with its source."""
    from harden.pipeline import catalogue

    document = {"profiles": catalogue.profiles()}
    answer.show(document, _list_text(document["profiles"]))


@command.command("show")
@click.argument("name", shell_complete=profiles)
@click.option("--model", help="say what the noise would do to this model")
@click.option(
    "--at",
    "at",
    metavar="TIME",
    help="time since programming, such as 1h  [default: the first that the profile allows]",
)
@answer_options
def show_command(name: str, model: str | None, at: str | None, answer: Answer) -> None:
    """One profile: its parameters, valid times, citation. NAME may carry values (rram1:sigma_d=0.2) or be a file."""
    from harden.noise.describe import text
    from harden.pipeline.catalogue import profile
    from harden.settings import read_seconds

    document = profile(name, model, None if at is None else read_seconds(at, "--at"))
    answer.show(document, text(document))


@command.command("check")
@click.argument("file")
@click.option("--data", type=click.Path(path_type=Path), help="measured cells that the profile is held against")
@answer_options
def check_command(file: str, data: Path | None, answer: Answer) -> None:
    """Check a profile FILE of your own, and list all its problems at once.

    \b
    harden profiles check wafer7.toml --data wafer8.csv
    """
    from harden.pipeline.catalogue import check

    document = check(file, data)
    tested = document["data"]
    answer.show(document, f"{file}: fine" + ("" if tested is None else f"\n{_tested_text(tested)}"))


@command.command("calibrate")
@click.argument("measurements", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="profile to write  [default: NAME.toml]")
@click.option("--name", help="the profile's name  [default: the file's]")
@click.option("--g-max-us", type=float, help="largest conductance, µS  [default: the largest target]")
@click.option("--g-min-us", type=float, help="smallest conductance, µS  [default: the smallest target]")
@click.option("--citation", help="where the data come from")
@click.option(
    "--drift",
    type=click.Choice(["auto", "power_drift", "relaxation", "each_time", "resampled"]),
    default="auto",
    help="how followed cells change in time; resampled: draw from the measured cells  [default: the best supported]",
)
@answer_options
def calibrate_command(
    measurements: Path,
    out: Path | None,
    name: str | None,
    g_max_us: float | None,
    g_min_us: float | None,
    citation: str | None,
    drift: str,
    answer: Answer,
) -> None:
    """Fit a profile to MEASUREMENTS, with target and measured conductances and perhaps time, cell and device.

    \b
    harden profiles calibrate wafer7.csv --citation 'our wafer 7, 2026'
    """
    from harden.pipeline.catalogue import Wanted, calibrate

    wanted = Wanted(out, name, g_max_us, g_min_us, citation, drift)
    document = calibrate(measurements, wanted)
    answer.show(document, _calibrate_text(document))


def _list_text(records: Sequence[Mapping[str, str]]) -> str:
    """The profiles as a table."""
    return table(
        ("profile", "storage", "level", "summary"), [(r["name"], r["kind"], r["level"], r["summary"]) for r in records]
    )


def _calibrate_text(document: Calibrated) -> str:
    """The result for people."""
    fit = document["fit"]
    plot = f"; data against fit in {document['plot']}" if document["plot"] else ""
    lines = [f"{document['profile']}: fitted to {fit['rows']} measurements{plot}"]
    lines += [f"  note: {note}" for note in fit["notes"]]
    if fit["stuck"] is not None:
        lines.append(f"  {_stuck_text(fit['stuck'])}")
    for title, models in fit["compared"].items():
        lines.append(f"  {title}: {_choice_text(models)}")
    for title, law in fit["fits"].items():
        lines.append(f"  {title}: {law['shape']}; σ over g/g_max: {_curve_text(law['sigma'])}")
        lines.append(
            f"    within 1 σ {law['within_1']:.1%} (Gaussian 68.3%), 2 σ {law['within_2']:.1%} (95.4%), "
            f"beyond 4 σ {law['beyond_4']:.2%} (fitted {law['beyond_4_fitted']:.2%}, Gaussian 0.01%)"
        )
        lines.append(
            f"    R² of σ {law['r2_sigma']:.3f}; Kolmogorov-Smirnov against the fit {law['ks']:.3f} "
            f"(p = {law['ks_p']:.2g})"
        )
    if fit["d2d"] is not None:
        lines.append(f"  device to device: {fit['d2d']:.4g} relative")
    return "\n".join(lines)


def _tested_text(data: DataCheck) -> str:
    """The levels where the data differ from the profile, and how many do not."""
    tests = data["tests"]
    verdict = (
        f"differs from the data at {data['differing']} of {len(tests)} levels and times (two-sample "
        "Kolmogorov-Smirnov, 5% for all together by Holm's method)"
    )
    lines = [verdict]
    rows = [
        (
            f"{test['at_s']:g} s",
            f"{test['target_us']:.4g}",
            str(test["cells"]),
            f"{test['sigma_us']:.3g} / {test['sigma_drawn_us']:.3g}",
            f"{test['mean_us']:.4g} / {test['mean_drawn_us']:.4g}",
            f"{test['ks']:.3f}",
            f"{test['p_adjusted']:.2g}",
        )
        for test in tests
        if test["differs"]
    ]
    if rows:
        heads = ("time", "target µS", "cells", "σ measured / drawn", "mean measured / drawn", "distance", "p adjusted")
        lines.append(table(heads, rows))
    return "\n".join([*lines, *(f"not tested: {reason}" for reason in data["skipped"])])


def _stuck_text(stuck: Stuck) -> str:
    ends = [
        f"{share:.0%} {where}" + ("" if place is None else f" ({place:.3g} µS)")
        for share, where, place in (
            (stuck["low"], "low", stuck["low_us"]),
            (stuck["high"], "high", stuck["high_us"]),
            (stuck["anywhere"], "anywhere", None),
        )
    ]
    return f"{stuck['share']:.2%} of the cells are stuck (of these {', '.join(ends)}); σ is that of the others"


def _choice_text(models: Sequence[Comparison]) -> str:
    """Which model was chosen, and against what."""
    pick = next(model for model in models if model["chosen"])
    first = (
        f"{pick['model']}, {pick['held_out']:.4f}: the fewest parameters ({pick['parameters']}) of those within one "
        "standard error of the best held-out log-likelihood a value"
    )
    lines = [first]
    for model in models:
        if model is not pick:
            why = f"; set aside: {model['objection']}" if model["objection"] else ""
            gap = pick["held_out"] - model["held_out"]
            lines.append(f"    {model['model']} ({model['parameters']}): {-gap:+.4f} ± {model['error']:.4f}{why}")
    return "\n".join(lines)


def _curve_text(numbers: Sequence[float] | Sequence[Sequence[float]]) -> str:
    if numbers and isinstance(numbers[0], Sequence):
        values = [point[1] for point in numbers if isinstance(point, Sequence)]
        return f"{len(values)} levels, {min(values):.4g} to {max(values):.4g}"
    return "polynomial " + ", ".join(f"{value:.4g}" for value in numbers)
