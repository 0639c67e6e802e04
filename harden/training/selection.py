"""Scores of a network on validation chips. They choose among checkpoints; reported numbers never come from here."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from harden import distributed
from harden.data.dataset import Dataset
from harden.errors import DataError
from harden.evaluation.custom import apply_metrics, load_metrics, measure_of
from harden.graph.file import Model
from harden.graph.module import GraphModule
from harden.statistics.requirements import METRIC
from harden.streams import numpy_generator
from harden.tasks import Task, task_of
from harden.training.batches import as_labels, as_tensors
from harden.training.microbatches import cut
from harden.training.periphery import TrainingPeriphery
from harden.training.plan import TrainingPlan
from harden.training.teachers import Targets, frozen_copy

_BATCH = 250


class Selector:
    """Mean score over a fixed set of validation chips: stream ``"select"``, the same for every candidate.

    The task says what the score is: with class numbers the accuracy or, with ``plan.select``, the balanced accuracy;
    without labels the concordance with the clean network's outputs, at most 1.

    Args:
        net: The network to judge, with whatever weights it has when asked; it gives what the task looks at.
        data: Validation examples; at most ``plan.selection_examples`` of them are used.
        plan: Conditions, chips, seed.
        task: What the network is for.
        reference: A frozen copy of the network as given, where the task needs one.
        periphery: Sets the converters that stand around each chip's layers; None for none.

    Attributes:
        measure: Name of the score: ``"accuracy"``, ``"balanced_accuracy"``, ``"concordance"``, ...

    Raises:
        DataError: There is nothing to judge by.
        SettingsError: The task has no such score.
    """

    def __init__(
        self,
        net: GraphModule,
        data: Dataset,
        plan: TrainingPlan,
        task: Task,
        reference: GraphModule | None = None,
        periphery: TrainingPeriphery | None = None,
    ) -> None:
        if len(data) == 0:
            raise DataError("the validation data is empty", where=str(data.source), fix="Give more training examples")
        if data.labels is None and task.labelled:
            raise DataError("the validation data has no labels", where=str(data.source), fix="Use --objective match")
        self._net = net
        self.periphery = periphery
        self._plan = plan
        self._metric = load_metrics([plan.select]) if ":" in plan.select else {}
        self.measure = METRIC if self._metric else task.selected(plan.select)
        rng = numpy_generator(plan.seed, "select", "examples")
        order = task.order_of(rng.permutation(len(data)), self.measure, data.labels)
        chosen = np.sort(order[: plan.selection_examples or _examples(data.input_shape)])
        parts = [chosen[i : i + _BATCH] for i in range(0, len(chosen), _BATCH)]
        self._inputs = [as_tensors(data.feed(part), plan.device) for part in parts]
        labels = [None if data.labels is None else as_labels(data.labels[part], plan.device) for part in parts]
        known = [part for part in labels if part is not None]
        self._tally = None if self._metric else task.selection(self.measure, known)
        self._names = [head.name for head in task.heads]
        self._labels = None if data.labels is None else data.labels[chosen]
        targets = Targets(task, reference)
        self._targets = [targets(*pair) for pair in zip(self._inputs, labels, strict=True)]

    def divide(self) -> bool:
        """Take half as many examples at a time from now on; False where it is one already."""
        if max(len(inputs[0]) for inputs in self._inputs) < 2:
            return False
        halves = [
            (cut(inputs, len(inputs[0]), half), cut(targets, len(inputs[0]), half))
            for inputs, targets in zip(self._inputs, self._targets, strict=True)
            for half in _halves(len(inputs[0]))
        ]
        self._inputs, self._targets = [list(parts) for parts in zip(*halves, strict=True)]
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
                if self._tally is None:
                    return self._by_metric(weights)
                tally = self._tally()
                for inputs, targets in zip(self._inputs, self._targets, strict=True):
                    tally.add(self._net(*inputs, weights=weights), targets, len(inputs[0]))
                return tally.value()
        finally:
            self._net.train(training)

    def _by_metric(self, weights: Mapping[str, Tensor] | None) -> float:
        """What the user's metric says of the outputs as the file gives them; more is better."""
        passes = [self._net(*inputs, weights=weights, taps=self._names)[1] for inputs in self._inputs]
        outputs = {name: np.concatenate([part[name].cpu().numpy() for part in passes]) for name in self._names}
        inputs = [np.concatenate([each.cpu().numpy() for each in parts]) for parts in zip(*self._inputs, strict=True)]
        named = dict(zip(self._net.input_names, inputs, strict=True))
        ((name, metric),) = self._metric.items()
        return measure_of(name, metric).sign * apply_metrics(self._metric, outputs, self._labels, lambda: named)[name]


def noise_free_score(model: Model, data: Dataset, plan: TrainingPlan) -> float:
    """The score of a model without noise, on the validation examples that a run of the plan is judged by."""
    task = task_of(plan.task, model, data)
    clean = frozen_copy(model, plan.device, task.outputs) if task.needs_clean else None
    return Selector(model.module(task.outputs).to(plan.device), data, plan, task, clean).on(None)


def _examples(shape: tuple[int, ...]) -> int:
    """How many examples judge by default: as much work as 1000 small images, but no fewer than 128.

    Example:
        >>> _examples((3, 32, 32)), _examples((3, 224, 224)), _examples((6,))
        (1000, 128, 1000)
    """
    pixels = math.prod(shape[-2:]) if len(shape) == 3 else 1
    return max(128, min(1000, 1000 * 64 * 64 // max(pixels, 1)))


def _halves(size: int) -> list[slice]:
    """The two halves of so many examples, or the one example."""
    return [slice(0, size)] if size < 2 else [slice(0, size // 2), slice(size // 2, size)]
