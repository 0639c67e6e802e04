"""``harden fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harden import distributed
from harden.cli.options import output_options, read_settings, settings_options
from harden.cli.screen import Screen, show
from harden.memory import limited
from harden.settings import FitSettings


@click.command("fit")
@click.argument("model", required=False)
@settings_options(FitSettings)
@output_options
def command(model: str | None, as_json: bool, verbose: bool, quiet: bool, config: Path | None, **flags: Any) -> None:
    """Harden MODEL and validate the hardened file on virtual chips.

    MODEL is an ONNX file, or timm:NAME with --weights FILE.safetensors.

    \b
    harden fit resnet20.onnx --method nft --profile rram1:sigma_d=0.1 \\
        --data train.parquet --test test.parquet \\
        --mean .485,.456,.406 --std .229,.224,.225 --out runs/a

    Writes model.onnx, report.html and report.json to the run folder. A killed run is resumed by the same command.
    """
    from harden.pipeline.fit import fit, run_folder
    from harden.pipeline.requirements import enforce
    from harden.report.terminal import summary

    settings = read_settings(FitSettings, model, flags, config)
    with Screen(quiet or not distributed.first()) as screen, limited(settings.max_memory):
        document = fit(settings, screen)
    if not document:  # one of several processes, and not the one that tells
        return
    show(document, as_json, f"{summary(document)}\nreport: {run_folder(settings) / 'report.html'}")
    enforce(settings.require, document["after"])
