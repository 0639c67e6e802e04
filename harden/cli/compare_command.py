"""``harden compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harden.cli.command_output import Output
from harden.cli.completion import files
from harden.cli.groups import GroupedCommand
from harden.cli.options import output_options, read_settings, settings_options
from harden.settings import CompareSettings


@click.command("compare", cls=GroupedCommand)
@click.argument("models", nargs=-1, required=True, shell_complete=files)
@settings_options(CompareSettings, without=("others",))
@output_options
def command(models: tuple[str, ...], output: Output, config: Path | None, **flags: Any) -> None:
    """Compare MODELS on the same chips: which is better, by how much, and with what certainty.

    \b
    harden compare a.onnx b.onnx --profile rram1 --data test.parquet

    Models whose weights have equal names and shapes get equal chips and are compared chip by chip; others are
    compared unpaired.
    """
    from harden.pipeline.compare import compare

    settings = read_settings(CompareSettings, models[0], {**flags, "others": models[1:]}, config)
    output.work(settings, compare)
