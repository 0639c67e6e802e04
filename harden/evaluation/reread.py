"""Examples and labels read a second time from what they were opened from, by code that has no part in ``harden.data``.

Only numpy, Pillow and pyarrow: what goes wrong in harden's reading cannot go
wrong here alike. Forms of data that are no files at hand begin with the arrays that their loader handed over.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.data.preprocess import Preprocess
    from harden.data.sources.base import Origin

_LARGEST = 1 << 28  # bytes; a larger file is not read a second time as a whole
_X, _Y = ("x", "images", "data", "inputs", "features"), ("y", "labels", "label", "target", "targets")
_LABEL = ("label", "labels", "class", "target", "y", "fine_label")
_PICTURE = ("image", "img", "images", "picture", "png", "jpg", "jpeg", "webp")
_LIST = ("x", "values", "signal", "features", "input", "inputs", "data", "audio")


@dataclass(frozen=True)
class Raw:
    """What a source holds.

    Attributes:
        count: How many examples.
        examples: Some of them by their numbers: an array [B, ...], or pictures.
        labels: All labels, as numbers or names; None where there are none.
        names: The source's own order of class names.
        others: Arrays for the model's further inputs, by number.
    """

    count: int
    examples: Callable[[np.ndarray], np.ndarray | list[Image.Image]]
    labels: np.ndarray | None
    names: tuple[str, ...] | None = None
    others: tuple[np.ndarray, ...] = ()


def raw(data: Dataset) -> Raw:
    """The source of a data set, opened again."""
    path, origin = Path(data.source), data.origin
    small = path.is_file() and path.stat().st_size <= _LARGEST
    form = path.suffix.lower() if small else "folder" if path.is_dir() else ""
    if origin.opened and form in _FORMS:
        try:
            return _FORMS[form](path, origin)
        except (KeyError, ValueError, TypeError, StopIteration, OSError):
            pass  # kept in a way that these few lines do not know: the arrays that were handed over are the source
    values = origin.values
    labels = None if origin.labels is None else np.asarray(origin.labels)
    return Raw(len(values), lambda rows: np.asarray(values[rows]), labels, origin.names, origin.others)


def class_numbers(raw: Raw) -> np.ndarray | None:
    """Labels as class numbers: whole numbers as they are, names by the source's list, else sorted."""
    if raw.labels is None:
        return None
    flat = raw.labels.reshape(len(raw.labels), -1)[:, 0]
    words = [item.decode() if isinstance(item, bytes) else item for item in flat.tolist()]
    if not any(isinstance(word, str) for word in words):
        return np.array([int(word) for word in words])
    order = raw.names or sorted(set(words), key=lambda word: (int(word), word) if _numeric(words) else (0, word))
    return np.array([list(order).index(word) for word in words])


def _numeric(words: Sequence[str]) -> bool:
    return all(word.isascii() and word.isdigit() for word in words)


def fed(examples: np.ndarray | list[Image.Image], record: Preprocess, kind: str, shape: Sequence[Any]) -> np.ndarray:
    """Examples as a model takes them, from nothing but the record's numbers and what ONNX Runtime says of its input.

    Args:
        examples: From :class:`Raw`.
        record: Mean, std, scale and size.
        kind: The input's numpy type.
        shape: Its shape without the batch; what is no positive number is open.
    """
    target = [side if isinstance(side, int) and side > 0 else None for side in shape]
    mean, std = np.array(record.mean, np.float64), np.array(record.std, np.float64)
    x, plain = _pixels(examples, record), len(mean) == 1 and mean[0] == 0 and std[0] == 1
    pixels = x.dtype == np.uint8
    if pixels and x.ndim == 3 and isinstance(examples, np.ndarray):
        x = x[..., None]
    if x.ndim == 4 and plain and not pixels:
        orders = ((0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1))
        x = next((x.transpose(order) for order in orders if _suits(x.transpose(order).shape[1:], target)), x)
    if x.ndim == 4 and (pixels or not plain):
        x = _channels_last(x, len(mean), pixels, record.layout)
        along = (-1,)
    else:
        along = (-1, *[1] * (x.ndim - 2))
    if np.dtype(kind).kind not in "ui" or (mean != 0).any() or (std != 1).any():
        x = (x / (record.scale if pixels else 1.0) - mean.reshape(along)) / std.reshape(along)
    if x.ndim == 4 and along == (-1,):
        first = target[0] == x.shape[3] or (record.layout == "NCHW" and target[-1] != x.shape[3])
        x = x.transpose(0, 3, 1, 2) if len(target) == 3 and first else x
    sides = target if target.count(None) == 0 else (x.shape[1:] if len(x.shape) - 1 == len(target) else None)
    if sides is None:  # open sides, and axes of length one more or fewer: the model's fixed sides of one stay
        long = iter([side for side in x.shape[1:] if side != 1])
        sides = [1 if side == 1 else next(long, 1) for side in target]
    x = x.reshape(len(x), *sides)
    return (np.rint(x) if np.dtype(kind).kind in "ui" else x).astype(kind)


