"""How far a network's confidence can be trusted: its accuracy among the images of about equal confidence."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

BINS = 15
# Confidences are summed as integers of this unit, so that the order of the chips cannot matter; 2^43 images fit.
_UNIT = 2.0**20


class ReliabilityTable(TypedDict):
    """For each bin, from the least confident: its share of all images, and of its images accuracy and confidence."""

    share: list[float]
    accuracy: list[float | None]
    confidence: list[float | None]


def bin_sums(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Count the images of each bin of confidence; sums of several chips may be added up.

    Args:
        confidence: [N] the largest class probability.
        correct: [N] bool.
        bins: M equal-width bins (lo, hi] of [0, 1].

    Returns:
        [M, 3] int64: images, right answers, confidence in units of 2^-20.
    """
    index = _bin(confidence, bins)
    columns = (np.ones(len(index)), correct.astype(np.float64), np.rint(confidence * _UNIT))
    return np.stack([np.bincount(index, weights=c, minlength=bins) for c in columns], axis=1).astype(np.int64)


def reliability(sums: np.ndarray) -> ReliabilityTable:
    """The reliability diagram as numbers.

    Args:
        sums: [M, 3] from :func:`bin_sums`.

    Returns:
        The shares, and of each bin's images the accuracy and the mean confidence; both None in an empty bin.

    Source: Guo et al., ICML 2017, equations 1 and 2.

    Example:
        >>> table = reliability(bin_sums(np.array([0.5, 0.75, 0.75]), np.array([True, True, False]), bins=2))
        >>> table["accuracy"], table["confidence"]
        ([1.0, 0.5], [0.5, 0.75])
    """
    counts = sums[:, 0]
    total = max(int(counts.sum()), 1)
    return {
        "share": [int(n) / total for n in counts],
        "accuracy": [int(hits) / int(n) if n else None for n, hits, _ in sums],
        "confidence": [int(mass) / _UNIT / int(n) if n else None for n, _, mass in sums],
    }


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: sum over bins of |accuracy - confidence| weighted by the share of images.

    Args:
        confidence: [N] the largest class probability.
        correct: [N] bool.
        bins: Equal-width bins (lo, hi] of [0, 1].

    Source: Guo et al., ICML 2017, equation 3, with 15 bins.

    Example:
        >>> calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
        0.4
    """
    gaps = np.bincount(_bin(confidence, bins), weights=correct.astype(np.float64) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def _bin(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.maximum(np.minimum(np.ceil(confidence * bins).astype(int) - 1, bins - 1), 0)
