"""A net for silent errors: the figures of the file as it is, counted a second time by code that shares nothing.

A misread axis, labels off by one, a cast, a lost row or Softmax taken twice give wrong figures that look right. So the
examples are read again (:mod:`harden.evaluation.reread`), an ONNX Runtime session without optimisations runs the file
itself, and a few lines of numpy count; what both say of at most 200 examples has to agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from harden.errors import VerificationError
from harden.evaluation.reread import class_numbers, fed, raw

if TYPE_CHECKING:
    from onnx import ModelProto
    from PIL import Image

    from harden.data.dataset import Dataset
    from harden.graph.file import Model

MOST = 200  # examples
_BATCH = 16

Figures = Mapping[str, float]
Measure = Callable[["ModelProto", Sequence[np.ndarray], np.ndarray | None], tuple[Figures, Figures] | None]
"""From the file, its outputs and the labels: figures, and by how much each may differ from the first count's; None
where nothing can be counted."""


def recount(
    model: Model,
    data: Dataset,
    first: Callable[[np.ndarray], Mapping[str, float | None]],
    measure: Measure,
) -> None:
    """Count the file's own figures again, and compare.

    Args:
        model: The file, without noise.
        data: The examples that figures are reported on.
        first: What was found first, by name, for some of the examples by their numbers.
        measure: Counts; the task's own.

    Raises:
        VerificationError: The two differ; names both figures.
    """
    index = np.unique(np.linspace(0, len(data) - 1, min(MOST, len(data))).astype(int))
    source = raw(data)
    rows = data.numbers(index)
    ours = None if data.labels is None else data.labels[index]
    numbers = class_numbers(source) if data.origin.labelled and data.classes else None
    labels = ours if numbers is None else numbers[rows]
    outputs = _outputs(model, source.examples(rows), [part[rows] for part in source.others], data)
    counted = measure(model.proto, outputs, labels) if any(output.dtype.kind == "f" for output in outputs) else None
    if counted is None:
        return
    second, tolerance = counted
    own = first(index)
    figures = {name: (float(own[name] or 0.0), value) for name, value in second.items() if name in own}
    apart = [name for name, (a, b) in figures.items() if abs(a - b) > tolerance[name] + 1e-9]
    lost = source.count - data.total
    mislabelled = 0 if labels is None or ours is None else int(np.not_equal(labels, ours).sum())
    if not apart and not lost and not mislabelled:
        return
    name = (apart or list(figures))[0]
    a, b = figures[name]
    what = (
        f"the {name} without noise is {a:.4f} by harden's count and {b:.4f} by a second one that shares no code with it"
    )
    reasons = [f"the source holds {source.count} examples, of which {data.total} were read"] if lost else []
    reasons += [f"{mislabelled} of {len(index)} labels are others in the source"] if mislabelled else []
    where, examples = str(model.source), f" ({len(index)} examples{''.join('; ' + reason for reason in reasons)})"
    fix = "No figure from this run could be trusted. Please report the model and how the data is kept"
    raise VerificationError(what + examples, where=where, fix=fix)


def _outputs(
    model: Model, examples: np.ndarray | list[Image.Image], others: Sequence[np.ndarray], data: Dataset
) -> list[np.ndarray]:
    """All outputs of the file, row by row in a session that computes every node as it is written.

    An output that has no row for each example is empty.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.serialize(), options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    kinds = [_KINDS[item.type] for item in inputs]
    sizes = {item.shape[0] if item.shape and isinstance(item.shape[0], int) else None for item in inputs}
    whole = len(sizes) > 1  # no batch axis in common: an example is a feed of its own
    shape = inputs[0].shape if whole else inputs[0].shape[1:]
    arrays = [fed(examples, data.preprocess, kinds[0], shape)]
    arrays += [part.astype(kind) for part, kind in zip(others, kinds[1:], strict=True)]
    (fixed,) = sizes if not whole else (None,)
    step = 1 if whole else fixed or _BATCH
    results: list[list[np.ndarray]] = []
    for start in range(0, len(arrays[0]), step):
        count = min(step, len(arrays[0]) - start)
        places = np.minimum(np.arange(start, start + (step if fixed else count)), len(arrays[0]) - 1)
        feed = {
            item.name: array[places[0]] if whole or not item.shape else array[places]
            for item, array in zip(inputs, arrays, strict=True)
        }
        out = session.run(None, {name: np.asarray(value) for name, value in feed.items()})
        parts = [np.atleast_1d(np.asarray(part)) for part in out]
        results.append([part[None] if whole else part[:count] if fixed else part for part in parts])
    joined: list[np.ndarray] = []
    for parts in zip(*results, strict=True):
        rank = max(part.ndim for part in parts)  # a batch of one may have lost its axis
        rows = [part if part.ndim == rank else part[None] for part in parts]
        if sum(map(len, rows)) != len(arrays[0]) == len(parts):
            rows = [part[None] for part in parts]
        joined.append(np.concatenate(rows) if sum(map(len, rows)) == len(arrays[0]) else np.empty(0, np.int64))
    return joined


_KINDS = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(uint32)": "uint32",
    "tensor(int64)": "int64",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}
