"""Tables of examples: one reader for every form of data that has columns and rows.

Schema metadata that is understood: ``huggingface`` (the names of the classes) and ``shape`` (such as ``[1,128]``: the
shape of one example, where the file can only hold a flat list).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harden.data.columns import Columns, choose, numbers
from harden.data.images import Item, decode_all
from harden.data.sources.base import Examples, Request
from harden.data.storage import allocate
from harden.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Shard:
    """A part of a table, usually a file.

    Args:
        where: Its name in messages.
        schema: Its columns.
        rows: How many rows it has.
        batches: Yields the rows of the named columns in order, some at a time.
        folder: Where image files lie that rows name by relative paths.
    """

    where: str
    schema: pa.Schema
    rows: int
    batches: Callable[[list[str]], Iterator[pa.RecordBatch]]
    folder: Path | None = None


def read_table(shards: Sequence[Shard], where: str, request: Request, digest: Callable[[], str]) -> Examples:
    """Read images or numbers, and labels, in the order of shards and rows.

    Args:
        shards: At least one.
        where: What messages call the whole.
        request: How to read.
        digest: Computes the digest of the source; called last.

    Raises:
        DataError: Columns are missing or ambiguous, shards differ, or an item cannot be read.
    """
    schema = shards[0].schema
    for shard in shards:
        if shard.schema.names != schema.names or shard.schema.types != schema.types:
            what = f"its columns differ from those of {Path(shards[0].where).name}"
            raise DataError(what, where=shard.where, fix="Keep splits and data sets in folders of their own")
    count = request.count(sum(shard.rows for shard in shards))
    if count == 0:
        raise DataError("no rows", where=where, fix="Give a data set with at least one example")
    columns = choose(schema, where, labelled=request.labelled)
    labels = _labels(shards, columns.label, count) if columns.label and request.labelled else None
    if columns.image:
        values = decode_all(_items(shards, columns.image, count), count, request.preprocess, request.progress)
    else:
        values = _numbers(shards, columns, count, where)
    return Examples(
        values=values,
        labels=labels,
        labels_where=f"{where}, column '{columns.label}'",
        sha256=digest(),
        class_names=_class_names(schema, columns.label),
        images=columns.image is not None,
    )


def _rows(shards: Sequence[Shard], columns: list[str], count: int) -> Iterator[tuple[Shard, int, pa.RecordBatch]]:
    """(shard, first row in it, rows) until ``count`` rows in all."""
    left = count
    for shard in shards:
        first = 0
        for batch in shard.batches(columns):
            if left <= 0:
                return
            yield shard, first, batch.slice(0, left)
            first += batch.num_rows
            left -= batch.num_rows


def _labels(shards: Sequence[Shard], name: str, count: int) -> np.ndarray:
    import pyarrow as pa

    column = pa.chunked_array([batch.column(name) for _, _, batch in _rows(shards, [name], count)])
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if numeric and len(column) and not column.null_count:  # the general way imports pandas, where it is installed
        return np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks])
    return column.to_numpy(zero_copy_only=False)


def _items(shards: Sequence[Shard], name: str, count: int) -> Iterator[Item]:
    for shard, first, batch in _rows(shards, [name], count):
        for offset, value in enumerate(batch.column(name).to_pylist()):
            yield _item(value, shard, first + offset)


def _item(value: Any, shard: Shard, row: int) -> Item:
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    where = f"{shard.where}, row {row}" + (f" ({path})" if path else "")
    if isinstance(data, bytes) and data:
        return Item(where, data)
    if path and shard.folder and (shard.folder / path).is_file():
        return Item(where, shard.folder / path)
    raise DataError("the image is missing", where=where, fix="Remove the row, or store the image's bytes in it")


def _numbers(shards: Sequence[Shard], columns: Columns, count: int, where: str) -> np.ndarray:
    names = list(columns.values)
    values, done = None, 0
    for _, _, batch in _rows(shards, names, count):
        parts = [numbers(batch.column(name), f"{where}, column '{name}'", done) for name in names]
        # Single numbers are floats or wide integers: a column that happens to be of type uint8 is no pixel.
        kind = np.result_type(np.int16, *parts)
        block = parts[0] if columns.listed else np.stack(parts, axis=1, dtype=kind, casting="unsafe")
        if values is None:
            kind = np.float32 if block.dtype.kind == "f" else block.dtype
            values = allocate((count, *block.shape[1:]), kind)
        if block.shape[1:] != values.shape[1:]:
            what = f"lists of {block.shape[1:]} numbers from row {done} on, and of {values.shape[1:]} before"
            raise DataError(what, where=f"{where}, column '{names[0]}'", fix="All examples need one shape")
        with np.errstate(over="ignore"):  # infinity is reported with its row, once all are read
            values[done : done + len(block)] = block
        done += len(block)
    if values is None or done != count:
        raise DataError(f"{count} rows announced, {done} found", where=where, fix="Write the data set again")
    shape = _shape(shards[0].schema, where) if columns.listed else None
    return values.reshape(count, *shape) if shape and math.prod(shape) == math.prod(values.shape[1:]) else values


def _shape(schema: pa.Schema, where: str) -> tuple[int, ...] | None:
    text = (schema.metadata or {}).get(b"shape")
    if text is None:
        return None
    try:
        shape = tuple(int(side) for side in json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        what = f"schema metadata shape={text!r} is not a list"
        raise DataError(what, where=where, fix="Write it as [1,128]") from error
    return shape if all(side > 0 for side in shape) else None


def _class_names(schema: pa.Schema, label: str | None) -> tuple[str, ...] | None:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return None  # the metadata is optional, and other programs write what they like into it
    return tuple(map(str, names)) if isinstance(names, list) and names else None
