"""How near a chip's outputs are to those of the network as given, without knowing what they mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harden.records.condition import Fidelity
from harden.records.measure import CONCORDANCE, Measure
from harden.tasks import _scoring as base
from harden.tasks._heads import Head

_SPREADS = ("nrmse", "sqnr_db", "cosine", "concordance", "r2")


def output_measure(name: str) -> str:
    """What the concordance of an output without labels is called.

    Example:
        >>> output_measure("boxes")
        'output boxes'
    """
    return f"output {name}"


@dataclass(frozen=True)
class FidelityScores:
    """One chip against the network as given."""

    values: Mapping[str, float | None]
    sums: base.Sums = field(default_factory=dict)


class FidelityScorer(base.Scorer):
    """Compares outputs with those of the network as given, example by example.

    Args:
        heads: The outputs; each has a row for each example.
        outputs: The model's outputs for a few examples.
        examples: N.
        folder: Where the right outputs are kept, memory-mapped.
    """

    headline: Measure = CONCORDANCE

    def __init__(self, heads: Sequence[Head], outputs: Sequence[np.ndarray], examples: int, folder: Path) -> None:
        self.heads = tuple(heads)
        widths = [int(np.prod(outputs[head.index].shape[1:])) for head in heads]
        ends = np.cumsum(widths).tolist()
        self.columns = [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]
        self.right = np.memmap(folder / "clean.f32", np.float32, "w+", shape=(examples, max(1, sum(widths))))
        self._written = 0

    def __getstate__(self) -> dict[str, object]:
        """For another process: with the outputs themselves, whose file is gone with this one's folder."""
        return {**self.__dict__, "right": np.array(self.right)}

    def remember(self, outputs: list[np.ndarray]) -> None:
        """Store the right outputs for the next examples."""
        flat = self.flat(outputs)
        self.right[self._written : self._written + len(flat)] = flat
        self._written += len(flat)

    def tally(self) -> FidelityTally:
        """An empty tally."""
        return FidelityTally(self)

    def flat(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """The heads' numbers side by side, [B, ...]."""
        rows = [outputs[head.index] for head in self.heads]
        return np.concatenate([row.reshape(len(row), -1) for row in rows], axis=1)

    def spreads(self, trials: base.Columns) -> list[str]:
        """The concordance of each output, where there are several."""
        return [key for key in trials if key.startswith(output_measure(""))]

    def clean_record(self, scores: base.Scores) -> Mapping[str, object]:
        """How near the network without noise is."""
        return {"values": {key: value for key, value in scores.values.items() if key.startswith(output_measure(""))}}

    def summary(self, trials: base.Columns, sums: base.Sums | None, chips: int) -> Mapping[str, object]:
        """The fidelity over chips."""
        return {"fidelity": Fidelity(**{key: base.spread(trials, key) for key in _SPREADS})}


class FidelityTally:
    """Sums of one chip's numbers and differences."""

    def __init__(self, scorer: FidelityScorer) -> None:
        self._scorer, self._seen = scorer, 0
        self._signal = self._error = self._cosine = 0.0
        width = scorer.right.shape[1]
        # Of the right numbers a and the chip's b, each less the first example's a, so that moments do not cancel.
        self._a, self._b, self._aa, self._bb, self._ab, self._dd = (np.zeros(width) for _ in range(6))

    def add(self, outputs: list[np.ndarray]) -> None:
        """Take the next examples' outputs."""
        got = self._scorer.flat(outputs).astype(np.float64)
        want = self._scorer.right[self._seen : self._seen + len(got)].astype(np.float64)
        self._seen += len(got)
        difference = (got - want) ** 2
        self._signal += float((want**2).sum())
        self._error += float(difference.sum())
        sizes = np.linalg.norm(got, axis=1) * np.linalg.norm(want, axis=1)
        self._cosine += float(np.where(sizes > 0, (got * want).sum(axis=1) / np.where(sizes > 0, sizes, 1), 0).sum())
        shift = self._scorer.right[0].astype(np.float64)
        a, b = want - shift, got - shift
        for total, part in zip(
            (self._a, self._b, self._aa, self._bb, self._ab, self._dd),
            (a, b, a * a, b * b, a * b, difference),
            strict=True,
        ):
            total += part.sum(axis=0)

    def result(self) -> FidelityScores:
        r"""Figures of how near the outputs are.

        nrmse = sqrt(sum (b - a)^2 / sum a^2) and sqnr_db = -20 log10(nrmse) over all numbers, None where there is no
        error or no signal; cosine is the mean over examples. Of each output, then mean over outputs: the concordance
        :math:`2 \sum_j \mathrm{cov}(a_j, b_j) / \sum_j (\mathrm{var}(a_j) + \mathrm{var}(b_j) + (\bar a_j - \bar
        b_j)^2)`, and :math:`r^2 = 1 - \sum (b - a)^2 / \sum_j (a_j - \bar a_j)^2`, j over an example's numbers. Both
        fall where noise drowns what the examples differ in, which a cosine of positive numbers cannot.

        Source: Lin, Biometrics 45, 255 (1989), for scalars.
        """
        nrmse = math.sqrt(self._error / self._signal) if self._signal and math.isfinite(self._error) else None
        concordances = [self._concordance(columns) for columns in self._scorer.columns]
        shares = [self._r2(columns) for columns in self._scorer.columns]
        values: dict[str, float | None] = {
            "nrmse": nrmse,
            "sqnr_db": -20 * math.log10(nrmse) if nrmse else None,
            "cosine": self._cosine / self._seen if math.isfinite(self._cosine) else None,
            "concordance": float(np.mean(concordances)),
            "r2": None if any(share is None for share in shares) else float(np.mean([s for s in shares if s])),
        }
        if len(concordances) > 1:
            named = zip(self._scorer.heads, concordances, strict=True)
            values |= {output_measure(head.name): value for head, value in named}
        return FidelityScores(values)

    def _concordance(self, columns: slice) -> float:
        n = self._seen
        a, b = self._a[columns] / n, self._b[columns] / n
        covariance = float((self._ab[columns] / n - a * b).sum())
        spread = float((self._dd[columns] / n).sum()) + 2 * covariance
        scale = float((self._aa[columns] + self._bb[columns]).sum()) / n
        if not math.isfinite(scale):
            return -1.0
        return 1.0 if spread <= 1e-12 * scale else 2 * covariance / spread

    def _r2(self, columns: slice) -> float | None:
        variance = float((self._aa[columns] - self._a[columns] ** 2 / self._seen).sum())
        share = 1 - float(self._dd[columns].sum()) / variance if variance > 0 else math.nan
        return share if math.isfinite(share) else None


@dataclass(frozen=True)
class WithOthers(base.Scorer):
    """A scorer of the head with labels, and the fidelity of the heads without.

    Attributes:
        first: Of the head with labels.
        others: Of the others.
    """

    first: base.Scorer
    others: FidelityScorer

    @property
    def headline(self) -> Measure:  # type: ignore[override]
        """That of the head with labels."""
        return self.first.headline

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Those of the head with labels."""
        return self.first.measures

    def tally(self) -> BothTallies:
        """Empty tallies."""
        return BothTallies(self.first.tally(), self.others)

    def remember(self, outputs: list[np.ndarray]) -> None:
        """For both."""
        self.first.remember(outputs)
        self.others.remember(outputs)

    def knowing(self, clean: base.Scores) -> WithOthers:
        """For the first."""
        assert isinstance(clean, Both)
        return WithOthers(self.first.knowing(clean.first), self.others)

    def on(self, index: np.ndarray) -> base.Scorer:
        """The first alone."""
        return self.first.on(index)

    def summed(self, conditions: int) -> tuple[base.Scorer, Mapping[str, tuple[int, ...]]]:
        """Of the first."""
        first, shapes = self.first.summed(conditions)
        return WithOthers(first, self.others), shapes

    def clean_record(self, scores: base.Scores) -> Mapping[str, object]:
        """Of both."""
        assert isinstance(scores, Both)
        own = {key: value for key, value in scores.values.items() if key.startswith(output_measure(""))}
        return {**self.first.clean_record(scores.first), "values": own}

    def summary(self, trials: base.Columns, sums: base.Sums | None, chips: int) -> Mapping[str, object]:
        """Of the first."""
        return self.first.summary(trials, sums, chips)

    def spreads(self, trials: base.Columns) -> list[str]:
        """Those of the first, and the others' concordances."""
        return [*self.first.spreads(trials), *self.others.spreads(trials)]


@dataclass(frozen=True)
class Both:
    """One chip's scores of the head with labels, with the concordance of the others among its values."""

    first: base.Scores
    values: Mapping[str, float | None]

    @property
    def sums(self) -> base.Sums:
        """Those of the first."""
        return self.first.sums


class BothTallies:
    """Tallies of the head with labels and of the others."""

    def __init__(self, first: base.Tally, others: FidelityScorer) -> None:
        self._first, self._others, self._heads = first, others.tally(), others.heads

    def add(self, outputs: list[np.ndarray]) -> None:
        """For both."""
        self._first.add(outputs)
        self._others.add(outputs)

    def result(self) -> Both:
        """Of both."""
        first, others = self._first.result(), self._others.result().values
        named = {output_measure(h.name): others.get(output_measure(h.name), others["concordance"]) for h in self._heads}
        return Both(first, {**first.values, **named})
