"""Can this model be hardened, and which of its weights are noisy?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harden.errors import ModelError, SettingsError, UnsupportedError
from harden.graph.file import Model
from harden.graph.inspection import WeightRow, unsupported, weights_table
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
    obstacles = [f"operator {row['op']} ({row['count']} nodes) is not supported" for row in missing]
    table: list[WeightRow] = []
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
