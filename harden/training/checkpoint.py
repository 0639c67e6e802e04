"""The tensors that a training run is made of, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from harden.errors import InputError, RunFolderError
from harden.store import write_atomic


@dataclass(frozen=True)
class Snapshot:
    """A moment of a run.

    Attributes:
        progress: What happened so far; plain data.
        tensors: Every tensor that decides what happens next.
        best: The network's tensors of the best selection so far.
    """

    progress: dict[str, Any]
    tensors: dict[str, Tensor]
    best: Mapping[str, Tensor]


class Tensors:
    """The live tensors of a run: the network's, the method's own parameters, and the optimizer's state.

    Args:
        net: The network; parameters and buffers belong to the state.
        extra: The method's training-only parameters.
        optimizer: Its state belongs to these parameters.
    """

    def __init__(
        self, net: torch.nn.Module, extra: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        self._net = {**dict(net.named_parameters()), **dict(net.named_buffers())}
        self._trained = {**dict(net.named_parameters()), **extra}
        self._extra = dict(extra)
        self._optimizer = optimizer

    def copy(self) -> dict[str, Tensor]:
        """A copy of all of them, by name."""
        tensors = {f"net/{name}": tensor for name, tensor in self._net.items()}
        tensors |= {f"extra/{name}": tensor for name, tensor in self._extra.items()}
        for name, parameter in self._trained.items():
            kept = self._optimizer.state.get(parameter, {})
            tensors |= {f"optimizer/{key}/{name}": v for key, v in kept.items() if isinstance(v, Tensor)}
        return {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def network(self) -> dict[str, Tensor]:
        """A copy of the network's tensors."""
        return {name: tensor.detach().clone() for name, tensor in self._net.items()}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put a copy back, bit for bit."""
        self._optimizer.state.clear()
        for name, value in tensors.items():
            part, _, rest = name.partition("/")
            if part == "net":
                self._net[rest].copy_(value)
            elif part == "extra":
                self._extra[rest].copy_(value)
            else:
                key, _, parameter = rest.partition("/")
                self._optimizer.state[self._trained[parameter]][key] = value.clone()

    @torch.no_grad()
    def restore_network(self, tensors: Mapping[str, Tensor]) -> None:
        """Put the network's tensors back, bit for bit."""
        for name, value in tensors.items():
            self._net[name].copy_(value)


def write(path: Path, snapshot: Snapshot, plan: str) -> None:
    """Write a checkpoint atomically: safetensors, with the run's progress as JSON in the metadata.

    Args:
        path: The file.
        snapshot: What to keep.
        plan: Digest of the plan, so that no other plan picks the file up.
    """
    tensors = snapshot.tensors | {f"best/{name}": value for name, value in snapshot.best.items()}
    metadata = {"harden.plan": plan, "harden.progress": json.dumps(snapshot.progress)}
    write_atomic(path, save({name: value.contiguous() for name, value in tensors.items()}, metadata=metadata))


def read(path: Path, plan: str) -> Snapshot:
    """Read a checkpoint.

    Raises:
        InputError: The file is no checkpoint of harden.
        RunFolderError: It belongs to a run with another plan.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no iterator of its own)
    except (OSError, SafetensorError) as error:
        raise InputError(
            "the checkpoint cannot be read", where=str(path), fix="Delete it to start the training anew"
        ) from error
    if metadata.get("harden.plan") != plan:
        raise RunFolderError(
            "the checkpoint belongs to a run with other settings", where=str(path), fix="Choose another run folder"
        )
    best = {name.removeprefix("best/"): value for name, value in tensors.items() if name.startswith("best/")}
    rest = {name: value for name, value in tensors.items() if not name.startswith("best/")}
    return Snapshot(json.loads(metadata["harden.progress"]), rest, best)
