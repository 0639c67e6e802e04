"""``harden fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harden.cli.command_output import Output
from harden.cli.completion import files
from harden.cli.groups import GroupedCommand
from harden.cli.options import output_options, read_settings, settings_options
from harden.settings import FitSettings


@click.command("fit", cls=GroupedCommand)
@click.argument("model", required=False, shell_complete=files)
@settings_options(FitSettings)
@output_options
def command(model: str | None, output: Output, config: Path | None, **flags: Any) -> None:
    """Harden MODEL and validate the hardened file on virtual chips.

    MODEL is an ONNX file, or timm:NAME with --weights FILE.safetensors.

    \b
    harden fit resnet20.onnx --profile rram1:sigma_d=0.1 \\
        --data train.parquet --test test.parquet \\
        --mean .485,.456,.406 --std .229,.224,.225 --out runs/a

    Writes model.onnx, report.html and report.json to the run folder. A killed run is resumed by the same command.
    """
    from harden.pipeline.fit import fit, run_folder
    from harden.statistics.requirements import enforce

    settings = read_settings(FitSettings, model, flags, config)
    record = output.work(settings, fit, lambda: f"\nreport: {run_folder(settings) / 'report.html'}")
    if record:  # else one of several processes, and not the one that tells, or a dry run
        enforce(settings.require, record.after)
