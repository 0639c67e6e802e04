"""Images: from encoded bytes to uint8 pixels of the model's size, decoded once, on all cores.

Resizing follows timm's evaluation transforms to the pixel, so that a timm model sees the images it was published with.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from harden.data.preprocess import Preprocess
from harden.data.storage import allocate
from harden.errors import DataError

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
BLOCK = 1024  # images read ahead of decoding
LISTED = 20  # broken images that a message names
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Item:
    """One encoded image: its name in messages, and its bytes or the file that holds them."""

    where: str
    data: bytes | Path


def decode_all(items: Iterable[Item], count: int, record: Preprocess, progress: Progress | None = None) -> np.ndarray:
    """Decode images in order, on all cores.

    Args:
        items: The encoded images; read lazily, a block at a time.
        count: How many there are, > 0.
        record: Mode, size and filter.
        progress: Called with (images done, images in all).

    Returns:
        uint8 [count, H, W, C]; in a temporary file where it is large.

    Raises:
        DataError: Images cannot be read (all are named), or the size of one differs from the others' and no input
            size is known.
    """
    _check_channels(record)
    stream, pixels, done = iter(items), None, 0
    failures: list[DataError] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for block in iter(lambda: list(islice(stream, BLOCK)), []):
            # A task decodes a run of images: tasks of one image each would cost more than decoding a small one.
            runs = [block[at : at + 32] for at in range(0, len(block), 32)]
            for image in _chain(pool.map(lambda run: [_try(item, record) for item in run], runs)):
                if isinstance(image, DataError):
                    failures.append(image)
                    done += 1
                    continue
                if pixels is None:
                    pixels = allocate((count, *image.shape), np.uint8)
                if image.shape != pixels.shape[1:]:
                    raise _sizes_differ(block[done % BLOCK].where, image.shape, pixels.shape[1:])
                pixels[done] = image
                done += 1
            if progress:
                progress(done, count)
    if failures and len(failures) in (1, count):  # where all fail alike, one says why
        raise failures[0]
    if failures:
        problems = [f"{error.where}: {error.what}" for error in failures[:LISTED]]
        problems += [f"and {len(failures) - LISTED:,} more"] if len(failures) > LISTED else []
        what = f"{len(failures):,} of {count:,} images cannot be used"
        raise DataError(what, fix="Remove or replace them", problems=problems)
    if pixels is None or done != count:
        raise DataError(f"{count} images announced, {done} found", fix="Write the data set again")
    return pixels


def _check_channels(record: Preprocess) -> None:
    if record.channels not in MODES:
        what = f"image files have 1, 3 or 4 channels, and mean and std have {record.channels} values"
        raise DataError(what, fix="Give --mean and --std with one value per channel of the images")


def _try(item: Item, record: Preprocess) -> np.ndarray | DataError:
    """A decoded image, or why it is none: all that are broken are told at once."""
    try:
        return decode(item, record)
    except DataError as error:
        return error


def _chain(runs: Iterable[list[np.ndarray | DataError]]) -> Iterator[np.ndarray | DataError]:
    for run in runs:
        yield from run


def _sizes_differ(where: str, size: tuple[int, ...], first: tuple[int, ...]) -> DataError:
    what = f"the image is {size[0]}x{size[1]} (height x width), the first one {first[0]}x{first[1]}"
    return DataError(what, where=where, fix="Give --input-size H,W to resize all images to the model's input")


def decode(item: Item, record: Preprocess) -> np.ndarray:
    """One image as uint8 [H, W, C], resized if the record has an input size.

    Raises:
        DataError: The image cannot be read, or has more than 8 bits per channel.
    """
    try:
        data = item.data if isinstance(item.data, bytes) else item.data.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            return as_pixels(image, record, item.where)
    except DataError:
        raise
    except Exception as error:  # Pillow's plug-ins raise whatever the broken bytes lead them to
        said = " ".join(str(error).split()) or type(error).__name__
        is_image = not isinstance(error, UnidentifiedImageError)  # whose text is the address of a buffer
        what = f"unreadable image: {said if is_image else 'of no format that is known here'}"
        raise DataError(what, where=item.where, fix="Remove or replace it") from error


def as_pixels(image: Image.Image, record: Preprocess, where: str) -> np.ndarray:
    """An opened image as uint8 [H, W, C], in the record's mode and size.

    Raises:
        DataError: It has more than 8 bits per channel, or the record a number of channels that images do not have.
    """
    _check_channels(record)
    if image.mode.startswith(("I", "F")):
        what = f"the image has more than 8 bits per channel (mode {image.mode})"
        raise DataError(what, where=where, fix="Convert it to 8 bits, or give the data as .npz of floats")
    pixels = np.asarray(_fit(image.convert(MODES[record.channels]), record))
    return pixels.reshape(*pixels.shape[:2], record.channels)


def resize_all(pixels: np.ndarray, record: Preprocess) -> np.ndarray:
    """Resize decoded images, uint8 [B, H, W, C], as ``decode`` would have."""
    if record.input_size is None or (record.input_size == pixels.shape[1:3] and record.crop_pct == 1):
        return pixels
    _check_channels(record)
    fitted = allocate((len(pixels), *record.input_size, pixels.shape[3]), np.uint8)
    for row, image in enumerate(pixels):
        squeezed = image[..., 0] if image.shape[2] == 1 else image
        fitted[row] = np.asarray(_fit(Image.fromarray(squeezed), record)).reshape(fitted.shape[1:])
    return fitted


def _fit(image: Image.Image, record: Preprocess) -> Image.Image:
    if record.input_size is None:
        return image
    height, width = record.input_size
    target_h, target_w = (math.floor(side / record.crop_pct) for side in record.input_size)
    if record.resize == "crop":
        target_h, target_w = _cover(image, target_h, target_w)
    elif record.resize == "border":
        ratio = max(image.height / target_h, image.width / target_w)
        target_h, target_w = round(image.height / ratio), round(image.width / ratio)
    image = image.resize((target_w, target_h), Image.Resampling[record.interpolation.upper()])
    mean = tuple(round(255 * value) for value in record.mean) if record.resize == "border" else (0,) * record.channels
    return _centre(image, height, width, mean if record.channels > 1 else mean[0])


def _centre(image: Image.Image, height: int, width: int, fill: int | tuple[int, ...]) -> Image.Image:
    """The middle of an image; on a side where it is too small, it stands in the middle of ``fill``, as in timm."""
    top, left = (
        round((have - want) / 2) if have >= want else -((want - have) // 2)
        for have, want in ((image.height, height), (image.width, width))
    )
    if top >= 0 and left >= 0:
        return image.crop((left, top, left + width, top + height))
    canvas = Image.new(image.mode, (width, height), fill)
    canvas.paste(image, (-left, -top))
    return canvas


def _cover(image: Image.Image, height: int, width: int) -> tuple[int, int]:
    """The size that keeps the image's ratio and just covers height x width; roundings are those of timm."""
    if height == width:
        short, long = sorted((image.height, image.width))
        stretched = int(height * long / short)
        return (height, stretched) if image.height <= image.width else (stretched, width)
    ratio = min(image.height / height, image.width / width)
    return round(image.height / ratio), round(image.width / ratio)
