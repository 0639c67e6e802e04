"""Examples that Python objects hand over one by one: torchvision's and timm's data sets, and the user's own loaders."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harden.data.images import Item, as_pixels, decode
from harden.data.sources.base import Examples, Request, digest_values
from harden.data.storage import allocate
from harden.errors import DataError

_EXACT = 2**24  # the whole numbers up to here are float32 numbers


def read_samples(samples: Any, where: str, request: Request) -> Examples:
    """Read a data set of (example, label) pairs, or of bare examples where labels are not asked for.

    Args:
        samples: A map-style data set (``len`` and ``[index]``), or anything to iterate over. An example is an image of
            Pillow, the path or the bytes of an image file, or an array.
        where: What messages call the source.
        request: How to read.

    Raises:
        DataError: A sample is no pair, its example is none of these, or the examples differ in shape.
    """
    length = len(samples) if hasattr(samples, "__len__") else None
    count = request.limit if length is None else request.count(length)
    values: Any = []
    labels: list[Any] = []
    images, first = False, None
    for at, sample in enumerate(islice(_iterate(samples, length), count)):
        name = f"{where}, example {at}"
        example, label = _pair(sample, name, request.labelled)
        array, images = _array(example, name, request)
        kind = (images, array.dtype, array.shape)
        if first is None and length is not None and count is not None:
            values = allocate((count, *array.shape), array.dtype)
        first = first or kind
        if kind != first:
            what = f"the example is {array.dtype}{list(array.shape)}, the first one {first[1]}{list(first[2])}"
            raise DataError(what, where=name, fix="Give --input-size H,W to resize images, or arrays of one shape")
        if length is None:
            values.append(array)
        else:
            values[at] = array
        labels.append(label)
        if request.progress and count and len(labels) % 1024 == 0:
            request.progress(len(labels), count)
    if not labels or (length is not None and len(labels) != count):
        raise DataError(
            f"it yields {len(labels)} examples", where=where, fix="Give at least one, and as many as len says"
        )
    stacked = np.stack(values) if length is None else values
    own_labels = labels if request.labelled else None
    names = _class_names(samples) if own_labels and not isinstance(own_labels[0], str) else None
    return Examples(stacked, own_labels, f"{where}, labels", digest_values(stacked, own_labels), names, images)


def _iterate(samples: Any, length: int | None) -> Iterator[Any]:
    # Map-style data sets need not raise IndexError at their end, so they are counted rather than iterated.
    if length is not None and hasattr(samples, "__getitem__"):
        return (samples[index] for index in range(length))
    return iter(samples)


def _pair(sample: Any, name: str, labelled: bool) -> tuple[Any, Any]:
    pair = isinstance(sample, (tuple, list)) and len(sample) == 2
    if not labelled:
        return (sample[0] if pair else sample), None
    if not pair:
        what = f"the sample is a {type(sample).__name__}, not a pair of example and label"
        raise DataError(what, where=name, fix="Yield (example, label)")
    label = sample[1].item() if hasattr(sample[1], "item") and np.ndim(sample[1]) == 0 else sample[1]
    return sample[0], label


def _array(example: Any, name: str, request: Request) -> tuple[np.ndarray, bool]:
    if isinstance(example, Image.Image):
        return as_pixels(example, request.preprocess, name), True
    if isinstance(example, (bytes, str, Path)):
        data = Path(example) if isinstance(example, str) else example
        return decode(Item(name, data), request.preprocess), True
    if hasattr(example, "detach"):  # a torch tensor
        example = example.detach().cpu().numpy()
    array = np.asarray(example)
    if array.dtype.kind not in "uif":
        what = f"the example is a {type(example).__name__}"
        raise DataError(what, where=name, fix="Yield an image of Pillow, a path, bytes, or an array of numbers")
    exact = array.dtype == np.uint8 or (array.dtype.kind in "ui" and np.abs(array).max(initial=0) > _EXACT)
    return array if exact else array.astype(np.float32), False


def _class_names(samples: Any) -> tuple[str, ...] | None:
    names = getattr(samples, "classes", None)
    if not isinstance(names, (list, tuple)):
        return None
    # ImageNet's classes come with their synonyms: the first name stands for the class.
    return tuple(str(name[0] if isinstance(name, (list, tuple)) and name else name) for name in names) or None
