"""What one chip scored on the data: counts and sums over images, from the class scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from harden.records.measure import ACCURACY
from harden.statistics.doubts import doubts
from harden.statistics.metrics import auroc, confusion_scores, expected_kl
from harden.statistics.reliability import BINS, bin_sums, calibration_error, reliability
from harden.tasks import _scoring as base
from harden.tasks._heads import Head

_RANKED_CLASSES = 20  # above this the area under the curve costs more than it tells
_SUMMED_NUMBERS = 2**22  # int64 probabilities kept for the metrics over chips
_CLEAN = ("accuracy", "loss", "confidence", "ece", "top5", "balanced_accuracy", "f1", "auroc")
_SPREADS = ("loss", "balanced_accuracy", "f1", "auroc", "top5")
UNIT = 2.0**32  # probabilities are summed over chips as integers of this unit, so the order of the chips cannot matter


@dataclass(frozen=True)
class Reference:
    """What the chips are compared with.

    Attributes:
        labels: [N] int64.
        head: The output that scores the classes.
        classes: C.
        clean: [N] class the clean network names; None while it is being found.
        images: Indices of the images that take part in the metrics over chips (all of them, or an even spread where
            the sums of so many classes would not fit).
    """

    labels: np.ndarray
    head: Head
    classes: int
    clean: np.ndarray | None = None
    images: np.ndarray | None = None


@dataclass(frozen=True)
class ClassScorer(base.Scorer):
    """Scores chips by the classes they name.

    Attributes:
        reference: Labels and meaning of the outputs.
    """

    reference: Reference
    headline = ACCURACY

    def knowing(self, clean: base.Scores) -> ClassScorer:
        """With the classes that the clean network names."""
        assert isinstance(clean, ChipScores)
        return ClassScorer(replace(self.reference, clean=clean.predicted))

    def on(self, index: np.ndarray) -> ClassScorer:
        """The same for some of the images."""
        return ClassScorer(replace(self.reference, labels=self.reference.labels[index], clean=None, images=None))

    def summed(self, conditions: int) -> tuple[ClassScorer, Mapping[str, tuple[int, ...]]]:
        """Probabilities of as many images as fit, how many chips got each image right, and images by confidence."""
        examples, classes = len(self.reference.labels), self.reference.classes
        images = summed_images(examples, classes, conditions, _SUMMED_NUMBERS)
        count = examples if images is None else len(images)
        shapes = {"mass": (count, classes), "hits": (examples,), "bins": (BINS, 3)}
        return ClassScorer(replace(self.reference, images=images)), shapes

    def tally(self) -> ClassTally:
        """An empty tally."""
        return ClassTally(self.reference)

    def clean_record(self, scores: base.Scores) -> Mapping[str, object]:
        """Its measures, and the reliability diagram."""
        kept = {key: scores.values[key] for key in _CLEAN if key in scores.values}
        assert isinstance(scores, ChipScores)
        labels = self.reference.labels[: len(scores.predicted)]
        signs = doubts(scores.predicted, labels, self.reference.classes)
        return {**kept, "reliability": reliability(scores.sums["bins"]), **({"doubts": signs} if signs else {})}

    def spreads(self, trials: base.Columns) -> list[str]:
        """Its further measures."""
        return [key for key in _SPREADS if key in trials]

    def summary(self, trials: base.Columns, sums: base.Sums | None, chips: int) -> Mapping[str, object]:
        """What the sums tell."""
        if sums is None:
            return {}
        return {
            "ekl": expected_kl(sums["mass"] / (UNIT * chips), float(trials["entropy"].mean())),
            "reliability": reliability(sums["bins"]),
            "class_accuracy": class_accuracy(sums["hits"], self.reference.labels, chips),
        }


@dataclass
class ClassTally:
    """Sums of one chip, filled batch after batch in the order of the images.

    Args:
        reference: Labels and meaning of the outputs.
    """

    reference: Reference
    _log_p: list[np.ndarray] = field(default_factory=list)
    _finite: list[np.ndarray] = field(default_factory=list)

    def add(self, outputs: list[np.ndarray]) -> None:
        """Take the next images' outputs.

        An image whose scores are not finite counts as wrong, with no opinion about its class.
        """
        output = outputs[self.reference.head.index]
        with np.errstate(invalid="ignore", over="ignore"):
            log_p = self.reference.head.log_probabilities(output)
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
        mass = np.rint(p[chosen] * UNIT).astype(np.int64)
        return ChipScores(values, correct, predicted, mass, bin_sums(top, correct))


@dataclass(frozen=True)
class ChipScores:
    """Scores of one chip.

    Attributes:
        values: Numbers by metric, for the trial's line.
        correct: [N] bool.
        predicted: [N] class, -1 where the output was not finite.
        mass: [M, C] int64, probabilities in units of 2^-32, for the sums over chips.
        bins: [15, 3] int64, images by confidence, for the reliability diagram.
    """

    values: Mapping[str, float | None]
    correct: np.ndarray
    predicted: np.ndarray
    mass: np.ndarray
    bins: np.ndarray

    @property
    def sums(self) -> base.Sums:
        """What is added up over chips."""
        return {"mass": self.mass, "hits": self.correct, "bins": self.bins}


def summed_images(examples: int, classes: int, conditions: int, budget: int) -> np.ndarray | None:
    """Indices of the images whose probabilities are summed: all (None), or evenly spread ones that fit the budget.

    Args:
        examples: N.
        classes: C.
        conditions: How many tables are kept.
        budget: Most numbers in all tables together.
    """
    room = max(1, budget // max(1, classes * conditions))
    return None if examples <= room else (np.arange(room) * examples) // room


def class_accuracy(hits: np.ndarray, labels: np.ndarray, chips: int) -> list[float | None]:
    """Mean accuracy over chips of the images of each class; None for a class without images.

    Example:
        >>> class_accuracy(np.array([2, 1, 0]), np.array([0, 0, 2]), 2)
        [0.75, None, 0.0]
    """
    images = np.bincount(labels)
    right = np.bincount(labels, weights=hits)
    return [float(r / (n * chips)) if n else None for r, n in zip(right, images, strict=True)]
