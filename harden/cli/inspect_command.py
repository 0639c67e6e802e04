"""``harden inspect``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from harden.cli.screen import Answer, answer_options
from harden.words import plural

if TYPE_CHECKING:
    from harden.graph.inspection import WeightRow
    from harden.graph.tensors import TensorSpec
    from harden.pipeline.inspect import Inspection

_CANNOT = 3
_SHOWN = 10


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
    from harden.pipeline.inspect import inspect
    from harden.settings import read_size

    size = None if input_size is None else read_size(input_size, "--input-size")
    inspection = inspect(model, weights=weights, input_size=size, inputs=inputs, digital=digital)
    answer.show(inspection.document, _text(inspection), _weights_text(inspection.weights))
    return 0 if inspection.trainable else _CANNOT


def _text(inspection: Inspection) -> str:
    """The answer for people."""
    model, weights = inspection.model, inspection.weights
    analog = [weight for weight in weights if weight["analog"]]
    lines = [
        f"{model.source}: opset {model.opset}, batch norms {model.batch_norm}, from {model.producer}",
        *(f"  input  {spec.name} {list(spec.shape)} {spec.dtype}" for spec in model.inputs),
        *(f"  output {_described(inspection, spec)}" for spec in model.outputs),
    ]
    if inspection.random_weights:
        lines.append("  its weights are random: no --weights was given")
    if weights:
        count = sum(math.prod(weight["shape"]) for weight in analog)
        lines.append(f"  {len(analog)} analog weights ({count:,} values) of {len(weights)} tensors")
    if inspection.exact:
        lines.append(f"  {plural(len(inspection.exact), 'product')} with a stored operand that is on no crossbar:")
        lines += [f"    {item.op} {item.node}: {item.name}, {item.reason}" for item in inspection.exact[:_SHOWN]]
        lines += ["    more of them with --json"] if len(inspection.exact) > _SHOWN else []
    if inspection.inert:
        lines.append(f"  moves no output on the inputs tried: {', '.join(inspection.inert)}")
    if inspection.parity:
        lines.append(f"  torch and ONNX Runtime differ by at most {inspection.parity.max_abs_error:.1e}")
    lines += [f"  obstacle: {obstacle}" for obstacle in inspection.obstacles]
    lines.append("can be hardened" if inspection.trainable else "cannot be hardened")
    return "\n".join(lines)


def _described(inspection: Inspection, spec: TensorSpec) -> str:
    """An output, and what it is taken for."""
    meaning = inspection.meanings.get(spec.name, "not looked at")
    return f"{spec.name} {list(spec.shape)} {spec.dtype}: {meaning}"


def _weights_text(weights: Sequence[WeightRow]) -> str:
    """Every floating-point tensor, a line each: whether it is noisy, and if not, why."""
    width = max((len(row["name"]) for row in weights), default=0)
    return "\n".join(
        f"  {row['name']:<{width}}  {'x'.join(map(str, row['shape'])) or 'scalar':<14}  "
        + (f"analog, by {row['op']} {row['node']}" if row["analog"] else f"digital: {row['digital_reason']}")
        for row in weights
    )
