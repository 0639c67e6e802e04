"""Which examples a step sees: a matter of the plan and the step's number only, so a resumed run sees the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
import torch

from harden import distributed
from harden.data.augment import augment
from harden.data.dataset import Dataset
from harden.errors import DataError, SettingsError
from harden.methods.base import Batch, Task
from harden.streams import numpy_generator
from harden.training.plan import TrainingPlan

_SMALL = 64


class _Augmentation(TypedDict):
    pad: int
    flip: bool


class Batches:
    """The training data as numbered batches.

    Args:
        data: The training examples.
        plan: Batch size, augmentation, seed, objective.
        task: How outputs are judged.
        targets: Makes the targets from inputs and labels; the labels themselves if None.

    Attributes:
        size: Examples per step.

    Raises:
        DataError: The data has no labels and the plan needs them.
        SettingsError: The processes that train together cannot share a batch equally.
    """

    def __init__(
        self,
        data: Dataset,
        plan: TrainingPlan,
        task: Task,
        targets: Callable[[tuple[torch.Tensor, ...], Any], Any] | None = None,
    ) -> None:
        if data.labels is None and plan.objective == "labels":
            raise DataError(
                "the training data has no labels", where=str(data.source), fix="Add labels, or use --objective match"
            )
        self.data = data
        self.task = task
        self.total = plan.total_steps(len(data))
        self._targets = targets
        self.size = min(plan.examples_per_step, len(data))
        if self.size % distributed.size():
            raise SettingsError(
                f"a batch of {self.size} examples cannot be divided equally among {distributed.size()} processes",
                where="--batch-size",
                fix=f"Give a multiple of {distributed.size()} that is not above the {len(data)} training examples",
            )
        self._seed = plan.seed
        self._device = plan.device
        self._augment = _augmentation(data, plan.augment)
        self._epoch: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def at(self, step: int) -> Batch:
        """The batch of a step, from 0; with :func:`harden.distributed.together`, this process's slice of it."""
        index, tensors = self._own(step)
        labels = None if self.data.labels is None else as_labels(self.data.labels[index], self._device)
        targets = labels if self._targets is None else self._targets(tensors, labels)
        return Batch(tensors, targets, self.task, self._seed, step, step / self.total)

    def inputs(self, step: int) -> tuple[torch.Tensor, ...]:
        """The inputs of that batch alone."""
        return self._own(step)[1]

    def _own(self, step: int) -> tuple[np.ndarray, tuple[torch.Tensor, ...]]:
        """This process's examples of a step, and their inputs."""
        places = distributed.own(np.arange(self.size))
        index = self.index(step)[places]
        inputs = self.data.feed(index)
        if self._augment is not None:
            rng, part = numpy_generator(self._seed, "augment", step), slice(places[0], places[-1] + 1)
            raw = augment(self.data.raw(index), rng, part=part, of=self.size, **self._augment)
            inputs = (self.data.normalise(raw), *inputs[1:])
        return index, as_tensors(inputs, self._device)

    def index(self, step: int) -> np.ndarray:
        """The examples of a step: every epoch is a fresh permutation, its incomplete last batch is left out."""
        per_epoch = len(self.data) // self.size
        epoch, place = divmod(step, per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, numpy_generator(self._seed, "shuffle", epoch).permutation(len(self.data)))
        return np.sort(self._epoch[1][place * self.size : (place + 1) * self.size])


def as_tensors(inputs: Sequence[np.ndarray], device: str = "cpu") -> tuple[torch.Tensor, ...]:
    """A network's inputs as tensors on a device."""
    return tuple(torch.from_numpy(np.asarray(part, order="C")).to(device) for part in inputs)


def as_labels(labels: np.ndarray, device: str = "cpu") -> torch.Tensor:
    """Labels [B, ...] as a tensor on a device: whole numbers, or single precision."""
    return torch.from_numpy(np.asarray(labels, np.float32 if labels.dtype.kind == "f" else np.int64)).to(device)


def _augmentation(data: Dataset, switch: str) -> _Augmentation | None:
    raw = data.raw(np.arange(1))
    if switch == "off" or not data.images or raw.dtype != np.uint8:
        return None
    height, width, channels = raw.shape[1:]
    if switch == "auto" and max(height, width) > _SMALL:
        return None
    # Grey images are mostly digits, letters and signs, which a mirror turns into others.
    return {"pad": max(1, min(height, width) // 8), "flip": channels == 3}
