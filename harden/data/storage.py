"""Where decoded examples live: in memory, and past a size in a temporary file that the system maps into memory."""

from __future__ import annotations

import math
import os
import shutil
import tempfile

import numpy as np
from numpy.typing import DTypeLike

from harden.errors import DataError

IN_MEMORY = 1 << 30  # bytes; larger sets go to a temporary file


def allocate(shape: tuple[int, ...], dtype: DTypeLike, in_memory: int | None = None) -> np.ndarray:
    """An array to be filled.

    Args:
        shape: Its shape.
        dtype: Its numpy type.
        in_memory: Largest size in bytes that is kept in memory; 1 GiB by default. Larger arrays are backed by a
            nameless temporary file, which the system removes with the process, however it ends.

    Raises:
        DataError: The disk has no room for the temporary file.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= (IN_MEMORY if in_memory is None else in_memory):
        return np.empty(shape, dtype)
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    # Writing to a mapped file on a full disk kills the process: check the room first and, where possible, reserve it.
    if size > free:
        what = f"the decoded data needs {size / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free"
        raise DataError(what, fix="Set TMPDIR to a larger disk, or use --limit")
    with tempfile.TemporaryFile(prefix="harden-") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)
