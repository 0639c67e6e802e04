"""A folder that ``datasets.Dataset.save_to_disk`` wrote; read without the package ``datasets``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from harden.data.sources.base import Examples, Request, digest_shards, unreadable
from harden.data.tables import Shard, read_table
from harden.errors import DataError
from harden.parsing import parse_json, read_text

ACCEPTS = "a folder that datasets.Dataset.save_to_disk wrote"
STATE, SPLITS = "state.json", "dataset_dict.json"


def accepts(source: str) -> bool:
    """Whether the source is such a folder, of one split or of several."""
    folder = Path(source)
    return folder.is_dir() and ((folder / STATE).is_file() or (folder / SPLITS).is_file())


def read(source: str, request: Request) -> Examples:
    """Read the rows in their order.

    Raises:
        DataError: The folder holds several splits, a file of it is missing or broken, or an item cannot be read.
    """
    folder = Path(source)
    with unreadable("save_to_disk folder", source):
        if (folder / SPLITS).is_file():
            splits = parse_json(read_text(folder / SPLITS), str(folder / SPLITS))["splits"]
            raise DataError(
                f"it holds several splits: {', '.join(splits)}", where=source, fix=f"Name one: {folder / splits[0]}"
            )
        state = parse_json(read_text(folder / STATE), str(folder / STATE))
        if state.get("_indices_data_files"):
            raise DataError("its rows are reordered by an index", where=source, fix="Save flatten_indices() of it")
        paths = [folder / entry["filename"] for entry in state["_data_files"]]
        if not paths:
            raise DataError("no rows", where=source, fix="Give a data set with at least one example")
        return read_table([_shard(path) for path in paths], source, request, lambda: digest_shards(paths))


def _shard(path: Path) -> Shard:
    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        with _open(path) as reader:
            for batch in reader:
                for start in range(0, batch.num_rows, 1024):
                    yield batch.slice(start, 1024).select(columns)

    with _open(path) as reader:
        return Shard(str(path), reader.schema, sum(batch.num_rows for batch in reader), batches, path.parent)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[pa.RecordBatchReader]:
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        yield reader
