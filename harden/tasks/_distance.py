"""How near a chip's outputs are to the clean network's, for graphs and data without classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harden.errors import ModelError
from harden.tasks import base
from harden.tasks._heads import Head


@dataclass(frozen=True)
class FidelityScores:
    """One chip against the clean network."""

    values: Mapping[str, float | None]
    sums: base.Sums = field(default_factory=dict)


class FidelityScorer(base.Scorer):
    """Compares outputs with those of the clean network, example by example.

    Args:
        heads: The outputs that may be compared; those that have one row per example are.
        outputs: Types and shapes of the model's outputs for one batch.
        batch: Examples in it.
        examples: N.
        folder: Where the clean outputs are kept, memory-mapped.
        source: What messages call the model.

    Raises:
        ModelError: No output has a row for each example.
    """

    def __init__(
        self,
        heads: Sequence[Head],
        outputs: Sequence[np.ndarray],
        batch: int,
        examples: int,
        folder: Path,
        source: str,
    ) -> None:
        self._chosen = [head.index for head in heads if outputs[head.index].shape[:1] == (batch,)]
        if not self._chosen:
            raise ModelError(
                "no output holds floating-point numbers for each example, so chips cannot be compared with it",
                where=source,
                fix="Export the model with such an output",
            )
        width = sum(int(np.prod(outputs[i].shape[1:])) for i in self._chosen)
        self._clean = np.memmap(folder / "clean.f32", np.float32, "w+", shape=(examples, width))
        self._written = 0

    def __getstate__(self) -> dict[str, object]:
        """For another process: with the outputs themselves, whose file is gone with this one's folder."""
        return {**self.__dict__, "_clean": np.array(self._clean)}

    def remember(self, outputs: list[np.ndarray]) -> None:
        """Store the clean network's outputs for the next images."""
        flat = self._flat(outputs)
        self._clean[self._written : self._written + len(flat)] = flat
        self._written += len(flat)

    def tally(self) -> FidelityTally:
        """An empty tally."""
        return FidelityTally(self)

    def _flat(self, outputs: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([outputs[i].reshape(len(outputs[i]), -1) for i in self._chosen], axis=1)


class FidelityTally:
    """Sums of one chip's differences."""

    def __init__(self, scorer: FidelityScorer) -> None:
        self._scorer = scorer
        self._seen = 0
        self._signal = self._error = self._cosine = 0.0

    def add(self, outputs: list[np.ndarray]) -> None:
        """Take the next images' outputs."""
        got = self._scorer._flat(outputs).astype(np.float64)
        want = self._scorer._clean[self._seen : self._seen + len(got)].astype(np.float64)
        self._seen += len(got)
        self._signal += float((want**2).sum())
        self._error += float(((got - want) ** 2).sum())
        sizes = np.linalg.norm(got, axis=1) * np.linalg.norm(want, axis=1)
        self._cosine += float(np.where(sizes > 0, (got * want).sum(axis=1) / np.where(sizes > 0, sizes, 1), 0).sum())

    def result(self) -> FidelityScores:
        """Relative error, signal to noise ratio and cosine similarity.

        nrmse = sqrt(sum (y' - y)^2 / sum y^2); sqnr_db = -20 log10(nrmse), None for no error at all; cosine is the mean
        over images. Sums run over all images and all floating-point outputs.
        """
        nrmse = float(np.sqrt(self._error / self._signal)) if self._signal else None
        return FidelityScores(
            {
                "nrmse": nrmse,
                "sqnr_db": float(-20 * np.log10(nrmse)) if nrmse else None,
                "cosine": self._cosine / self._seen,
            }
        )
