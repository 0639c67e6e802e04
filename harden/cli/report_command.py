"""``harden report``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from harden.cli.screen import Screen


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--bom", is_flag=True, help="also write bom.json, a CycloneDX bill of materials")
@click.option(
    "--sign",
    "key",
    metavar="KEY.pem",
    type=click.Path(path_type=Path),
    help="also sign the model and the reports with this elliptic private key: model.sig (extra `sign`)",
)
@click.option(
    "--add",
    metavar="NAMES",
    help="first measure what the fit left out or took few chips for: severity, layers, column_baseline; with commas",
)
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout: the verdict and the files written")
def command(run: Path, bom: bool, key: Path | None, add: str | None, as_json: bool) -> None:
    """Make report.html and README.md again from report.json in RUN. Runs no model but with --add.

    \b
    harden report runs/a
    harden report runs/a --add severity,layers
    harden report runs/a --bom --sign key.pem
    """
    from harden.report.files import rewrite

    if add is not None:
        from harden.pipeline.side import add as measure

        with Screen() as screen:
            measure(run, [name.strip() for name in add.split(",")], screen)
    document = rewrite(run, with_bom=bom)
    signature = None
    if key is not None:
        from harden.report.signature import sign

        signature = sign(run, key)
        document["files"]["signature"] = str(signature)
    if as_json:
        click.echo(json.dumps(document, indent=1))
        return
    click.echo(document["files"]["html"])
    if signature is not None:
        click.echo(str(signature))
        words = ["python", "-m", "model_signing", "verify", "key", str(run), "--signature", str(signature)]
        click.echo(f"check it with: {shlex.join(words)} --public_key PUBLIC.pem --ignore_unsigned_files")
