"""Scores of a network on validation chips. They choose among checkpoints; reported numbers never come from here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from harden import distributed
from harden.data.dataset import Dataset
from harden.errors import DataError
from harden.graph.file import Model
from harden.graph.module import GraphModule
from harden.methods.base import Outputs, each, listed
from harden.streams import numpy_generator
from harden.training.batches import as_labels, as_tensors
from harden.training.concordance import Concordance
from harden.training.periphery import TrainingPeriphery
from harden.training.plan import TrainingPlan
from harden.training.tasks import first

_BATCH = 250


class Selector:
    """Mean score over a fixed set of validation chips: stream ``"select"``, the same for every candidate.

    With labels the score is the accuracy, or with ``plan.select`` the balanced accuracy: the mean recall of the classes
    among the examples, to which rare classes then contribute as many as common ones, as far as they go. Without labels
    it is the concordance with the clean network's outputs (:class:`Concordance`), mean over outputs, at most 1.

    Args:
        net: The network to judge, with whatever weights it has when asked.
        data: Validation examples; at most ``plan.selection_examples`` of them are used.
        plan: Conditions, chips, seed.
        reference: The clean network, where there are no labels.
        periphery: Sets the converters that stand around each chip's layers; None for none.

    Raises:
        DataError: There is nothing to judge by.
    """

    def __init__(
        self,
        net: GraphModule,
        data: Dataset,
        plan: TrainingPlan,
        reference: GraphModule | None = None,
        periphery: TrainingPeriphery | None = None,
    ) -> None:
        if len(data) == 0:
            raise DataError("the validation data is empty", where=str(data.source), fix="Give more training examples")
        if reference is None and data.labels is None:
            raise DataError("the validation data has no labels", where=str(data.source), fix="Use --objective match")
        self._net = net
        self.periphery = periphery
        self._plan = plan
        rng = numpy_generator(plan.seed, "select", "examples")
        balanced = reference is None and plan.select == "balanced_accuracy"
        order = rng.permutation(len(data))
        labels = np.empty(0, np.int64) if data.labels is None else data.labels
        order = class_by_class(order, labels) if balanced else order
        chosen = np.sort(order[: plan.selection_examples or _examples(data.input_shape)])
        parts = [chosen[i : i + _BATCH] for i in range(0, len(chosen), _BATCH)]
        self._inputs = [as_tensors(data.feed(part), plan.device) for part in parts]
        self._score: Callable[[Outputs, int], float] | None = None
        if reference is None:
            self._labels = [as_labels(labels[part], plan.device) for part in parts]
            self._score = self._balanced_accuracy if balanced else self._accuracy
            # Right answers weighted with examples / (classes * examples of the class) have the mean recall as mean.
            counts = torch.bincount(torch.cat(self._labels)).double()
            self._shares = len(chosen) / (int((counts > 0).sum()) * counts.clamp(min=1))
        else:
            with torch.no_grad():
                self._reference = [reference(*inputs) for inputs in self._inputs]

    @property
    def measure(self) -> str:
        """Name of the score: ``"accuracy"``, ``"balanced_accuracy"`` or ``"concordance"``."""
        if self._score is None:
            return "concordance"
        return "accuracy" if self._score == self._accuracy else "balanced_accuracy"

    def divide(self) -> bool:
        """Take half as many examples at a time from now on; False where it is one already."""
        if max(len(inputs[0]) for inputs in self._inputs) < 2:
            return False
        halves = [(inputs, half) for inputs in self._inputs for half in _halves(len(inputs[0]))]
        counts = [len(_halves(len(inputs[0]))) for inputs in self._inputs]
        if self._score is not None:
            labels = [part for part, count in zip(self._labels, counts, strict=True) for _ in range(count)]
            self._labels = [part[half] for part, (_, half) in zip(labels, halves, strict=True)]
        else:
            reference = [part for part, count in zip(self._reference, counts, strict=True) for _ in range(count)]
            self._reference = [
                each(lambda x, half=half: x[half], part) for part, (_, half) in zip(reference, halves, strict=True)
            ]
        self._inputs = [tuple(x[half] for x in inputs) for inputs, half in halves]
        return True

    def chip(self, number: int, index: int) -> dict[str, Tensor]:
        """A validation chip of the network's present weights under the profile of this number, {key: tensor}."""
        condition = self._plan.conditions[number]
        with torch.no_grad():
            weights = self._net.analog_weights(self._plan.digital)
            path = ("select", number, index)
            return condition.profile.perturb(weights, seed=self._plan.seed, path=path, at_s=condition.at_s)

    def score(self) -> float:
        """Mean score of the network as it is now. Leaves it in the mode it was in."""
        scores = self.scores()
        return sum(scores) / len(scores)

    def scores(self) -> list[float]:
        """The score of each validation chip; processes that train together share the chips out."""

        def one(numbers: tuple[int, int]) -> float:
            if self.periphery is not None:
                self.periphery.use(numbers[0], "select", *numbers)
            return self.on(self.chip(*numbers))

        chips = [(i, chip) for i in range(len(self._plan.conditions)) for chip in range(self._plan.selection_chips)]
        return distributed.divided(chips, one)

    def on(self, weights: Mapping[str, Tensor] | None) -> float:
        """The score with these weights."""
        training = self._net.training
        self._net.eval()
        try:
            with torch.no_grad():
                outputs = (self._net(*inputs, weights=weights) for inputs in self._inputs)
                return self._concordance(outputs) if self._score is None else self._mean(self._score, outputs)
        finally:
            self._net.train(training)

    def _mean(self, score: Callable[[Outputs, int], float], outputs: Iterable[Outputs]) -> float:
        counts = [len(inputs[0]) for inputs in self._inputs]
        return sum(score(batch, i) * counts[i] for i, batch in enumerate(outputs)) / sum(counts)

    def _concordance(self, outputs: Iterable[Outputs]) -> float:
        concordances: dict[int, Concordance] = {}
        for inputs, reference, batch in zip(self._inputs, self._reference, outputs, strict=True):
            for number, (a, b) in enumerate(zip(listed(reference), listed(batch), strict=True)):
                if not a.is_floating_point():
                    continue
                by_example = a.dim() > 0 and len(a) == len(inputs[0])  # else each number stands for itself
                pair = (a, b) if by_example else (a.reshape(-1, 1), b.reshape(-1, 1))
                concordances.setdefault(number, Concordance()).add(*pair)
        return sum(concordance.value() for concordance in concordances.values()) / len(concordances)

    def _accuracy(self, outputs: Outputs, part: int) -> float:
        return float((first(outputs).argmax(-1) == self._labels[part]).double().mean())

    def _balanced_accuracy(self, outputs: Outputs, part: int) -> float:
        labels = self._labels[part]
        right = (first(outputs).argmax(-1) == labels).to(self._shares)
        return float((right * self._shares[labels.to(self._shares.device)]).mean())


