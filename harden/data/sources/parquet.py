"""Parquet: a file, a folder of files, or a pattern such as ``data/train-*.parquet``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from harden.data.sources.base import Examples, Request, digest_shards, one_split, unreadable
from harden.data.tables import Shard, read_table

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ACCEPTS = ".parquet (a file, a folder or a pattern) with image or number columns and a label column"


def accepts(source: str) -> bool:
    """Whether the source is a .parquet file, a folder that holds some, or a pattern that finds some."""
    return bool(_files(source))


def _files(source: str) -> list[Path]:
    path = Path(source)
    if path.is_dir():
        return sorted(path.glob("*.parquet"))
    if path.suffix.lower() != ".parquet":
        return []
    if path.is_file() or not path.parent.is_dir():
        return [path] if path.is_file() else []
    return sorted(entry for entry in path.parent.iterdir() if fnmatch(entry.name, path.name))


def read(source: str, request: Request) -> Examples:
    """Read images or numbers, and labels, in the order of the files' names and rows.

    Raises:
        DataError: A file is no parquet, columns are missing or ambiguous, or an item cannot be read.
    """
    import pyarrow.parquet as pq

    paths = _files(source)
    one_split(source, paths)
    with contextlib.ExitStack() as stack, unreadable("parquet", source):
        files = [stack.enter_context(pq.ParquetFile(path)) for path in paths]
        shards = [_shard(path, file) for path, file in zip(paths, files, strict=True)]
        return read_table(shards, source, request, lambda: digest_shards(paths))


def _shard(path: Path, file: pq.ParquetFile) -> Shard:
    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        return file.iter_batches(batch_size=1024, columns=columns)

    return Shard(str(path), file.schema_arrow, file.metadata.num_rows, batches, path.parent)
