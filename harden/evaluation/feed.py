"""The data as batches for ONNX Runtime, normalised once where it fits in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from harden.errors import DataError, ModelError

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model

_KEPT_BYTES = 256 * 2**20  # normalised inputs up to this size are kept; beyond it each batch is normalised when needed
_BATCH_ELEMENTS = 2**17  # input numbers a batch: larger ones leave the processor's caches and run slower
_LARGEST, _SMALLEST = 32, 4


class Feed:
    """Batches of a data set in a fixed order.

    Args:
        model: Decides input type, shape and a fixed batch size.
        data: The examples.
        batch: Images a batch; None chooses by the input's size. A batch size fixed in the model wins.

    Attributes:
        batch: Images a batch.
        examples: N.

    Raises:
        ModelError: The model takes more than one input.
        DataError: The data's shape is not the model's.
    """

    def __init__(self, model: Model, data: Dataset, batch: int | None = None) -> None:
        self.examples = len(data)
        self._data = data
        spec = _only_input(model)
        self._dtype = np.dtype(spec.dtype)
        _check_shape(spec.name, tuple(spec.shape), tuple(data.input_shape), model.source, data.source)
        first = spec.shape[0] if spec.shape else None
        self._fixed = first if isinstance(first, int) and first > 0 else None
        elements = int(np.prod(data.input_shape))
        self.batch = self._fixed or min(batch or default_batch(elements), self.examples)
        kept = self.examples * elements * self._dtype.itemsize <= _KEPT_BYTES
        self._kept = self._cast(data.inputs(slice(0, self.examples))) if kept else None

    def __getstate__(self) -> dict[str, Any]:
        """For another process: normalised inputs make the raw ones superfluous."""
        return {**self.__dict__, "_data": self._data if self._kept is None else None}

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        """Pairs of a batch and the number of its images that count (a fixed batch size may need filling up)."""
        for start in range(0, self.examples, self.batch):
            yield self._filled(self._slice(start, min(start + self.batch, self.examples)))

    def head(self, images: int) -> np.ndarray:
        """The first images as one batch; as many as the model demands where its batch size is fixed."""
        return self._filled(self._slice(0, min(self._fixed or images, self.examples)))[0]

    def take(self, index: np.ndarray) -> np.ndarray:
        """Chosen images as one array, in the order of ``index``; no fixed batch size is filled up."""
        return self._kept[index] if self._kept is not None else self._cast(self._data.inputs(index))

    def batches(self, index: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        """Chosen images in batches, as iterating the feed gives them."""
        for start in range(0, len(index), self.batch):
            yield self._filled(self.take(index[start : start + self.batch]))

    def some_batches(self, most: int = 8) -> list[np.ndarray]:
        """A few whole batches, for measuring speed."""
        found = []
        for array, count in self:
            if count == self.batch or not found:
                found.append(array)
            if len(found) == most:
                break
        return found

    def _slice(self, start: int, stop: int) -> np.ndarray:
        if self._kept is not None:
            return self._kept[start:stop]
        return self._cast(self._data.inputs(slice(start, stop)))

    def _filled(self, array: np.ndarray) -> tuple[np.ndarray, int]:
        count = len(array)
        if self._fixed and count < self._fixed:
            array = np.concatenate([array, np.repeat(array[-1:], self._fixed - count, axis=0)])
        return array, count

    def _cast(self, array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array, dtype=self._dtype)


def default_batch(elements: int) -> int:
    """Images a batch by the numbers in one: a power of two from 4 to 32.

    Example:
        >>> default_batch(3 * 32 * 32), default_batch(3 * 224 * 224)
        (32, 4)
    """
    batch = _LARGEST
    while batch > _SMALLEST and batch * elements > _BATCH_ELEMENTS:
        batch //= 2
    return batch


def _only_input(model: Model):
    if len(model.inputs) != 1:
        names = ", ".join(spec.name for spec in model.inputs) or "none"
        raise ModelError(
            f"evaluation feeds a model one input, and this one has {len(model.inputs)} ({names})",
            where=model.source,
            fix="Export it with the image as its only input",
        )
    return model.inputs[0]


def _check_shape(
    name: str, wanted: tuple[int | str | None, ...], given: tuple[int, ...], model: str, data: str
) -> None:
    inner = wanted[1:]
    fits = len(inner) == len(given) and all(
        not isinstance(w, int) or w <= 0 or w == g for w, g in zip(inner, given, strict=True)
    )
    if not fits:
        shown = [w if isinstance(w, int) else "?" for w in inner]
        raise DataError(
            f"examples have shape {list(given)} after preprocessing, but the input '{name}' of {model} takes {shown}",
            where=data,
            fix="Check --input-size and the preprocessing, or use the model's own data",
        )
