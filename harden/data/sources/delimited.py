"""Text tables, ``.csv`` and ``.tsv``: a header, a column of labels, and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harden.data.sources.base import Examples, Request, digest_file, unreadable
from harden.data.tables import Shard, read_table

if TYPE_CHECKING:
    import pyarrow as pa

ACCEPTS = ".csv or .tsv with a header, a label column and columns of numbers"
DELIMITERS = {".csv": ",", ".tsv": "\t"}


def accepts(source: str) -> bool:
    """Whether the source is a file with one of the endings."""
    return Path(source).suffix.lower() in DELIMITERS and Path(source).is_file()


def read(source: str, request: Request) -> Examples:
    """Read the columns of numbers as features, in the order of the header.

    Raises:
        DataError: The file is no table, a column holds text, a number or the label column is missing.
    """
    from pyarrow import csv

    path = Path(source)
    with unreadable("table", source):
        options = csv.ParseOptions(delimiter=DELIMITERS[path.suffix.lower()])
        table = csv.read_csv(path, parse_options=options)

        def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
            return iter(table.select(columns).to_batches(max_chunksize=1024))

        shard = Shard(source, table.schema, table.num_rows, batches, path.parent)
        return read_table([shard], source, request, lambda: digest_file(path))
