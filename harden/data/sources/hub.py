"""Data sets of the Hugging Face hub: ``hf:NAME:SPLIT`` or ``hf:NAME@CONFIG:SPLIT``; needs the extra ``datasets``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harden.data.sources.base import Examples, Request, digest_file, digest_files, unreadable
from harden.data.tables import Shard, read_table
from harden.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow as pa

ACCEPTS = "hf:NAME[@CONFIG]:SPLIT"


def accepts(source: str) -> bool:
    """Whether the source begins with ``hf:``."""
    return source.startswith("hf:")


def read(source: str, request: Request) -> Examples:
    """Download a split into the cache of ``datasets``, and read it as a table.

    Raises:
        MissingExtraError: The package ``datasets`` is not installed.
        DataError: No split is named, or the data set cannot be loaded.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("reading from the Hugging Face hub", "datasets") from error
    path, _, split = source.removeprefix("hf:").partition(":")
    name, _, config = path.partition("@")
    if not name or not split:
        raise DataError("name the data set and the split", where=source, fix="Such as hf:ylecun/mnist:test")
    with unreadable("data set of the hub", source, "Check the name, the split and the connection"):
        # What its batches are depends on the format, which its types do not know.
        loaded: Any = datasets.load_dataset(name, config or None, split=split).with_format("arrow")

        def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
            for table in loaded.select_columns(columns).iter(batch_size=1024):
                yield table.combine_chunks().to_batches()[0]

        shard = Shard(source, loaded.features.arrow_schema, len(loaded), batches)
        cached = [Path(entry["filename"]) for entry in loaded.cache_files]
        return read_table(
            [shard], source, request, lambda: digest_files((source, digest_file(path)) for path in cached)
        )
