"""How a hardened network came about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from harden.records.base import Count, Digest, HasMean, Positive, Rate, Real, Record, always, sometimes
from harden.records.condition import AccuracySpread
from harden.records.evaluation import DataRecord


class SelectionRecord(Record):
    """A selection: how the weights of a step did on noisy validation chips. One of the measures is there."""

    step: Count | None = always("After which step; 0 is the network as given.")
    accuracy: Rate | None = sometimes("Mean accuracy over the chips; with labels.")
    balanced_accuracy: Rate | None = sometimes("The same of the balanced accuracy; with --select balanced_accuracy.")
    concordance: Rate | None = sometimes("Agreement with the clean network's outputs; without labels.")
    r2: Real | None = sometimes("Of a regression.")
    mean_average_precision: Rate | None = sometimes("Of several classes at a time.")
    micro_f1: Rate | None = sometimes("The same, with --select micro_f1.")
    macro_f1: Rate | None = sometimes("The same, with --select macro_f1.")
    metric: Real | None = sometimes("With --select metric: the user's first metric, negative where less is better.")

    @property
    def measure(self) -> str:
        """What is measured: ``accuracy``, ``balanced_accuracy`` or ``concordance``."""
        return next((key for key in self._keys if key != "step"), "accuracy")

    @property
    def score(self) -> float | None:
        """The measure's value."""
        return getattr(self, self.measure, None)


class FileCheck(Record):
    """What was checked before the file was called model.onnx."""

    examples: Count | None = always("Real inputs that torch and ONNX Runtime were compared on.")
    max_abs_error: Positive | None = always("Largest difference of an output between them.")
    max_rel_error: Positive | None = always("Largest difference relative to the outputs' size.")
    inert: tuple[str, ...] = always("Weights that move no output.", ())


class TrainingRecord(Record):
    """The training: steps, selections, time. A transform has levers, check and sha256 only."""

    steps: Count | None = sometimes("Steps of the history.")
    selected_step: Count | None = sometimes("The step whose weights were kept; 0 is the network as given.")
    seconds: Positive | None = sometimes("Time spent training and selecting, in s.")
    validation: tuple[SelectionRecord, ...] = sometimes("The selections, in order.", ())
    memory: str | None = sometimes("Where memory did not suffice for a batch in one: what was done instead.")
    examples: Count | None = sometimes("Training examples.")
    validation_examples: Count | None = sometimes("Validation examples.")
    levers: Mapping[str, object] = always("What each lever did, by name; as in the document's levers.", {})
    check: FileCheck | None = always("What was checked of the file.")
    sha256: Digest = always("SHA-256 of model.onnx.", "")
    data: DataRecord | None = sometimes("The training examples.")
    validation_data: DataRecord | None = sometimes("The validation examples.")
    shared_with_test: Count | None = sometimes(
        "With --test: examples of it that are, value for value, in the training or validation data as well."
    )
    history: tuple[Mapping[str, Real | None], ...] = always(
        "A row for each step: step, loss (in the objective's unit), lr, and the method's named parts.", ()
    )


class AnotherTraining(Record):
    """Another training of as many steps, for comparison: a control, or the run without one lever."""

    label: str = always("What it is called in the report.", "")
    accuracy: Annotated[AccuracySpread | None, HasMean] = always(
        "Accuracy over the run's chips, under its first condition."
    )
    accuracies: tuple[Rate | None, ...] | None = always("Of each of these chips, in order.")
    clean: Rate | None = always("Accuracy without noise.")
    steps: Count | None = always("Steps it took.")
    selected_step: Count | None = always("The step whose weights were kept.")
    seconds: Positive | None = always("Time spent training and selecting, in s.")
