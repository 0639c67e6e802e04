"""From settings to what this machine computes with."""

from __future__ import annotations

from typing import Literal

from harden import distributed
from harden.errors import SettingsError
from harden.evaluation.layout import available_cores
from harden.runtime.sessions import choose_device
from harden.settings import Settings


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
