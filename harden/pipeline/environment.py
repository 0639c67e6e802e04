"""Where a run was made: versions and machine, for the report."""

from __future__ import annotations

import importlib.metadata
import platform

from harden import __version__
from harden.records import Environment

_PACKAGES = ("torch", "onnx", "onnxruntime", "timm", "numpy", "scipy")


def environment(threads: int) -> Environment:
    """Versions of what computes, and the machine it computed on."""
    return Environment.model_validate(
        {
            "harden": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
            "platform": platform.platform(),
            "processor": platform.machine(),
            "threads": threads,
        }
    )
