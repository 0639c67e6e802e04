"""Figures of the file as it is, counted once more: a few lines of numpy that share nothing with the scorers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto

_CLOSE = 0.01  # of the spread of an example's scores: nearer ones may change places by the order of sums and rounding
_ALIKE = 0.02  # by which means of probabilities, and relative sizes, may differ, likewise
_PASS_ON = ("Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Cast", "QuantizeLinear", "DequantizeLinear")

Figures = Mapping[str, float]
"""By the name that a task's scores have for them."""


def size_of_outputs(outputs: Sequence[np.ndarray]) -> Figures:
    """Root mean square of all outputs of floating-point numbers: what can be counted without labels."""
    numbers = [output.astype(np.float64).ravel() for output in outputs if output.dtype.kind == "f"]
    return {"size of the outputs": float(np.sqrt(np.mean(np.square(np.concatenate(numbers)))))}


def unlabelled(outputs: Sequence[np.ndarray]) -> tuple[Figures, Figures]:
    """The size of the outputs, and by how much the first count's may differ."""
    figures = size_of_outputs(outputs)
    return figures, {name: _ALIKE * value for name, value in figures.items()}


def classified(model: ModelProto, outputs: Sequence[np.ndarray], labels: np.ndarray) -> tuple[Figures, Figures]:
    """Share of right answers, and mean of the largest class probability, of the first output of floating-point numbers.

    Numbers that are probabilities, by the node that made them or by their sums, are taken as they are.
    """
    name, output = next(
        (item.name, out) for item, out in zip(model.graph.output, outputs, strict=True) if out.dtype.kind == "f"
    )
    z = output.astype(np.float64).reshape(len(output), -1)
    maker = _maker(model, name)
    if z.shape[1] == 1:
        p = z if maker == "Sigmoid" else np.exp(-np.logaddexp(0, -z))
        p = np.concatenate([1 - p, p], axis=1)
    elif maker == "Sigmoid" or (np.all(z >= 0) and np.allclose(z.sum(axis=1), 1, atol=0.05)):
        p = z / np.maximum(z.sum(axis=1, keepdims=True), 1e-30)
    else:
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p = p / p.sum(axis=1, keepdims=True)
    scores = np.concatenate([-z, z], axis=1) if z.shape[1] == 1 and maker != "Sigmoid" else p if z.shape[1] == 1 else z
    finite = np.asarray(np.isfinite(z).all(axis=1))
    right = finite & (p.argmax(axis=1) == labels)
    ordered = np.sort(np.where(finite[:, None], scores, 0.0), axis=1)
    spread = np.abs(ordered).max() if z.shape[1] == 1 else ordered[:, -1] - ordered[:, 0]
    close = float((ordered[:, -1] - ordered[:, -2] <= _CLOSE * spread).mean())
    confidence = float(np.where(finite, p.max(axis=1), 0.0).mean())
    return {"accuracy": float(right.mean()), "confidence": confidence}, {"accuracy": close, "confidence": _ALIKE}


def _maker(model: ModelProto, name: str) -> str:
    """The operator that made an output's numbers, behind those that only pass them on."""
    makers = {output: node for node in model.graph.node for output in node.output}
    while name in makers and makers[name].op_type in _PASS_ON:
        name = makers[name].input[0]
    return makers[name].op_type if name in makers else ""
