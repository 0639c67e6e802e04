"""Keep freed memory for the next step instead of handing it back to the operating system.

A step frees what it allocated, hundreds of megabytes. glibc returns that to the kernel at once, and the next step pays
for every page again: a fault, and 4 KiB of zeros. Methods with several graphs alive pay most. Torch has no setting for
it on processors, so the C library's own is used; where that is another library, nothing is changed.

Source: mallopt(3); ``benchmarks/methods_bench.py --malloc default`` shows the difference.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# mallopt(3): the parameter's number, its value while training, and the value that glibc works its way up to by itself.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_WHILE_TRAINING = {_TRIM_THRESHOLD: -1, _MMAP_MAX: 0}
_AFTERWARDS = {_TRIM_THRESHOLD: 64 << 20, _MMAP_MAX: 65536}


@contextmanager
def pages_kept() -> Iterator[bool]:
    """Within this block freed memory stays with the process; afterwards all that is free goes back.

    Yields:
        Whether the C library could be told.
    """
    library = _glibc()
    if library is None:
        yield False
        return
    try:
        yield _set(library, _WHILE_TRAINING)
    finally:
        _set(library, _AFTERWARDS)
        library.malloc_trim(0)


def _set(library: Any, values: dict[int, int]) -> bool:
    taken = [library.mallopt(name, value) == 1 for name, value in values.items()]
    return all(taken)


@cache
def _glibc() -> Any:
    """The C library of this process, if it is glibc; None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  (only glibc has it)
    except (OSError, AttributeError):
        return None
    return library