def _suits(shape: Sequence[int], target: Sequence[int | None]) -> bool:
    return len(shape) == len(target) and all(want in (None, side) for side, want in zip(shape, target, strict=True))


def _channels_last(x: np.ndarray, count: int, pixels: bool, layout: str) -> np.ndarray:
    """Images [B, H, W, C] of either order: pixels usually have their channels last, other numbers as the model has."""
    fitting = (1, 3, 4) if count == 1 and pixels and count not in (x.shape[1], x.shape[3]) else (count,)
    order = (3, 1) if pixels or layout == "NHWC" else (1, 3)
    last = next((axis for axis in order if x.shape[axis] in fitting), order[0]) == 3
    return x if last else x.transpose(0, 2, 3, 1)


def _pixels(examples: np.ndarray | list[Image.Image], record: Preprocess) -> np.ndarray:
    if record.input_size is None or (isinstance(examples, np.ndarray) and examples.dtype != np.uint8):
        return examples if isinstance(examples, np.ndarray) else np.stack([_picture(one, record) for one in examples])
    if isinstance(examples, np.ndarray):
        x = examples[..., None] if examples.ndim == 3 else examples
        x = _channels_last(x, record.channels, True, "NHWC")
        if x.shape[1:3] == record.input_size and record.crop_pct == 1:
            return x
        examples = [Image.fromarray(one[..., 0] if one.shape[2] == 1 else one) for one in x]
    elif all(one.size == record.input_size[::-1] for one in examples) and record.crop_pct == 1:
        return np.stack([_picture(one, record) for one in examples])
    return np.stack([_fitted(_converted(one, record), record) for one in examples])


def _fitted(picture: Image.Image, record: Preprocess) -> np.ndarray:
    """A picture in the record's size, as timm cuts them."""
    assert record.input_size is not None
    wanted = record.input_size[::-1]  # width and height, as Pillow counts
    scaled = [math.floor(side / record.crop_pct) for side in wanted]
    ratios = [side / goal for side, goal in zip(picture.size, scaled, strict=True)]
    if record.resize == "crop" and scaled[0] == scaled[1]:
        short = min(picture.size)
        scaled = [scaled[0] if side == short else int(scaled[0] * side / short) for side in picture.size]
    elif record.resize != "squash":
        ratio = max(ratios) if record.resize == "border" else min(ratios)
        scaled = [round(side / ratio) for side in picture.size]
    resized = picture.resize((scaled[0], scaled[1]), getattr(Image.Resampling, record.interpolation.upper()))
    lack = [max(0, goal - side) for side, goal in zip(scaled, wanted, strict=True)]
    around = (lack[0] // 2, lack[1] // 2, (lack[0] + 1) // 2, (lack[1] + 1) // 2)
    colour = [round(255 * value) if record.resize == "border" else 0 for value in record.mean]
    padded = ImageOps.expand(resized, around, colour[0] if len(colour) == 1 else tuple(colour))
    left, top = (round((side - goal) / 2) for side, goal in zip(padded.size, wanted, strict=True))
    pixels = np.asarray(padded)[top : top + wanted[1], left : left + wanted[0]]
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _converted(picture: Image.Image, record: Preprocess) -> Image.Image:
    return picture.convert({1: "L", 3: "RGB", 4: "RGBA"}[record.channels])


def _picture(picture: Image.Image, record: Preprocess) -> np.ndarray:
    pixels = np.asarray(_converted(picture, record))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _npz(path: Path, origin: Origin) -> Raw:
    inputs, limit = origin.inputs, origin.limit
    with np.load(path, allow_pickle=False) as archive:
        names = inputs if len(inputs) > 1 else [next(name for name in _X if name in archive)]
        x, *others = (archive[name] for name in names)
        y = next((archive[name][:limit] for name in _Y if name in archive), None)
    x = x[:limit]
    parts = tuple(part[:limit] if part.ndim else np.repeat(part, len(x)) for part in others)
    return Raw(len(x), lambda rows: x[rows], y, others=parts)


def _parquet(path: Path, origin: Origin) -> Raw:
    import pyarrow.parquet as pq

    table = pq.read_table(path).slice(0, origin.limit)
    names = table.column_names
    label = next((name for name in _LABEL if name in names), None)
    labels = None if label is None else np.array(table[label].to_pylist())
    kinds = {name: str(table.schema.field(name).type) for name in names if name != label}

    def named(begins: tuple[str, ...], accepted: tuple[str, ...]) -> str | None:
        fitting = [
            name for name, kind in kinds.items() if kind.startswith(begins) and not kind.startswith("struct<path")
        ]
        return next((name for name in accepted if name in fitting), fitting[0] if fitting else None)

    try:
        order = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, ValueError, TypeError):
        order = None
    picture = named(("binary", "large_binary", "struct"), _PICTURE)
    column = picture or named(("list", "large_list", "fixed_size_list", "extension"), _LIST)

    def examples(rows: np.ndarray) -> np.ndarray | list[Image.Image]:
        chosen = table.take(rows)
        if column is None:
            columns = [np.array(chosen[name].to_pylist(), np.float64) for name in kinds]
            return np.stack(columns, axis=1)
        items = chosen[column].to_pylist()
        if picture is None:
            x = np.array(items)
            x = x.astype(np.uint8) if "uint8" in kinds[column] else x
            sides = json.loads((table.schema.metadata or {}).get(b"shape", b"null"))
            return x.reshape(len(x), *sides) if sides else x
        data = [
            item["bytes"] or (path.parent / item["path"]).read_bytes() if isinstance(item, dict) else item
            for item in items
        ]
        return [Image.open(io.BytesIO(one)) for one in data]

    return Raw(len(table), examples, labels, tuple(order) if order else None)


