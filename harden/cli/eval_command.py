"""``harden eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harden.cli.options import output_options, read_settings, settings_options
from harden.cli.screen import Screen, show
from harden.memory import limited
from harden.settings import EvalSettings


@click.command("eval")
@click.argument("model", required=False)
@settings_options(EvalSettings)
@output_options
def command(model: str | None, as_json: bool, verbose: bool, quiet: bool, config: Path | None, **flags: Any) -> None:
    """Measure the accuracy that a population of chips running MODEL will have.

    \b
    harden eval model.onnx --profile rram1:sigma_d=0.1 --data test.parquet \\
        --chips 200 --require 'p05_accuracy>=0.85' --json

    Every chip is the ONNX file in ONNX Runtime with its weights perturbed. Without --out nothing is written.
    """
    from harden.pipeline.evaluate import evaluate, replay
    from harden.pipeline.requirements import enforce
    from harden.report.terminal import summary

    settings = read_settings(EvalSettings, model, flags, config)
    if settings.replay:
        document = replay(settings)
        same = "equal" if document["equal"] else "not equal"
        show(document, as_json, f"accuracy {document['accuracy']:.4f}, recorded {document['recorded']:.4f}: {same}")
        return
    with Screen(quiet) as screen, limited(settings.max_memory):
        document = evaluate(settings, screen)
    show(document, as_json, summary(document))
    enforce(settings.require, document)
