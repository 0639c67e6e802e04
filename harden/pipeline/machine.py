"""What this machine computes with, and how to make a run again: devices, threads, versions, command line."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from typing import Literal

from harden import __version__, distributed
from harden.engines import Engine
from harden.errors import SettingsError
from harden.evaluation.layout import available_cores
from harden.evaluation.where import Where
from harden.records import Environment
from harden.runtime.sessions import choose_device
from harden.settings import CompareSettings, EvalSettings, Settings

_PACKAGES = ("torch", "onnx", "onnxruntime", "timm", "numpy", "scipy")


def drawn_on(settings: Settings) -> str | None:
    """The kind of device whose own family of streams chips are drawn from; None is the usual family.

    Raises:
        SettingsError: The device is not there.
    """
    return choose_device(settings.device) if settings.draw == "device" else None


def trained_on(device: str) -> Literal["cpu", "cuda"]:
    """The kind of device that a network is trained on: what ``--device`` says; ``auto`` is a GPU where torch has one.

    Raises:
        SettingsError: A GPU is wanted, and torch has none.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise SettingsError(
            "torch finds no GPU here", where="--device cuda", fix="Install torch for CUDA, or leave --device out"
        )
    return "cuda" if has_gpu and device != "cpu" else "cpu"


def thread_count(settings: Settings) -> int:
    """The processor threads of a run: ``--threads``, or all cores this process may use.

    Processes that a launcher has started on one machine share its cores.
    """
    return settings.threads or max(1, available_cores() // distributed.neighbours())


def where_of(settings: EvalSettings | CompareSettings, engine: Engine | None = None) -> Where:
    """Where the chips of ``harden eval`` and ``harden compare`` run."""
    return Where(thread_count(settings), engine, settings.device, settings.batch_size, settings.digital)


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