def noise_free_score(model: Model, data: Dataset, plan: TrainingPlan) -> float:
    """The score of a model without noise, on the validation examples that a run of the plan is judged by."""
    if plan.objective == "match":
        return 1.0  # it is its own reference
    return Selector(model.module().to(plan.device), data, plan).on(None)


def _examples(shape: tuple[int, ...]) -> int:
    """How many examples judge by default: as much work as 1000 small images, but no fewer than 128.

    Example:
        >>> _examples((3, 32, 32)), _examples((3, 224, 224)), _examples((6,))
        (1000, 128, 1000)
    """
    pixels = math.prod(shape[-2:]) if len(shape) == 3 else 1
    return max(128, min(1000, 1000 * 64 * 64 // max(pixels, 1)))


def class_by_class(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """An order of examples in which the classes take turns: the first of each, the second of each, ...

    Example:
        >>> class_by_class(np.array([4, 0, 1, 2, 3]), np.array([0, 0, 0, 1, 0])).tolist()
        [4, 3, 0, 1, 2]
    """
    ranks = np.empty(len(order), np.int64)
    classes = labels[order]
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        ranks[members] = np.arange(len(members))
    return order[np.argsort(ranks, kind="stable")]


def _halves(size: int) -> list[slice]:
    """The two halves of so many examples, or the one example."""
    return [slice(0, size)] if size < 2 else [slice(0, size // 2), slice(size // 2, size)]
