"""``harden demo``."""

from __future__ import annotations

from pathlib import Path

import click

from harden.cli.screen import Screen, show


@click.command("demo")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("harden-demo"), help="folder  [default: harden-demo]"
)
@click.option("-q", "--quiet", is_flag=True, help="no progress")
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
def command(out: Path, quiet: bool, as_json: bool) -> None:
    """Harden a small network of ours on embedded data, and show what it gained.

    \b
    harden demo
    """
    from harden.pipeline.demo import demo
    from harden.report.terminal import summary

    with Screen(quiet) as screen:
        document = demo(out, screen)
    show(document, as_json, f"{summary(document)}\nreport: {out / 'run' / 'report.html'}")
