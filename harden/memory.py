"""How much memory a run may take, and how to tell that it did not suffice.

``--max-memory`` sets the operating system's limit on this process's data (RLIMIT_DATA), so that an allocation fails
instead of the whole machine: then smaller parts of a batch are tried, or fewer workers. Linux only.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator

from harden.errors import HardenError, SettingsError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
# What torch, numpy, ONNX Runtime, C++ and the operating system say.
_SAID = re.compile(
    r"not enough memory|can't allocate memory|cannot allocate memory|failed to allocate memory|out of memory"
    r"|unable to allocate|bad_alloc|bad allocation",
    re.IGNORECASE,
)

SMALLER = "Give a smaller --batch-size or --input-size, or allow more with --max-memory"


class OutOfMemoryError(HardenError):
    """Memory does not suffice, even for the smallest batch."""

    exit_code = 3


def amount(text: str) -> int:
    """Bytes that a text such as ``8GB`` or ``512MiB`` means.

    Raises:
        ValueError: It means none.

    Example:
        >>> amount("8GB"), amount("1.5 GiB")
        (8000000000, 1610612736)
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i?)?B?\s*", text, re.IGNORECASE)
    units = {name.lower(): factor for name, factor in _UNITS.items()}
    if match is None or float(match[1]) <= 0:
        raise ValueError("write a number and a unit, such as 8GB or 512MiB")
    return int(float(match[1]) * units[(match[2] or "").lower()])


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is a failed allocation.

    Example:
        >>> out_of_memory(MemoryError()), out_of_memory(ValueError("out of memory"))
        (True, False)
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, (MemoryError, OutOfMemoryError)) or type(error).__name__ == "OutOfMemoryError":
            return True
        foreign = isinstance(error, RuntimeError) or type(error).__module__.startswith("onnxruntime")
        if foreign and _SAID.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def limited(most: str | None) -> Iterator[None]:
    """Within this block the process may not hold more data than ``most``; None is no limit.

    Raises:
        SettingsError: The limit cannot be set here, or is below what the process holds already.
    """
    if most is None:
        yield
        return
    if not sys.platform.startswith("linux"):
        raise SettingsError(
            "--max-memory needs Linux: no other system limits a process's data", fix="Give a smaller --batch-size"
        )
    import resource

    wanted, held = amount(most), _held()
    if wanted <= held:
        raise SettingsError(
            f"--max-memory {most} is less than the {held / 1e9:.1f} GB that the program needs to begin",
            fix="Allow more, or leave it out",
        )
    before = resource.getrlimit(resource.RLIMIT_DATA)
    hard = before[1]
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _held() -> int:
    """Bytes of data that this process holds now."""
    with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123
        line = next(line for line in file if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024


def peak_memory_bytes() -> int | None:
    """The largest resident size of this process since it began, in bytes; None where the system does not tell."""
    if sys.platform == "win32":
        return _windows()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def _windows() -> int | None:
    """PeakWorkingSetSize of ``GetProcessMemoryInfo``."""
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = [
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            *[
                (name, ctypes.c_size_t)
                for name in (
                    "PeakWorkingSetSize",
                    "WorkingSetSize",
                    "QuotaPeakPagedPoolUsage",
                    "QuotaPagedPoolUsage",
                    "QuotaPeakNonPagedPoolUsage",
                    "QuotaNonPagedPoolUsage",
                    "PagefileUsage",
                    "PeakPagefileUsage",
                )
            ],
        ]

    counters = Counters(cb=ctypes.sizeof(Counters))
    windll = ctypes.windll  # pyright: ignore[reportAttributeAccessIssue]
    windll.kernel32.GetCurrentProcess.restype = wintypes.HANDLE
    process = windll.kernel32.GetCurrentProcess()
    done = windll.psapi.GetProcessMemoryInfo(wintypes.HANDLE(process), ctypes.byref(counters), counters.cb)
    return int(counters.PeakWorkingSetSize) if done else None
