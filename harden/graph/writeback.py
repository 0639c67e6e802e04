"""Tuned numbers back into the file, each to the place it came from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from onnx import ModelProto

from harden.errors import ModelError
from harden.graph.editor import copied
from harden.graph.quantized import Quantization
from harden.graph.storage import Slot, slots
from harden.graph.tensors import from_torch, numpy_type

_SHOWN = 5


def replaced(
    proto: ModelProto,
    values: Mapping[str, torch.Tensor | np.ndarray],
    quantized: Mapping[str, Quantization] | None = None,
) -> ModelProto | None:
    """A copy with other numbers; None where every number stays the same.

    Args:
        proto: The model; not modified.
        values: New numbers by tensor name.
        quantized: How integers stand for real numbers, by tensor name; floats given for those are in real units.

    Raises:
        ModelError: Names that the file does not hold, or shapes that differ.
    """
    by_name = {slot.name: slot for slot in slots(proto)}
    arrays = {name: from_torch(value) for name, value in values.items()}
    problems = [f"the file holds no tensor '{name}'" for name in arrays if name not in by_name]
    problems += [
        f"'{name}' has shape {list(by_name[name].shape)}, {list(array.shape)} was given"
        for name, array in arrays.items()
        if name in by_name and tuple(array.shape) != by_name[name].shape
    ]
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise ModelError("weights do not fit the file: " + "; ".join(problems[:_SHOWN]) + more)
    changed = {}
    for name, array in arrays.items():
        if quantized and name in quantized and array.dtype.kind == "f":
            array = quantized[name].array(array)
        new = _converted(array, by_name[name])
        if new.tobytes() != by_name[name].array().tobytes():
            changed[name] = new
    if not changed:
        return None
    copy = copied(proto)
    for slot in slots(copy):
        if slot.name in changed:
            slot.write(changed[slot.name])
    return copy


def _converted(array: np.ndarray, slot: Slot) -> np.ndarray:
    dtype = numpy_type(slot.data_type)
    return np.asarray(array, dtype, order="C")
