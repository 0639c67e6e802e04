"""Metrics of one chip's predictions beyond accuracy, and of many chips together."""

from __future__ import annotations

from typing import TypedDict

import numpy as np


class ConfusionScores(TypedDict):
    """What a table of labels against predictions gives."""

    balanced_accuracy: float
    f1: float


def confusion_scores(predicted: np.ndarray, labels: np.ndarray, classes: int) -> ConfusionScores:
    """Balanced accuracy and macro F1.

    Balanced accuracy is the mean recall over the classes that occur among the labels. F1 of a class is
    2 TP / (2 TP + FP + FN); the macro average is over classes that occur among labels or predictions.

    Args:
        predicted: [N] class; -1 for no answer.
        labels: [N] class.
        classes: C.

    Source: balanced accuracy: Brodersen et al., ICPR 2010. F1: van Rijsbergen, Information Retrieval (1979).

    Example:
        >>> confusion_scores(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        {'balanced_accuracy': 0.75, 'f1': 0.6666666666666666}
    """
    actual = np.bincount(labels, minlength=classes)[:classes]
    named = np.bincount(predicted[predicted >= 0], minlength=classes)[:classes]
    hits = np.bincount(labels[predicted == labels], minlength=classes)[:classes]
    occurs, matters = actual > 0, (actual + named) > 0
    return {
        "balanced_accuracy": float((hits[occurs] / actual[occurs]).mean()),
        "f1": float((2 * hits[matters] / (actual + named)[matters]).mean()),
    }


def auroc(p: np.ndarray, labels: np.ndarray) -> float | None:
    """Area under the receiver operating curve.

    The probability that a random image of the class scores higher than a random one of the rest, ties counting half.
    Two classes: of class 1. More: the plain average of one class against the rest, over classes that occur.

    Args:
        p: [N, C] class probabilities.
        labels: [N] class.

    Returns:
        In [0, 1]; None where no class has both members and others.

    Source: Hanley and McNeil, Radiology 143 (1982); Fawcett, Pattern Recognition Letters 27 (2006), section 9.

    Example:
        >>> auroc(np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]]), np.array([0, 0, 1, 1]))
        0.75
    """
    areas: list[float] = []
    for c in [1] if p.shape[1] == 2 else range(p.shape[1]):
        member = labels == c
        n1 = int(member.sum())
        n0 = len(labels) - n1
        if n1 and n0:
            ranks = average_ranks(p[:, c])
            areas.append((ranks[member].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))
    return float(np.mean(areas)) if areas else None


def average_ranks(values: np.ndarray) -> np.ndarray:
    """[N] ranks from 1; equal values share the mean of theirs.

    As ``scipy.stats.rankdata``, whose checks of axes and policies cost ten times the sorting of a few hundred numbers.

    Args:
        values: [N] without NaN.

    Example:
        >>> average_ranks(np.array([0.2, 0.9, 0.2])).tolist()
        [1.5, 3.0, 1.5]
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    counts = np.diff(np.r_[first, len(ordered)])
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    return ranks


def expected_kl(mean_p: np.ndarray, mean_entropy: float) -> float:
    """Expected KL divergence of a chip's prediction from the mean over chips: the epistemic uncertainty.

    EKL = mean over images and chips of KL(p_chip || p_mean) = H(p_mean) - mean H(p_chip), in nats.

    Args:
        mean_p: [M, C] probabilities averaged over chips.
        mean_entropy: The chips' entropy, averaged over images and chips.

    Source: the mutual information of Houlsby et al., 2011 (arXiv 1112.5745), with chips in the place of samples of a
    posterior.

    Example:
        >>> round(expected_kl(np.array([[0.5, 0.5]]), 0.0), 4)  # chips certain of opposite classes
        0.6931
    """
    entropy = -(mean_p * np.log(np.where(mean_p > 0, mean_p, 1.0))).sum(axis=1).mean()
    return max(0.0, float(entropy) - mean_entropy)
