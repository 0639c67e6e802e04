"""Can this model be hardened, and which of its weights are noisy?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harden.errors import ModelError, SettingsError, UnsupportedError
from harden.graph.file import Model
from harden.graph.inspection import unsupported, weights_table
from harden.graph.tensors import TensorSpec
from harden.pipeline.models import open_model
from harden.runtime.examples import find_inputs
from harden.runtime.parity import parity


def inspect(
    source: str,
    *,
    weights: str | None = None,
    input_size: tuple[int, int] | None = None,
    inputs: Sequence[str] = (),
    digital: Sequence[str] = (),
) -> dict[str, Any]:
    """Describe a model as ``harden inspect`` shows it.

    Args:
        source: An ONNX file or ``timm:NAME``; a timm model without ``weights`` has random ones, which is said.
        weights: A safetensors checkpoint for ``timm:NAME``.
        input_size: Height and width of the images of ``timm:NAME``.
        inputs: Input shapes, ``name=1x3x224x224``.
        digital: Globs of tensors or nodes kept off the crossbars.

    Returns:
        A ``harden.inspect/1`` document. ``trainable`` says whether the model can be hardened; if not, ``obstacles``
        lists every reason.

    Raises:
        ModelError: The file cannot be read at all.
        SettingsError: An input shape cannot be read or names no input.
    """
    model = open_model(source, weights=weights, allow_random=True, input_size=input_size)
    shapes = _shapes(model, inputs)
    missing = unsupported(model)
    obstacles = [f"operator {one['op']} ({one['count']} nodes) is not supported" for one in missing]
    table: list[dict[str, Any]] = []
    checked = None
    if not missing:
        try:
            table = weights_table(model, digital=digital)
            checked = parity(model, find_inputs(model, shapes))
        except (UnsupportedError, ModelError) as error:
            obstacles.append(str(error))
    if checked is not None and not checked.passed:
        obstacles.append(f"torch and ONNX Runtime disagree by {checked.max_abs_error:.2e}")
    return {
        "schema": "harden.inspect/1",
        "model": {
            "path": model.source,
            "sha256": model.sha256,
            "opset": model.opset,
            "producer": model.producer,
            "inputs": [_described(spec) for spec in model.inputs],
            "outputs": [_described(spec) for spec in model.outputs],
            "batch_norm": model.batch_norm,
            "random_weights": source.startswith("timm:") and weights is None,
        },
        "trainable": not obstacles,
        "obstacles": obstacles,
        "unsupported": missing,
        "weights": table,
        "parity": None
        if checked is None
        else {
            "inputs": checked.inputs,
            "max_abs_error": checked.max_abs_error,
            "max_rel_error": checked.max_rel_error,
            "passed": checked.passed,
        },
    }


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "shape": list(spec.shape), "dtype": str(spec.dtype)}


def _shapes(model: Model, texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    names = [spec.name for spec in model.inputs]
    shapes = {}
    for text in texts:
        name, _, shape = text.rpartition("=")
        try:
            shapes[name] = tuple(int(size) for size in shape.split("x"))
        except ValueError:
            raise SettingsError(f"--input {text}: write name=1x3x224x224") from None
        if name not in names:
            raise SettingsError(f"--input {text}: the model has no input '{name}'", fix=f"Inputs: {', '.join(names)}")
    return shapes


def inspect_text(document: dict[str, Any]) -> str:
    """The document for people."""
    model = document["model"]
    weights = document["weights"]
    analog = [one for one in weights if one["analog"]]
    lines = [
        f"{model['path']}: opset {model['opset']}, batch norms {model['batch_norm']}, from {model['producer']}",
        *(f"  input  {spec['name']} {spec['shape']} {spec['dtype']}" for spec in model["inputs"]),
        *(f"  output {spec['name']} {spec['shape']} {spec['dtype']}" for spec in model["outputs"]),
    ]
    if model["random_weights"]:
        lines.append("  its weights are random: no --weights was given")
    if weights:
        count = sum(_size(one["shape"]) for one in analog)
        lines.append(f"  {len(analog)} analog weights ({count:,} values) of {len(weights)} tensors")
    if document["parity"]:
        lines.append(f"  torch and ONNX Runtime differ by at most {document['parity']['max_abs_error']:.1e}")
    lines += [f"  obstacle: {obstacle}" for obstacle in document["obstacles"]]
    lines.append("can be hardened" if document["trainable"] else "cannot be hardened")
    return "\n".join(lines)


def weights_text(weights: Sequence[Mapping[str, Any]]) -> str:
    """Every floating-point tensor, a line each: whether it is noisy, and if not, why."""
    width = max((len(one["name"]) for one in weights), default=0)
    return "\n".join(
        f"  {one['name']:<{width}}  {'x'.join(map(str, one['shape'])) or 'scalar':<14}  "
        + (f"analog, by {one['op']} {one['node']}" if one["analog"] else f"digital: {one['digital_reason']}")
        for one in weights
    )


def _size(shape: Sequence[int]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size
