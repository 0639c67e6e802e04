"""What a model's output means: logits, probabilities, one logit for two classes, or nothing we can classify with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from harden.errors import DataError

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model

Kind = Literal["logits", "probabilities", "binary_logit", "binary_probability"]
_TINY = 1e-30


def kind_of_output(model: Model, data: Dataset, first: np.ndarray) -> Kind:
    """Decide how the first output becomes class scores.

    A last node Softmax or Sigmoid makes it probabilities. One number per example serves data of two classes. Where
    labels are numbers without names, the last tenth of the network's classes may be missing.

    Args:
        model: The model.
        data: Labelled data.
        first: The model's first output for one batch, [B, ...].

    Returns:
        The kind.

    Raises:
        DataError: The output is not one score for each of the data's classes; names both.
    """
    shape = first.shape
    width = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    name = model.outputs[0].name
    last = next((n.op_type for n in model.proto.graph.node if name in n.output), "")
    if data.classes < 2:
        raise DataError(
            "the data has only one class, so every model is right",
            where=data.source,
            fix="Use data with all its classes",
        )
    if first.dtype.kind != "f":
        raise DataError(
            f"the model's first output '{name}' is {first.dtype}, not a score for each of the {data.classes} classes "
            f"of {data.source}",
            where=model.source,
            fix="Export the model with its logits as the first output",
        )
    # Numbered labels may miss the last classes, as a sample of ImageNet does; a network for many more is another's.
    sample = data.class_names is None and 0.9 * width <= data.classes < width
    if width == data.classes or sample:
        return "probabilities" if last == "Softmax" else "logits"
    if width == 1 and data.classes == 2:
        return "binary_probability" if last == "Sigmoid" else "binary_logit"
    raise DataError(
        f"the model's first output '{name}' has shape {list(shape)}, that is {width} numbers per example, but "
        f"{data.source} has {data.classes} classes: they are not logits of these classes",
        where=model.source,
        fix="Use the data the model was trained for, or harden fit --new-head, which gives it a last layer for yours",
    )


def log_probabilities(output: np.ndarray, kind: Kind) -> np.ndarray:
    """Class scores as log p.

    Args:
        output: [B, ...], C numbers per example, or one for two classes.
        kind: From `kind_of_output`.

    Returns:
        [B, C] float64. A row that is not finite becomes -inf throughout, without NaN; see `scores`.

    Example:
        >>> np.exp(log_probabilities(np.zeros((1, 2), np.float32), "logits")).tolist()
        [[0.5, 0.5]]
    """
    z = output.reshape(len(output), -1).astype(np.float64)
    if kind == "binary_probability":
        return np.log(np.clip(np.concatenate([1 - z, z], axis=1), _TINY, 1))
    if kind == "probabilities":
        return np.log(np.clip(z, _TINY, 1))
    if kind == "binary_logit":
        z = np.concatenate([np.zeros_like(z), z], axis=1)
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))
