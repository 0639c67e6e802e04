"""``harden profiles list|show|check|calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harden.cli.completion import profiles
from harden.cli.screen import Answer, answer_options, table

_NOTED_OUTLIERS = 1e-3


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
@answer_options
def check_command(file: str, answer: Answer) -> None:
    """Check a profile FILE of your own, and list all its problems at once."""
    from harden.pipeline.profiles import check

    document = check(file)
    answer.show(document, f"{file}: fine")


@command.command("calibrate")
@click.argument("measurements", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="profile to write  [default: NAME.toml]")
@click.option("--name", help="the profile's name  [default: the file's]")
@click.option("--g-max-us", type=float, help="largest conductance, µS  [default: the largest target]")
@click.option("--g-min-us", type=float, help="smallest conductance, µS  [default: the smallest target]")
@click.option("--citation", help="where the data come from")
@answer_options
def calibrate_command(
    measurements: Path,
    out: Path | None,
    name: str | None,
    g_max_us: float | None,
    g_min_us: float | None,
    citation: str | None,
    answer: Answer,
) -> None:
    """Fit a profile to MEASUREMENTS, a CSV file with target_us, measured_us and perhaps time_s, device, cell.

    \b
    harden profiles calibrate wafer7.csv --citation 'our wafer 7, 2026'
    """
    from harden.pipeline.profiles import calibrate

    document = calibrate(measurements, out=out, name=name, g_max_us=g_max_us, g_min_us=g_min_us, citation=citation)
    answer.show(document, _calibrate_text(document))


def _list_text(records: list[dict[str, Any]]) -> str:
    """The profiles as a table."""
    return table(
        ("profile", "storage", "level", "summary"), [(r["name"], r["kind"], r["level"], r["summary"]) for r in records]
    )


def _calibrate_text(document: dict[str, Any]) -> str:
    """The result for people."""
    fit = document["fit"]
    lines = [f"{document['profile']}: fitted to {fit['rows']} measurements; data against fit in {document['plot']}"]
    for title, law in fit["fits"].items():
        spread = ", ".join(f"{value:.4g}" for value in law["sigma"])
        lines.append(f"  {title}: sigma polynomial in g/g_max: {spread}")
        lines.append(
            f"    within 1 sigma {law['within_1']:.1%} (Gaussian 68.3%), 2 sigma {law['within_2']:.1%} (95.4%); "
            f"R2 of sigma {law['r2_sigma']:.3f}"
        )
        lines.append(f"    Kolmogorov-Smirnov against a Gaussian {law['ks']:.3f} (p = {law['ks_p']:.2g})")
        if law["outliers"] > _NOTED_OUTLIERS:
            lines.append(f"    {law['outliers']:.1%} of the values are far off (stuck cells?); sigma includes them")
    if fit["d2d"] is not None:
        lines.append(f"  device to device: {fit['d2d']:.4g} relative")
    return "\n".join(lines)
