"""How examples fit a model's input: the order of their axes by the shapes, and their type without changing a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harden.data.preprocess import Preprocess
from harden.errors import DataError

Side = int | None
_WHOLE = 1e-6  # preprocessing that should give whole numbers may miss them by this share: std is a rounded decimal


def fits(shape: Sequence[int], target: Sequence[Side]) -> bool:
    """Whether a shape is the one that is wanted; ``None`` is any length."""
    return len(shape) == len(target) and all(b is None or a == b for a, b in zip(shape, target, strict=True))


def with_ones(shape: Sequence[int], target: Sequence[Side]) -> tuple[int, ...] | None:
    """The shape with axes of length 1 added or taken away until it fits, or None.

    Example:
        >>> with_ones((128,), (1, 128)), with_ones((1, 8, 1), (None, 8)), with_ones((2, 64), (128,))
        ((1, 128), (1, 8), None)
    """
    return _filled([side for side in shape if side != 1], list(target))


def _filled(sides: list[int], target: list[Side]) -> tuple[int, ...] | None:
    if not target:
        return None if sides else ()
    ways = [(sides[0], sides[1:])] if sides and target[0] in (None, sides[0]) else []
    ways += [(1, sides)] if target[0] in (None, 1) else []
    for side, left in ways:
        rest = _filled(left, target[1:])
        if rest is not None:
            return (side, *rest)
    return None


def channel_axis(shape: Sequence[int], target: Sequence[Side]) -> int | None:
    """Which axis of examples, the first or the last, holds channels that the model wants at the other end, or None.

    Example:
        >>> channel_axis((8, 6, 3), (3, 8, 6)), channel_axis((3, 8, 6), (8, 6, 3)), channel_axis((8, 6, 3), (3, 9, 6))
        (2, 0, None)
    """
    if len(shape) != 3:
        return None
    ends = ((2, (shape[2], *shape[:2])), (0, (*shape[1:], shape[0])))
    return next((axis for axis, moved in ends if shape[axis] <= min(shape) and fits(moved, target)), None)


def mismatch(shape: Sequence[int], wanted: Sequence[object], images: bool) -> str:
    """The way out where examples of one shape meet a model that wants another."""
    sizes = [side for side in wanted if isinstance(side, int)]
    if images and len(wanted) == 3 and sizes and min(shape) != min(sizes):
        return f"Give --mean and --std with {min(sizes)} values, one per channel, and to resize --input-size H,W"
    if images and len(wanted) == 3:
        return "Give --mean and --std with one value per channel, and --input-size H,W"
    if len(shape) == len(wanted) and sorted(shape) == sorted(sizes):
        order = [list(shape).index(side) + 1 for side in sizes]
        transposed = f"x.transpose({', '.join(map(str, [0, *order]))})"
        return f"Transpose them: {transposed}" if len(set(shape)) == len(shape) else "Transpose them"
    if len(sizes) == len(wanted) and np.prod(sizes) == np.prod(shape):
        return f"Reshape them: x.reshape({', '.join(map(str, [-1, *sizes]))})"
    return "Give examples of the shape that the model was trained on"


def as_type(values: np.ndarray, dtype: np.dtype, name: str, where: str) -> np.ndarray:
    """Values in the type of a model's input; to a floating-point type, they are rounded.

    Args:
        values: [B, ...] or a single one.
        dtype: The type.
        name: The input's name.
        where: What messages call the data.

    Raises:
        DataError: A number would become another: it is not whole, negative or too large for the type.
    """
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        cast = values.astype(dtype)
        if dtype.kind in "fV" and values.dtype.kind == "f":
            wrong = ~np.isfinite(cast.astype(np.float64))
        else:
            wrong = cast.astype(values.dtype) != values
            if dtype.kind in "ui":  # a number that wraps comes back as it was
                wrong |= (values < np.iinfo(dtype).min) | (values > np.iinfo(dtype).max)
    if wrong.any():
        at = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        what = f"{values[at].item():.9g} would become {cast[at].item()}: the model's input '{name}' is of type {dtype}"
        raise DataError(what, where=where, fix=_WAY_OUT[dtype.kind if dtype.kind in "uib" else "f"])
    return cast


_INTEGERS = "Give whole numbers in its range; with --mean 0 --std 1 they are taken as they are"
_WAY_OUT = {"u": _INTEGERS, "i": _INTEGERS, "b": "Give 0 and 1", "f": "Give smaller numbers"}


def as_integers(raw: np.ndarray, record: Preprocess, shape: tuple[int, ...]) -> np.ndarray:
    """Raw values for an input of integers: as they are, unless a mean and a standard deviation are given.

    Args:
        raw: [B, ...] in the model's layout.
        record: The preprocessing; pixels are divided by its scale only where it changes them afterwards.
        shape: What mean and std, one value per channel, are spread over.

    Returns:
        The values, of ``raw``'s type or float64.
    """
    if record.identity:
        return raw
    mean, std = (np.array(values, np.float64).reshape(shape) for values in (record.mean, record.std))
    numbers = (raw / (record.scale if raw.dtype == np.uint8 else 1.0) - mean) / std
    whole = np.rint(numbers)
    return np.where(np.abs(numbers - whole) <= _WHOLE * np.maximum(np.abs(whole), 1), whole, numbers)
