"""Examples that two data sets share: what is tested on must not have been trained on."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np

from harden.data.dataset import Dataset

_BLOCK = 1024
_GLANCE = 256  # values in the middle of an example; most examples differ there


def shared_examples(data: Dataset, *others: Dataset) -> int:
    """How many examples of ``data`` are, value for value, in one of ``others`` too; labels and further inputs
    are not compared.

    Most of ``others`` is only glanced at, 256 values per example, so that large sets in files are not read again.

    Example:
        >>> from harden.data.preprocess import Preprocess
        >>> x, plain = np.arange(12, dtype=np.float32).reshape(4, 3), Preprocess((0,), (1,))
        >>> a, b = (Dataset.from_arrays(part, None, plain) for part in (x[:3], x[2:]))
        >>> shared_examples(a, b)
        1
    """
    glances = {key for _, key in _digests(data, slice(None), glance=True)}
    seen: set[bytes] = set()
    for other in others:
        candidates = np.array([row for row, key in _digests(other, slice(None), glance=True) if key in glances], int)
        seen.update(key for _, key in _digests(other, candidates))
    return sum(key in seen for _, key in _digests(data, slice(None))) if seen else 0


def _digests(data: Dataset, which: slice | np.ndarray, glance: bool = False) -> Iterator[tuple[int, bytes]]:
    rows = np.arange(len(data))[which]
    for at in range(0, len(rows), _BLOCK):
        block = rows[at : at + _BLOCK]
        raw = data.raw(block)
        flat = raw.reshape(len(block), -1)
        begin = max(0, (flat.shape[1] - _GLANCE) // 2)
        part = flat[:, begin : begin + _GLANCE] if glance else flat
        form = repr((raw.shape[1:], raw.dtype.str)).encode()
        for row, values in zip(block.tolist(), np.ascontiguousarray(part), strict=True):
            yield row, blake2b(values.tobytes(), key=form[:64], digest_size=16).digest()
