"""Which model the data support: held-out likelihood, the smallest of those that are as good as the best.

A model is fitted to one half of the cells and scored on the other, both ways. Of the models whose mean log-likelihood
is within one standard error of the best (of the difference, cell by cell), the one with the fewest parameters is taken.
A model whose tails reach far beyond anything measured is set aside: it would draw cells that no measurement supports.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypedDict, TypeVar

import numpy as np

from harden.noise.fitting import Fit, Values, fit_levels, fit_orders, levels, orders
from harden.noise.goodness import beyond
from harden.noise.shapes import ROBUST
from harden.streams import numpy_generator

SHAPES = ("normal", "student_t", "window", "scale_mixture")
_IMPROBABLE = 0.01

_Model = TypeVar("_Model")


@dataclass(frozen=True)
class Candidate(Generic[_Model]):
    """A model that may be chosen.

    Attributes:
        name: In words.
        model: Fitted to all cells.
        parameters: How many numbers it has.
        held_out: For each cell, the mean log-likelihood of its values under the model fitted to the other half.
        objection: Why it is set aside whatever its likelihood; empty where there is no reason.
    """

    name: str
    model: _Model
    parameters: int
    held_out: np.ndarray
    objection: str = ""


class Comparison(TypedDict):
    """What was compared, for people and records.

    Attributes:
        model: Its name.
        parameters: How many numbers it has.
        held_out: Mean log-likelihood of a value that it was not fitted to.
        behind: How much that is below the best of the models.
        error: Standard error of ``behind``.
        chosen: Whether it is the one.
        objection: Why it was set aside, if it was.
    """

    model: str
    parameters: int
    held_out: float
    behind: float
    error: float
    chosen: bool
    objection: str


def choose(candidates: Sequence[Candidate[_Model]]) -> tuple[_Model, list[Comparison]]:
    """The smallest model within one standard error of the best, and the comparison."""
    allowed = [entry for entry in candidates if not entry.objection] or list(candidates)
    best = max(allowed, key=lambda entry: float(entry.held_out.mean())).held_out
    behind = {entry.name: best - entry.held_out for entry in candidates}
    error = {name: float(gap.std() / math.sqrt(len(gap))) for name, gap in behind.items()}
    near = [entry for entry in allowed if behind[entry.name].mean() <= error[entry.name]]
    pick = min(near, key=lambda entry: (entry.parameters, float(behind[entry.name].mean())))
    return pick.model, [
        {
            "model": entry.name,
            "parameters": entry.parameters,
            "held_out": float(entry.held_out.mean()),
            "behind": float(behind[entry.name].mean()),
            "error": error[entry.name],
            "chosen": entry is pick,
            "objection": entry.objection,
        }
        for entry in candidates
    ]


def halves(cells: int) -> np.ndarray:
    """Which half each cell belongs to; the same for the same number of cells."""
    return numpy_generator(0, "calibrate", "halves").random(cells) < 0.5


def two_ways(half: np.ndarray, score: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Scores of all cells, each from a fit to the other half: ``score(fit to these, for those)``, as masks."""
    held_out = np.empty(len(half))
    for side in (False, True):
        held_out[half == side] = score(half != side, half == side)
    return held_out


def deviations(
    values: Sequence[Values], half: np.ndarray, *, kinds: Sequence[str] = SHAPES, shifted: bool | None = None
) -> list[Candidate[list[Fit]]]:
    """Models of deviations at one time or several: kinds of shape, the best also with a value for each level.

    Args:
        values: For each time; row i of each belongs to cell i.
        half: Which half each cell belongs to.
        kinds: Shapes to try; one is common to all times.
        shifted: As for `fitting.fit`.
    """
    order = [orders(part, ROBUST, shifted) for part in values]

    def candidate(kind: str, table: bool) -> Candidate[list[Fit]]:
        def made(parts: Sequence[Values]) -> list[Fit]:
            if table:
                return [fit_levels(part, kind) for part in parts]
            return [fit_orders(part, kind, sizes) for part, sizes in zip(parts, order, strict=True)]

        def score(fit_to: np.ndarray, judge: np.ndarray) -> np.ndarray:
            fits = made([part.rows(fit_to) for part in values])
            terms = [fit.log_likelihood(part.rows(judge)) for fit, part in zip(fits, values, strict=True)]
            return np.mean(terms, axis=0)

        fits = made(values)
        curves = "" if kind == "window" else ", a value for each level" if table else ", polynomials"
        size = sum(fit.parameters for fit in fits)
        return Candidate(kind + curves, fits, size, two_ways(half, score), too_far(fits, values))

    tried = [candidate(kind, kind == "window") for kind in kinds]
    best = choose(tried)[0][0].shape.name
    if best != "window" and all(levels(part.x) is not None and not part.clamped.any() for part in values):
        tried.append(candidate(best, table=True))
    return tried


def too_far(fits: Sequence[Fit], values: Sequence[Values]) -> str:
    """Whether a fit expects cells beyond the farthest measured that should have been seen, in words."""
    expected = [
        len(part) * beyond(fit.shape, float(np.abs(fit.standardised(part)).max()))
        for fit, part in zip(fits, values, strict=True)
    ]
    most = max(expected)
    if math.exp(-most) >= _IMPROBABLE / len(expected):
        return ""
    return f"its tails expect {most:.0f} cells farther out than the farthest of {len(values[0])}"
