"""What one chip scored on the data: counts and sums over images, from the class scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from harden.evaluation.custom import Metric, apply_metrics
from harden.evaluation.outputs import Kind, log_probabilities
from harden.statistics.metrics import auroc, confusion_scores
from harden.statistics.reliability import bin_sums, calibration_error

_RANKED_CLASSES = 20  # above this the area under the curve costs more than it tells
UNIT = 2.0**32  # probabilities are summed over chips as integers of this unit, so the order of the chips cannot matter


@dataclass(frozen=True)
class Reference:
    """What the chips are compared with.

    Attributes:
        labels: [N] int64.
        kind: What the model's output means.
        clean: [N] class the clean network names; None while it is being found.
        images: Indices of the images that take part in the metrics over chips (all of them, or an even spread where
            the sums of so many classes would not fit).
    """

    labels: np.ndarray
    kind: Kind
    clean: np.ndarray | None = None
    images: np.ndarray | None = None


@dataclass(frozen=True)
class ClassScorer:
    """Scores chips by the classes they name.

    Attributes:
        reference: Labels and meaning of the outputs.
        custom: The user's metrics by name, called with (outputs, labels).
    """

    reference: Reference
    custom: Mapping[str, Metric] = field(default_factory=dict)

    def over(self, images: np.ndarray | None) -> ClassScorer:
        """The same, with the metrics over chips taken from these images only."""
        return replace(self, reference=replace(self.reference, images=images))

    def on(self, labels: np.ndarray) -> ClassScorer:
        """The same for other images, known by their labels."""
        return ClassScorer(Reference(labels, self.reference.kind))

    def tally(self) -> ClassTally:
        """An empty tally."""
        return ClassTally(self.reference, self.custom)


@dataclass
class ClassTally:
    """Sums of one chip, filled batch after batch in the order of the images.

    Args:
        reference: Labels and meaning of the outputs.
        custom: The user's metrics.
    """

    reference: Reference
    custom: Mapping[str, Metric] = field(default_factory=dict)
    _outputs: list[np.ndarray] = field(default_factory=list)
    _log_p: list[np.ndarray] = field(default_factory=list)
    _finite: list[np.ndarray] = field(default_factory=list)

    def add(self, outputs: list[np.ndarray]) -> None:
        """Take the next images' outputs, of which the first, [B, ...], holds the scores.

        An image whose scores are not finite counts as wrong, with no opinion about its class.
        """
        output = outputs[0]
        if self.custom:
            self._outputs.append(output)
        with np.errstate(invalid="ignore", over="ignore"):
            log_p = log_probabilities(output, self.reference.kind)
        finite = np.isfinite(output.reshape(len(output), -1)).all(axis=1)
        if not finite.all():
            log_p[~finite] = -np.log(log_p.shape[1])
        self._log_p.append(log_p)
        self._finite.append(np.asarray(finite))

    def result(self) -> ChipScores:
        """All scores of this chip."""
        log_p, finite = np.concatenate(self._log_p), np.concatenate(self._finite)
        labels, clean = self.reference.labels[: len(log_p)], self.reference.clean
        p = np.exp(log_p)
        predicted = np.where(finite, p.argmax(axis=1), -1)
        correct = np.equal(predicted, labels)
        top = np.where(finite, p.max(axis=1), 0.0)
        chosen = slice(None) if self.reference.images is None else self.reference.images
        classes = p.shape[1]
        confusion = confusion_scores(predicted, labels, classes)
        values: dict[str, float | None] = {
            "accuracy": float(correct.mean()),
            "correct": int(correct.sum()),
            "loss": float(-log_p[np.arange(len(labels)), labels].mean()),
            "confidence": float(top.mean()),
            "ece": calibration_error(top, correct),
            "entropy": float(-(p[chosen] * np.where(p[chosen] > 0, log_p[chosen], 0.0)).sum(axis=1).mean()),
            "balanced_accuracy": confusion["balanced_accuracy"],
            "f1": confusion["f1"],
        }
        if clean is not None:
            values["agreement"] = float((predicted == clean[: len(predicted)]).mean())
        if classes > 5:
            rank = (p > p[np.arange(len(labels)), labels][:, None]).sum(axis=1)
            values["top5"] = float(((rank < 5) & finite).mean())
        if classes <= _RANKED_CLASSES:
            values["auroc"] = auroc(p, labels)
        if not finite.all():
            values["non_finite"] = int((~finite).sum())
        metrics = apply_metrics(self.custom, np.concatenate(self._outputs), labels) if self.custom else {}
        mass = np.rint(p[chosen] * UNIT).astype(np.int64)
        return ChipScores(values, metrics, correct, predicted, mass, bin_sums(top, correct))


@dataclass(frozen=True)
class ChipScores:
    """Scores of one chip.

    Attributes:
        values: Numbers by metric, for the trial's line.
        metrics: Those of the user's metrics, by name.
        correct: [N] bool.
        predicted: [N] class, -1 where the output was not finite.
        mass: [M, C] int64, probabilities in units of 2^-32, for the sums over chips.
        bins: [15, 3] int64, images by confidence, for the reliability diagram.
    """

    values: Mapping[str, float | None]
    metrics: Mapping[str, float]
    correct: np.ndarray
    predicted: np.ndarray
    mass: np.ndarray
    bins: np.ndarray

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.correct.mean())
