"""Inputs that a model accepts, when nobody gave any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnxruntime as ort

from harden import streams
from harden.errors import ModelError
from harden.graph.file import Model
from harden.graph.tensors import TensorSpec
from harden.runtime.sessions import first_line, plain_session

# Image classifiers, then text recognisers (height 48), transformers' token counts, detectors, and frames of speech.
_SPATIAL = ((224, 224), (64, 64), (48, 320), (512, 512), (640, 640), (288, 288), (576, 576))
_SMALL_INTEGERS = 3
_FATAL = 4


def find_inputs(
    model: Model, shapes: Mapping[str, tuple[int, ...]] | None = None, *, batch: int = 2, seed: int = 0
) -> tuple[np.ndarray, ...]:
    """Random inputs that ONNX Runtime accepts for this model.

    Fixed sizes are kept. Dynamic ones are tried in turn, first sizes of images, until a run succeeds; those of one name
    are equal. Integer inputs get small non-negative numbers.

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
    quiet = ort.RunOptions()
    quiet.log_severity_level = _FATAL  # shapes that do not fit are no news
    fixed = dict(shapes or {})
    answer = ""
    for sizes in _candidates(batch):
        named: dict[str, int] = {}
        chosen = [(spec, fixed.get(spec.name) or _shape(spec, sizes, named)) for spec in model.inputs]
        inputs = tuple(_array(spec, shape, seed) for spec, shape in chosen)
        try:
            session.run(None, {spec.name: x for spec, x in zip(model.inputs, inputs, strict=True)}, quiet)
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
    for _, width in _SPATIAL:  # states whose batch is not their first axis
        yield (1, 1, width)


def _shape(spec: TensorSpec, sizes: tuple[int, int, int], named: dict[str, int]) -> tuple[int, ...]:
    """Fill the free sizes of one input: the first is the batch, of the others the last two are spatial.

    ``named`` holds the sizes that have a name, and is added to.
    """
    batch, height, width = sizes
    rank = len(spec.shape)
    filled = []
    for axis, extent in enumerate(spec.shape):
        if isinstance(extent, int) and extent > 0:
            filled.append(extent)
            continue
        usual = width if axis == rank - 1 else height
        size = batch if axis == 0 else 3 if axis == 1 and rank == 4 else usual
        filled.append(named.setdefault(extent, size) if isinstance(extent, str) else size)
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
