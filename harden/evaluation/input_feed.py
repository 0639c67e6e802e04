"""The data as batches for ONNX Runtime, normalised once where it fits in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from harden.errors import DataError

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model

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

    Raises:
        DataError: The data's shapes are not the model's, or there is no array for one of its inputs.
    """

    def __init__(self, model: Model, data: Dataset, batch: int | None = None) -> None:
        self.examples = len(data)
        self._data = data
        self._dtypes = [np.dtype(spec.dtype) for spec in model.inputs]
        shapes = [tuple(data.input_shape), *(tuple(part.shape[1:]) for part in data.others)]
        _check_inputs(model, data, shapes)
        self._fixed = None if model.whole_examples else model.batch_size
        elements = sum(int(np.prod(shape)) for shape in shapes)
        self.batch = self._fixed or min(batch or default_batch(elements), self.examples)
        size = self.examples * sum(int(np.prod(s)) * d.itemsize for s, d in zip(shapes, self._dtypes, strict=True))
        self._kept = self._cast(data.feed(slice(0, self.examples))) if size <= _KEPT_BYTES else None

    def __getstate__(self) -> dict[str, object]:
        """For another process: normalised inputs make the raw ones superfluous."""
        return {**self.__dict__, "_data": self._data if self._kept is None else None}

    def __iter__(self) -> Iterator[tuple[Arrays, int]]:
        """Pairs of a batch and the number of its images that count; a fixed batch size may need filling up."""
        for start in range(0, self.examples, self.batch):
            yield self._filled(self._slice(start, min(start + self.batch, self.examples)))

    def head(self, images: int) -> Arrays:
        """The first images as one batch; as many as the model demands where its batch size is fixed."""
        return self._filled(self._slice(0, min(self._fixed or images, self.examples)))[0]

    def take(self, index: np.ndarray) -> Arrays:
        """Chosen images, one array per input, in the order of ``index``; no fixed batch size is filled up."""
        if self._kept is not None:
            return tuple(array[index] for array in self._kept)
        return self._cast(self._data.feed(index))

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

    def _slice(self, start: int, stop: int) -> Arrays:
        if self._kept is not None:
            return tuple(array[start:stop] for array in self._kept)
        return self._cast(self._data.feed(slice(start, stop)))

    def _filled(self, arrays: Arrays) -> tuple[Arrays, int]:
        count = len(arrays[0])
        if self._fixed and count < self._fixed:
            lacking = self._fixed - count
            arrays = tuple(np.concatenate([a, np.repeat(a[-1:], lacking, axis=0)]) for a in arrays)
        return arrays, count

    def _cast(self, arrays: Arrays) -> Arrays:
        return tuple(np.ascontiguousarray(a, dtype=d) for a, d in zip(arrays, self._dtypes, strict=True))


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


def _check_inputs(model: Model, data: Dataset, shapes: list[tuple[int, ...]]) -> None:
    specs = model.inputs
    if len(specs) != len(shapes):
        names = ", ".join(spec.name for spec in specs) or "none"
        raise DataError(
            f"the model takes {len(specs)} inputs ({names}), and examples have {len(shapes)}",
            where=data.source,
            fix="Give an .npz with one array named after each input" if specs else "Use another model",
        )
    whole = model.whole_examples
    for spec, shape in zip(specs, shapes, strict=True):
        expected = (None, *spec.shape) if whole else tuple(spec.shape)
        _check_shape(spec.name, expected, shape, str(model.source), data.source)


def _check_shape(
    name: str, expected: tuple[int | str | None, ...], shape: tuple[int, ...], model: str, data: str
) -> None:
    inner = expected[1:]
    fits = len(inner) == len(shape) and all(
        not isinstance(w, int) or w <= 0 or w == g for w, g in zip(inner, shape, strict=True)
    )
    if not fits:
        shown = [w if isinstance(w, int) else "?" for w in inner]
        raise DataError(
            f"examples have shape {list(shape)} after preprocessing, but the input '{name}' of {model} takes {shown}",
            where=data,
            fix="Check --input-size and the preprocessing, or use the model's own data",
        )
