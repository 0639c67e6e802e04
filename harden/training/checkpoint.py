"""The tensors that a training run is made of, and the file that keeps them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from harden.errors import InputError, RunFolderError
from harden.parsing import parse_json
from harden.store import write_atomic
from harden.training.state import Progress

_PROGRESS, _PLAN, _DIGEST = "progress", "harden.plan", "harden.sha256"


@dataclass(frozen=True)
class Snapshot:
    """A moment of a run.

    Attributes:
        progress: What happened so far; plain data.
        tensors: Every tensor that decides what happens next.
        best: The network's tensors of the best selection so far.
    """

    progress: Progress
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
            state = self._optimizer.state.get(parameter, {})
            tensors |= {f"optimizer/{key}/{name}": v for key, v in state.items() if isinstance(v, Tensor)}
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
                trained = self._trained[parameter]
                # Momenta are where their parameter is; AdamW's number of steps stays on the processor.
                self._optimizer.state[trained][key] = value.clone() if value.dim() == 0 else value.clone().to(trained)

    @torch.no_grad()
    def restore_network(self, tensors: Mapping[str, Tensor]) -> None:
        """Put the network's tensors back, bit for bit."""
        for name, value in tensors.items():
            self._net[name].copy_(value)


def write(path: Path, snapshot: Snapshot, plan: str) -> None:
    """Write a checkpoint atomically; the one before is kept beside it.

    Args:
        path: The file: safetensors, the run's progress as the bytes of a JSON text.
        snapshot: What to keep.
        plan: Digest of the plan, so that no other plan picks the file up.
    """
    tensors = snapshot.tensors | {f"best/{name}": value for name, value in snapshot.best.items()}
    tensors[_PROGRESS] = torch.frombuffer(bytearray(json.dumps(snapshot.progress).encode()), dtype=torch.uint8)
    tensors = {name: value.cpu().contiguous() for name, value in tensors.items()}
    put(path, save(tensors, metadata={_PLAN: plan, _DIGEST: _digest(tensors)}))


def put(path: Path, content: bytes) -> None:
    """Put a checkpoint in its place atomically; the one before is kept beside it."""
    if path.exists():
        path.replace(_previous(path))
    write_atomic(path, content)


def kept(path: Path) -> dict[str, bytes]:
    """The contents of the checkpoint and of the one before it, under the names they have in a run folder."""
    names = {path: Path("checkpoint.safetensors")}
    names |= {_previous(file): _previous(name) for file, name in names.items()}
    return {name.name: file.read_bytes() for file, name in names.items() if file.exists()}


def latest(path: Path, plan: str) -> Snapshot | None:
    """The last checkpoint that is whole: the file, or the one before it where the file is damaged or missing.

    Returns:
        The snapshot; None where no checkpoint was ever written.

    Raises:
        InputError: All that is left is damaged.
        RunFolderError: It belongs to a run with another plan.
    """
    damage: InputError | None = None
    for file in (path, _previous(path)):
        try:
            if file.exists():
                return read(file, plan)
        except InputError as error:
            damage = damage or error
    if damage is not None:
        raise damage
    return None


def read(path: Path, plan: str) -> Snapshot:
    """Read a checkpoint.

    Raises:
        InputError: The file is no checkpoint of harden, or its content is not what was written.
        RunFolderError: It belongs to a run with another plan.
    """
    fix = "Delete it to start the training anew"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no iterator of its own)
    except (OSError, SafetensorError) as error:
        raise InputError("the checkpoint cannot be read", where=str(path), fix=fix) from error
    if _PROGRESS not in tensors or metadata.get(_DIGEST) != _digest(tensors):
        raise InputError("the checkpoint is damaged: its digest does not fit", where=str(path), fix=fix)
    if metadata.get(_PLAN) != plan:
        raise RunFolderError(
            "the checkpoint belongs to a run with other settings", where=str(path), fix="Choose another run folder"
        )
    progress = parse_json(tensors.pop(_PROGRESS).numpy().tobytes(), str(path))
    best = {name.removeprefix("best/"): value for name, value in tensors.items() if name.startswith("best/")}
    rest = {name: value for name, value in tensors.items() if not name.startswith("best/")}
    return Snapshot(progress, rest, best)


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and numbers."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)  # view: numpy knows no bfloat16
    return digest.hexdigest()
