"""The data as batches for ONNX Runtime, normalised once where it fits in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from harden.data.layout import as_type, fits
from harden.errors import DataError

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model
    from harden.graph.tensors import TensorSpec

_KEPT_BYTES = 256 * 2**20  # normalised inputs up to this size are kept; beyond it each batch is normalised when needed
_BATCH_ELEMENTS = 2**17  # input numbers per batch: larger ones leave the processor's caches and run slower
_LARGEST, _SMALLEST = 32, 4


Arrays = tuple[np.ndarray, ...]


class Feed:
    """Batches of a data set in a fixed order.

    Args:
        model: Decides input type, shape and a fixed batch size.
        data: The examples.
        batch: Images per batch; None chooses by the input's size. A batch size fixed in the model wins.

    Attributes:
        batch: Images per batch.
        examples: N.
        fixed: The batch size that the model demands; None where it takes any.
        fill: Whether an incomplete last batch is filled up to the size of the others.

    Raises:
        DataError: The data's shapes are not the model's, or there is no array for one of its inputs.
    """

    def __init__(self, model: Model, data: Dataset, batch: int | None = None) -> None:
        self.examples = len(data)
        self._data = data = fitted(model, data)
        shapes = [tuple(data.input_shape), *(tuple(part.shape[1:]) for part in data.others)]
        dtypes = [np.dtype(spec.dtype) for spec in model.inputs]
        self.fixed = None if model.whole_examples else model.batch_size
        elements = sum(int(np.prod(shape)) for shape in shapes)
        self.fill = False
        self.batch = self.fixed or min(batch or default_batch(elements), self.examples)
        size = self.examples * sum(int(np.prod(s)) * d.itemsize for s, d in zip(shapes, dtypes, strict=True))
        self._kept = _contiguous(data.feed(slice(0, self.examples))) if size <= _KEPT_BYTES else None

    def __getstate__(self) -> dict[str, object]:
        """For another process: normalised inputs make the raw ones superfluous."""
        return {**self.__dict__, "_data": self._data if self._kept is None else None}

    def __iter__(self) -> Iterator[tuple[Arrays, int]]:
        """Pairs of a batch and the number of its images that count; a fixed batch size may need filling up."""
        for start in range(0, self.examples, self.batch):
            yield self._filled(self._of(slice(start, min(start + self.batch, self.examples))))

    def head(self, images: int) -> Arrays:
        """The first images as one batch; as many as the model demands where its batch size is fixed."""
        return self._filled(self._of(slice(0, min(self.fixed or images, self.examples))))[0]

    def take(self, index: np.ndarray) -> Arrays:
        """Chosen images, one array per input, in the order of ``index``; no fixed batch size is filled up."""
        return self._of(index)

    def batches(self, index: np.ndarray) -> Iterator[tuple[Arrays, int]]:
        """Chosen images in batches, as iterating the feed gives them."""
        for start in range(0, len(index), self.batch):
            yield self._filled(self.take(index[start : start + self.batch]))

    def some_batches(self, most: int = 8) -> list[Arrays]:
        """A few whole batches, for measuring speed."""
        batches = []
        for arrays, count in self:
            if count == self.batch or not batches:
                batches.append(arrays)
            if len(batches) == most:
                break
        return batches

    def _of(self, index: slice | np.ndarray) -> Arrays:
        if self._kept is not None:
            return tuple(array[index] if array.ndim else array for array in self._kept)
        return _contiguous(self._data.feed(index))

    def _filled(self, arrays: Arrays) -> tuple[Arrays, int]:
        count, full = len(arrays[0]), self.fixed or (self.batch if self.fill else 0)
        if full and count < full:
            lacking = full - count
            arrays = tuple(np.concatenate([a, np.repeat(a[-1:], lacking, axis=0)]) if a.ndim else a for a in arrays)
        return arrays, count


def default_batch(elements: int) -> int:
    """Images per batch by the numbers in one: a power of two from 4 to 32.

    Example:
        >>> default_batch(3 * 32 * 32), default_batch(3 * 224 * 224)
        (32, 4)
    """
    batch = _LARGEST
    while batch > _SMALLEST and batch * elements > _BATCH_ELEMENTS:
        batch //= 2
    return batch


def _contiguous(arrays: Arrays) -> Arrays:
    return tuple(np.asarray(array, order="C") for array in arrays)


def fitted(model: Model, data: Dataset) -> Dataset:
    """The examples in the layout and the types of a model's inputs; a data set that is, comes back as it is.

    Raises:
        DataError: The data's shapes are not the model's, numbers are none of its types, or an input has no array.
    """
    specs, source = model.inputs, str(model.source)
    if len(specs) != 1 + len(data.others):
        names = ", ".join(spec.name for spec in specs) or "none"
        raise DataError(
            f"the model takes {len(specs)} inputs ({names}), and examples have {1 + len(data.others)}",
            where=data.source,
            fix="Give an .npz with one array named after each input" if specs else "Use another model",
        )
    whole = model.whole_examples
    shapes = [spec.shape if whole else spec.shape[1:] for spec in specs]
    data = data.matching(shapes[0], source, np.dtype(specs[0].dtype), specs[0].name)
    parts = tuple(
        as_type(_part(part, spec, whole, source, data.source), np.dtype(spec.dtype), spec.name, data.source)
        for part, spec in zip(data.others, specs[1:], strict=True)
    )
    return data if all(a is b for a, b in zip(parts, data.others, strict=True)) else data.with_others(parts)


def _part(part: np.ndarray, spec: TensorSpec, whole: bool, model: str, source: str) -> np.ndarray:
    """What a further input gets: an array with a row per example, or the one number of an input without axes."""
    if not spec.shape and not whole and part.ndim <= 1 and part.size:
        if (part != part.flat[0]).any():
            what = f"the input '{spec.name}' of {model} is one number for all examples, and the data has different ones"
            raise DataError(what, where=source, fix="Give a data set for each number")
        return part.reshape(-1)[0].reshape(())
    inner, shape = spec.shape if whole else spec.shape[1:], part.shape[1:]
    if part.ndim and fits(shape, [side if isinstance(side, int) and side > 0 else None for side in inner]):
        return part
    shown = [side if isinstance(side, int) else "?" for side in inner]
    what = f"the array '{spec.name}' has examples of shape {list(shape)}, and {model} wants {shown}"
    raise DataError(what, where=source, fix="The first axis of the array counts the examples")
