"""``harden eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harden.cli.command_output import Output
from harden.cli.completion import files
from harden.cli.groups import GroupedCommand
from harden.cli.options import output_options, read_settings, settings_options
from harden.cli.screen import show
from harden.settings import EvalSettings


@click.command("eval", cls=GroupedCommand)
@click.argument("model", required=False, shell_complete=files)
@settings_options(EvalSettings)
@output_options
def command(model: str | None, output: Output, config: Path | None, **flags: Any) -> None:
    """Measure the accuracy that a population of chips running MODEL will have.

    \b
    harden eval model.onnx --profile rram1:sigma_d=0.1 --data test.parquet \\
        --chips 200 --require 'p05_accuracy>=0.85' --json

    Every chip is the ONNX file in ONNX Runtime with its weights perturbed. Without --out nothing is written.
    """
    from harden.pipeline.evaluate import evaluate, replay
    from harden.statistics.requirements import enforce

    settings = read_settings(EvalSettings, model, flags, config)
    if settings.replay:
        replayed = replay(settings)
        same = "equal" if replayed.equal else "not equal"
        text = f"accuracy {replayed.accuracy:.4f}, recorded {replayed.recorded:.4f}: {same}"
        show(replayed.document, output.as_json, text)
        return
    enforce(settings.require, output.work(settings, evaluate))