def _table(path: Path, origin: Origin) -> Raw:
    with path.open(newline="", encoding="utf-8-sig") as file:
        head, *rows = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    rows = [row for row in rows if row][: origin.limit]
    at = next((head.index(name) for name in _LABEL if name in head), None)
    x = np.array([[float(cell) for place, cell in enumerate(row) if place != at] for row in rows])
    words = None if at is None else [row[at] for row in rows]
    if words is not None:
        with contextlib.suppress(ValueError):  # names, then
            words = [float(word) for word in words]
    return Raw(len(x), lambda rows: x[rows], None if words is None else np.array(words))


def _folder(path: Path, origin: Origin) -> Raw:
    if any(path.glob("*.parquet")) or any(path.glob("*.json")):
        raise ValueError("no folder of pictures")
    limit = origin.limit
    endings = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
    files = [file for file in path.rglob("*") if file.name.lower().endswith(endings) and file.name[0] != "."]
    files.sort(key=lambda file: file.relative_to(path).parts)
    if origin.labels is None:
        chosen = files[:limit]
        return Raw(len(chosen), lambda rows: [Image.open(chosen[row]) for row in rows], None)
    files = [
        file for file in files if len(file.relative_to(path).parts) > 1 and file.relative_to(path).parts[0][0] != "."
    ]
    folders = {file.relative_to(path).parts[0] for file in files} | {
        entry.name for entry in path.iterdir() if entry.is_dir() and entry.name[0] != "."
    }
    order = sorted(folders, key=lambda name: (int(name), name) if _numeric(list(folders)) else (0, name))
    files.sort(key=lambda file: order.index(file.relative_to(path).parts[0]))
    turns: Counter[str] = Counter()
    turn = []
    for file in files:
        turn.append(turns[file.relative_to(path).parts[0]])
        turns[file.relative_to(path).parts[0]] += 1
    first = sorted(np.argsort(turn, kind="stable")[:limit].tolist())
    chosen = [files[place] for place in first]
    labels = np.array([order.index(file.relative_to(path).parts[0]) for file in chosen])
    return Raw(len(chosen), lambda rows: [Image.open(chosen[row]) for row in rows], labels, tuple(order))


_FORMS: dict[str, Callable[[Path, Origin], Raw]] = {
    ".npz": _npz,
    ".parquet": _parquet,
    ".csv": _table,
    ".tsv": _table,
    "folder": _folder,
}
