"""What arrays of numbers mean: images or features, and whether a model can be fed with them."""

from __future__ import annotations

import numpy as np

from harden.data.images import MODES
from harden.data.layout import as_integers
from harden.data.preprocess import Preprocess
from harden.data.storage import allocate
from harden.errors import DataError

_BLOCK = 1024  # examples


def as_images(values: np.ndarray, record: Preprocess, where: str) -> tuple[np.ndarray, bool]:
    """Decide whether arrays are images, and put the channels of images last.

    uint8 arrays [N, H, W], [N, H, W, C] or [N, C, H, W] are images; other numbers are where they have four axes, or
    three of which the last two are the preprocessing's input size. Everything else is features or signals in the
    model's own shape, as are numbers that mean 0 and std 1 leave alone. A single mean of 0 and std of 1 serve pixels
    of any number of channels.

    Returns:
        The values, [N, H, W, C] for images, and whether they are images.

    Raises:
        DataError: Images without an axis of the preprocessing's number of channels.
    """
    pixels, channels = values.dtype == np.uint8, {record.channels}
    if record.identity and record.channels == 1:
        if not pixels and record.input_size in (None, values.shape[1:3], values.shape[2:4]):
            return values, False
        channels = set(MODES)
    if values.ndim == 3 and (pixels or record.input_size == values.shape[1:]):
        values = values[..., None]
    elif values.ndim != 4:
        return values, False
    # Pixels usually come as H, W, C; floats usually in the model's own layout. It matters where both ends fit.
    axes = (3, 1) if pixels or record.layout == "NHWC" else (1, 3)
    axis = next((axis for axis in axes if values.shape[axis] in channels), None)
    if axis is None:
        what = (
            f"images of shape {list(values.shape[1:])} have no axis of {record.channels} channels, as mean and std say"
        )
        raise DataError(what, where=where, fix="Give --mean and --std with one value per channel of the images")
    return np.moveaxis(values, axis, 3), True


def check(values: np.ndarray, images: bool, record: Preprocess, where: str) -> np.ndarray:
    """The values, ready to be stored: uint8, integers, or finite float32; at least [N, 1].

    Raises:
        DataError: There is no example, a number is not finite, or the values do not fit the preprocessing.
    """
    if values.ndim == 0 or values.size == 0:
        raise DataError("the data set is empty", where=where, fix="Give at least one example")
    if values.dtype.kind not in "uif":
        raise DataError(f"values are of type {values.dtype}", where=where, fix="Give uint8 images or numbers")
    if values.ndim == 1:
        values = values[:, None]
    if values.dtype.kind == "f":
        values = _finite(values, where)
    if not images and record.channels not in (1, values.shape[1]):
        what = f"examples of shape {list(values.shape[1:])} for mean and std of {record.channels} values"
        raise DataError(what, where=where, fix="Give --mean and --std with one value, or one per channel or feature")
    if images and values.dtype != np.uint8:
        _check_number_images(values, record, where)
    return values


def check_part(values: np.ndarray, where: str) -> np.ndarray:
    """What a further input of the model gets: numbers as they are, floating-point ones finite and in float32.

    Raises:
        DataError: They are no numbers, or not finite.
    """
    if values.dtype.kind not in "uifb":
        raise DataError(f"values are of type {values.dtype}", where=where, fix="Give numbers")
    return _finite(values, where) if values.dtype.kind == "f" else values


def _finite(values: np.ndarray, where: str) -> np.ndarray:
    """Finite float32; block by block, since the values may be larger than memory."""
    examples = values if values.dtype == np.float32 else allocate(values.shape, np.float32)
    for start in range(0, len(values), _BLOCK):
        block = slice(start, start + _BLOCK)
        with np.errstate(over="ignore"):
            numbers = values[block].astype(np.float32, copy=False)
        fine = np.isfinite(numbers).reshape(len(numbers), -1).all(axis=1)
        if not fine.all():
            what = f"example {start + int(np.argmin(fine))} holds NaN, infinity, or a number too large for float32"
            raise DataError(what, where=where, fix="Remove or repair it")
        if examples is not values:
            examples[block] = numbers
    return examples


def _check_number_images(values: np.ndarray, record: Preprocess, where: str) -> None:
    if record.input_size not in (None, values.shape[1:3]):
        what = f"{values.dtype} images of {values.shape[1]}x{values.shape[2]} cannot be resized to {record.input_size}"
        raise DataError(what, where=where, fix="Store images as uint8, or numbers in the model's size")
    # Only uint8 is divided by the scale. Numbers beyond 1 with a mean meant for x/255 would silently give nonsense.
    for_shares = not record.identity and all(0 <= value <= 1 for value in record.mean)
    if for_shares and values.min() >= 0 and values.max() > 1.001:
        what = f"{values.dtype} images reach {values.max():g}, and mean and std are for values in [0, 1]"
        raise DataError(what, where=where, fix="Store pixels as uint8 (they are divided by 255), or divide them first")


def normalise(raw: np.ndarray, record: Preprocess, images: bool, *, integers: bool = False) -> np.ndarray:
    """Raw values as model input: ``(x / scale - mean) / std``, where only uint8 is divided by the scale.

    For pixels the operations are those of torchvision and timm in float32, to the bit.

    Args:
        raw: [B, H, W, C] if ``images``, else [B, ...] with channels on axis 1.
        record: Mean, std, scale and layout.
        images: Whether ``raw`` are images.
        integers: Whether the model takes integers: a mean of 0 and a std of 1 then leave even pixels alone.

    Returns:
        float32, in the model's layout; for integers, ``raw``'s own type or float64.
    """
    channels_last = images and record.layout == "NHWC"
    moved = np.moveaxis(raw, 3, 1) if images and not channels_last else raw
    shape = (-1,) if channels_last else (-1, *[1] * (raw.ndim - 2))
    if integers:
        return as_integers(moved, record, shape)
    out = np.ascontiguousarray(moved).astype(np.float32)
    if raw.dtype == np.uint8:
        out /= np.float32(record.scale)
    out -= np.array(record.mean, np.float32).reshape(shape)
    out /= np.array(record.std, np.float32).reshape(shape)
    return out
