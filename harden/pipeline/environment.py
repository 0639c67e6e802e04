"""Where a run was made, and how to make it again: versions, machine, command line."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex

from harden import __version__
from harden.records import Environment
from harden.settings import Settings

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


def command_line(command: str, settings: Settings) -> str:
    """The line that gives the same numbers: every setting that was given, but the folder.

    Args:
        command: ``fit``, ``eval`` or ``compare``.
        settings: The run's settings.
    """
    words = ["harden", command, settings.model, *getattr(settings, "others", ())]
    for name in sorted(settings.model_fields_set - {"model", "others", "out"}):
        value = getattr(settings, name)
        flag = "--" + name.replace("_", "-")
        if name == "options":
            words += [part for key, option in value.items() for part in ("-o", f"{key}={option}")]
        elif isinstance(value, bool):
            words += [flag] if value else []
        elif isinstance(value, tuple) and all(isinstance(text, str) for text in value):
            words += [part for text in value for part in (flag, text)]
        elif isinstance(value, tuple):
            words += [flag, ",".join(f"{number:g}" for number in value)]
        elif value is not None:
            words += [flag, str(value)]
    return shlex.join(words)
