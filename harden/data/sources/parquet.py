"""Parquet files, one or a folder of them: images as the Hugging Face hub stores them, or lists of numbers.

Schema metadata that is understood: ``huggingface`` (the names of the classes) and ``shape`` (such as ``[1,128]``: the
shape of one example, where the file can only hold a flat list).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harden.data.columns import Columns, choose, numbers
from harden.data.images import Item, decode_all
from harden.data.sources.base import Examples, Request, digest_file, digest_files
from harden.errors import DataError, HardenError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ACCEPTS = ".parquet (a file or a folder of them) with image or number columns and a label column"


def accepts(source: str) -> bool:
    """Whether the source is a .parquet file or a folder that holds some."""
    path = Path(source)
    return (path.suffix.lower() == ".parquet" and path.is_file()) or (path.is_dir() and any(path.glob("*.parquet")))


def read(source: str, request: Request) -> Examples:
    """Read images or numbers, and labels, in the order of the files' names and rows.

    Raises:
        DataError: A file is no parquet, columns are missing or ambiguous, or an item cannot be read.
    """
    path = Path(source)
    shards = [path] if path.is_file() else sorted(path.glob("*.parquet"))
    try:
        return _read(source, shards, request)
    except HardenError:
        raise
    except Exception as error:  # pyarrow raises ArrowException, OSError, ValueError, ... on broken bytes
        what = f"unreadable parquet: {' '.join(str(error).split()) or type(error).__name__}"
        raise DataError(what[:300], where=source, fix="Write the file again, or check that it is parquet") from error


def _read(source: str, shards: list[Path], request: Request) -> Examples:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [pq.ParquetFile(shard) for shard in shards]
    try:
        schema = files[0].schema_arrow
        for shard, file in zip(shards, files, strict=True):
            if file.schema_arrow.names != schema.names or file.schema_arrow.types != schema.types:
                what = f"its columns differ from those of {shards[0].name}"
                raise DataError(what, where=str(shard), fix="Keep splits and data sets in folders of their own")
        columns = choose(schema, source, labelled=request.labelled)
        count = request.count(sum(file.metadata.num_rows for file in files))
        if count == 0:
            raise DataError("no rows", where=source, fix="Give a data set with at least one example")
        labels = None
        if columns.label:
            labels = pa.chunked_array(_column(files, columns.label, count))
            labels = _decoded(labels).to_numpy(zero_copy_only=False)
        if columns.image:
            items = _items(shards, files, columns.image, count)
            values = decode_all(items, count, request.preprocess, request.progress)
        else:
            values = _values(files, columns, count, source)
    finally:
        for file in files:
            file.close()
    single = len(shards) == 1
    return Examples(
        values=values,
        labels=labels,
        labels_where=f"{source}, column '{columns.label}'",
        sha256=digest_file(shards[0]) if single else digest_files((shard.name, digest_file(shard)) for shard in shards),
        class_names=_class_names(schema, columns.label),
        images=columns.image is not None,
    )


def _batches(files: list[pq.ParquetFile], columns: list[str], count: int) -> Iterator[tuple[int, int, pa.RecordBatch]]:
    """(index of the file, first row in it, rows), a thousand rows at a time, until ``count`` rows in all."""
    left = count
    for index, file in enumerate(files):
        first = 0
        for batch in file.iter_batches(batch_size=1024, columns=columns):
            if left <= 0:
                return
            yield index, first, batch.slice(0, left)
            first += batch.num_rows
            left -= batch.num_rows


def _column(files: list[pq.ParquetFile], name: str, count: int) -> list[pa.Array]:
    return [batch.column(name) for _, _, batch in _batches(files, [name], count)]


def _decoded(labels: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return labels.cast(labels.type.value_type) if pa.types.is_dictionary(labels.type) else labels


def _items(shards: list[Path], files: list[pq.ParquetFile], name: str, count: int) -> Iterator[Item]:
    for index, first, batch in _batches(files, [name], count):
        for offset, value in enumerate(batch.column(name).to_pylist()):
            yield _item(value, shards[index], first + offset)


def _item(value: Any, shard: Path, row: int) -> Item:
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    where = f"{shard}, row {row}" + (f" ({path})" if path else "")
    if isinstance(data, bytes) and data:
        return Item(where, data)
    if path and (shard.parent / path).is_file():
        return Item(where, shard.parent / path)
    raise DataError("the image is missing", where=where, fix="Remove the row, or store the image's bytes in it")


def _values(files: list[pq.ParquetFile], columns: Columns, count: int, source: str) -> np.ndarray:
    names = list(columns.values)
    blocks, done = [], 0
    for _, _, batch in _batches(files, names, count):
        parts = [numbers(batch.column(name), f"{source}, column '{name}'", done) for name in names]
        # Single numbers become floats: a column that happens to be of type uint8 is no pixel.
        blocks.append(parts[0] if columns.listed else np.stack(parts, axis=1, dtype=np.float32, casting="unsafe"))
        if blocks[-1].shape[1:] != blocks[0].shape[1:]:
            what = f"lists of {blocks[-1].shape[1:]} numbers from row {done} on, and of {blocks[0].shape[1:]} before"
            raise DataError(what, where=f"{source}, column '{names[0]}'", fix="All examples need one shape")
        done += batch.num_rows
    values = np.concatenate(blocks)
    shape = _shape(files[0].schema_arrow, source) if columns.listed else None
    if shape and int(np.prod(shape)) == int(np.prod(values.shape[1:])):
        values = values.reshape(count, *shape)
    return values


def _shape(schema: pa.Schema, source: str) -> tuple[int, ...] | None:
    text = (schema.metadata or {}).get(b"shape")
    if text is None:
        return None
    try:
        return tuple(int(side) for side in json.loads(text))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"schema metadata shape={text!r} is no list", where=source, fix="Write it as [1,128]"
        ) from error


def _class_names(schema: pa.Schema, label: str | None) -> tuple[str, ...] | None:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, ValueError, TypeError):
        return None  # the metadata is optional, and other programs write what they like into it
    return tuple(map(str, names)) if isinstance(names, list) and names else None
