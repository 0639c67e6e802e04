"""``harden compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harden.cli.options import output_options, read_settings, settings_options
from harden.cli.screen import Screen, show
from harden.memory import limited
from harden.settings import CompareSettings


@click.command("compare")
@click.argument("models", nargs=-1, required=True)
@settings_options(CompareSettings, without=("others",))
@output_options
def command(
    models: tuple[str, ...], as_json: bool, verbose: bool, quiet: bool, config: Path | None, **flags: Any
) -> None:
    """Compare MODELS on the same chips: who is better, by how much, and how surely.

    \b
    harden compare a.onnx b.onnx --profile rram1 --data test.parquet

    Equal names and shapes of the weights make equal chips, and a paired difference; others are compared unpaired.
    """
    from harden.pipeline.compare import compare
    from harden.report.terminal import summary

    settings = read_settings(CompareSettings, models[0], {**flags, "others": models[1:]}, config)
    with Screen(quiet) as screen, limited(settings.max_memory):
        document = compare(settings, screen)
    show(document, as_json, summary(document))
