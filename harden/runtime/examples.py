"""Inputs that a model accepts, when nobody gave any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from harden import streams
from harden.errors import ModelError
from harden.graph.file import Model
from harden.graph.tensors import TensorSpec
from harden.runtime.sessions import first_line, plain_session

# Image classifiers, then text recognisers (height 48), transformers' token counts and detectors.
_SPATIAL = ((224, 224), (64, 64), (48, 320), (512, 512), (640, 640))
_SMALL_INTEGERS = 3


def find_inputs(
    model: Model, shapes: Mapping[str, tuple[int, ...]] | None = None, *, batch: int = 2, seed: int = 0
) -> tuple[np.ndarray, ...]:
    """Random inputs that ONNX Runtime accepts for this model.

    Fixed sizes are kept. Dynamic ones are tried in turn, first sizes of images, until a run succeeds; integer inputs
    get small non-negative numbers.

    Args:
        model: The model to run.
        shapes: Whole shapes of inputs by name, where the user knows them.
        batch: Examples, where the batch size is free.
        seed: Root of the random numbers.

    Returns:
        One array per input, in the model's order.

    Raises:
        ModelError: ONNX Runtime accepts none of them; says what it answered last.
    """
    session = plain_session(model)
    fixed = dict(shapes or {})
    answer = ""
    for sizes in _candidates(batch):
        inputs = tuple(_array(spec, fixed.get(spec.name) or _shape(spec, sizes), seed) for spec in model.inputs)
        try:
            session.run(None, {spec.name: value for spec, value in zip(model.inputs, inputs, strict=True)})
        except Exception as error:  # ONNX Runtime raises its own kinds for each way a shape can be wrong
            answer = first_line(error)
        else:
            return inputs
    raise ModelError(
        f"ONNX Runtime accepts no input that was tried ({answer})",
        where=model.source,
        fix="Give the shapes: --input name=1x3x224x224",
    )


def _candidates(batch: int) -> Iterator[tuple[int, int, int]]:
    for size in _SPATIAL:
        yield (batch, *size)
    for size in _SPATIAL:
        yield (1, *size)


def _shape(spec: TensorSpec, sizes: tuple[int, int, int]) -> tuple[int, ...]:
    """Fill the free sizes of one input: the first is the batch, of the others the last two are spatial."""
    batch, height, width = sizes
    rank = len(spec.shape)
    filled = []
    for axis, extent in enumerate(spec.shape):
        if isinstance(extent, int) and extent > 0:
            filled.append(extent)
        elif axis == 0:
            filled.append(batch)
        elif axis == 1 and rank == 4:
            filled.append(3)
        else:
            filled.append(width if axis == rank - 1 else height)
    return tuple(filled)


def _array(spec: TensorSpec, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = streams.numpy_generator(seed, "example", spec.name)
    kind = np.dtype(spec.dtype)
    if kind.kind == "b":
        values = rng.random(shape) < 0.5
    elif kind.kind in "iu":
        values = rng.integers(0, _SMALL_INTEGERS, size=shape)
    else:  # bfloat16 is of no kind that numpy names
        values = rng.standard_normal(shape, dtype=np.float32)
    return np.asarray(values, kind)  # without axes numpy gives a number, which ONNX Runtime does not take
