"""The most memory that this process has held so far, on every system."""

from __future__ import annotations

import sys


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
