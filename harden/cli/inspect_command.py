"""``harden inspect``."""

from __future__ import annotations

import click

from harden.cli.screen import Answer, answer_options

_CANNOT = 3


@click.command("inspect")
@click.argument("model")
@click.option("--weights", metavar="FILE", help="checkpoint (safetensors) for timm:NAME")
@click.option("--input-size", metavar="H,W", help="size of the images, for timm:NAME")
@click.option("--input", "inputs", multiple=True, metavar="NAME=SHAPE", help="such as x=1x3x48x320; may be repeated")
@click.option("--digital", multiple=True, metavar="GLOB", help="tensors or nodes kept digital; may be repeated")
@answer_options
def command(
    model: str,
    weights: str | None,
    input_size: str | None,
    inputs: tuple[str, ...],
    digital: tuple[str, ...],
    answer: Answer,
) -> int:
    """Say whether MODEL can be hardened, and which of its weights are noisy.

    Runs the file in ONNX Runtime and as a torch module on the same inputs and compares. Exits 3 when it cannot be
    hardened, with every obstacle at once.

    \b
    harden inspect resnet20.onnx
    harden inspect detector.onnx --input x=1x3x640x640
    """
    from harden.pipeline.inspect import inspect, inspect_text, weights_text
    from harden.settings import read_size

    size = None if input_size is None else read_size(input_size, "--input-size")
    document = inspect(model, weights=weights, input_size=size, inputs=inputs, digital=digital)
    answer.show(document, inspect_text(document), weights_text(document["weights"]))
    return 0 if document["trainable"] else _CANNOT
