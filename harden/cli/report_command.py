"""``harden report``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--bom", is_flag=True, help="also write bom.json, a CycloneDX bill of materials")
def command(run: Path, bom: bool) -> None:
    """Make report.html and README.md again from report.json in RUN. Runs no model.

    \b
    harden report runs/a
    """
    from harden.pipeline.reporting import rewrite

    click.echo(str(rewrite(run, with_bom=bom)))
