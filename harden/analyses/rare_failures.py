"""Experimental: the probability of rare bad chips, by subset simulation. Plain counting needs 1 / p chips for it.

Several independent runs are made and their spread is returned, because one run can be wrong by a factor of several.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from harden.errors import ProfileError, SettingsError
from harden.evaluation.bench import Bench, score
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.records.evaluation import RareFailures
from harden.streams import numpy_generator

if TYPE_CHECKING:
    from harden.graph.file import Model

State = TypeVar("State")
LEAST_CHIPS, LEAST_RUNS = 200, 5
_SHARE = 0.25  # of the chips that pass each level
_STEP = 0.5  # b of the move sqrt(1 - b^2) x + b xi
_MOST_LEVELS = 12
_KURTOSIS_CHIPS, _KURTOSIS_WEIGHTS, _KURTOSIS_TOLERANCE = 64, 4096, 0.5


@dataclass(frozen=True)
class Tail:
    """One run of subset simulation.

    Attributes:
        probability: Estimated P(metric < threshold).
        levels: The intermediate thresholds.
        acceptance: Share of moves accepted at each level after the first.
        evaluations: How often the metric was computed.
    """

    probability: float
    levels: tuple[float, ...]
    acceptance: tuple[float, ...]
    evaluations: int


def subset_simulation(
    draw: Callable[[], State],
    mix: Callable[[State, State, float], State],
    metric: Callable[[State], float],
    threshold: float,
    rng: np.random.Generator,
    *,
    chips: int = LEAST_CHIPS,
) -> Tail:
    """P(metric < threshold) as a product of conditional probabilities of about 1/4.

    The worst quarter of the chips seeds chains that stay below the level reached, by moves
    x' = sqrt(1 - b^2) x + b xi, xi a fresh draw, which leave a centred Gaussian law as it is in any dimension; b = 0.5.

    Args:
        draw: A fresh draw of the centred Gaussian law.
        mix: ``mix(x, xi, b)`` is sqrt(1 - b^2) x + b xi.
        metric: What shall not be low.
        threshold: Below it a chip fails.
        rng: Decides the order of chips that are equal, and nothing else.
        chips: States per level.

    Returns:
        The estimate.

    Source: Au and Beck, Probabilistic Engineering Mechanics 16 (2001); the move is the preconditioned Crank-Nicolson
    proposal (Cotter et al., Statistical Science 28 (2013)).
    """
    states = [draw() for _ in range(chips)]
    values = np.array([metric(s) for s in states])
    evaluations, probability = chips, 1.0
    levels: list[float] = []
    accepted: list[float] = []
    survivors = max(1, round(_SHARE * chips))
    for _ in range(_MOST_LEVELS):
        # Accuracies come in steps of one image; a random order of equals keeps chains from favouring early states.
        order = np.lexsort((rng.random(chips), values))
        level = float(values[order[survivors - 1]])
        if level < threshold or (values < threshold).mean() >= _SHARE:
            break
        inside = values <= level
        probability *= float(inside.mean())
        levels.append(level)
        seeds = [(states[i], float(values[i])) for i in order[:survivors]]
        states, values, share = _chains(seeds, draw, mix, metric, level, chips)
        evaluations += chips - len(seeds)
        accepted.append(share)
    probability *= float((values < threshold).mean())
    return Tail(probability, tuple(levels), tuple(accepted), evaluations)


def _chains(
    seeds: list[tuple[State, float]],
    draw: Callable[[], State],
    mix: Callable[[State, State, float], State],
    metric: Callable[[State], float],
    level: float,
    chips: int,
) -> tuple[list[State], np.ndarray, float]:
    states = [s for s, _ in seeds]
    values = [v for _, v in seeds]
    moved = 0
    while len(states) < chips:
        at = len(states) - len(seeds)  # each chain goes on from its own last state
        candidate = mix(states[at], draw(), _STEP)
        value = metric(candidate)
        if value <= level:
            moved += 1
            states.append(candidate)
            values.append(value)
        else:
            states.append(states[at])
            values.append(values[at])
    return states, np.array(values), moved / max(1, chips - len(seeds))


def rare_failures(
    judge: Judge, model: Model, threshold: float, *, chips: int = LEAST_CHIPS, runs: int = LEAST_RUNS
) -> RareFailures:
    """Experimental: P(accuracy of a chip < threshold) on these images, for noise that is Gaussian around the weights.

    Args:
        judge: Labelled examples, a few hundred, and the noise: its first condition, additive and Gaussian, as the move
            needs it.
        model: The model.
        threshold: The accuracy a good chip reaches.
        chips: Chips per level, at least 200.
        runs: Independent runs, at least 5.

    Raises:
        ProfileError: The noise is not Gaussian around the weights.
        SettingsError: Too few chips or runs, or a threshold outside (0, 1).
    """
    if chips < LEAST_CHIPS or runs < LEAST_RUNS or not 0 < threshold < 1:
        raise SettingsError(
            f"subset simulation needs at least {LEAST_CHIPS} chips, {LEAST_RUNS} runs and a threshold in (0, 1)"
        )
    with judge.bench(model) as bench:
        _require_gaussian(bench, judge.condition, judge.seed)
        tails = [_run(judge, bench, threshold, chips, number) for number in range(runs)]
    estimates = [tail.probability for tail in tails]
    positive = min(estimates) > 0
    return RareFailures(
        experimental=True,
        threshold=threshold,
        probability=math.exp(float(np.mean(np.log(estimates)))) if positive else float(np.mean(estimates)),
        runs=tuple(estimates),
        spread=max(estimates) / min(estimates) if positive else None,
        acceptance=tuple(share for tail in tails for share in tail.acceptance),
        evaluations=sum(tail.evaluations for tail in tails),
    )


def _run(judge: Judge, bench: Bench, threshold: float, chips: int, number: int) -> Tail:
    condition, seed = judge.condition, judge.seed
    clean = {k: w.tensor.detach() for k, w in bench.weights.items()}
    count = iter(range(10**9))

    def draw() -> dict[str, torch.Tensor]:
        return _deviation(bench, condition, seed, ("tail", number, next(count)))

    def mix(x: dict[str, torch.Tensor], xi: dict[str, torch.Tensor], b: float) -> dict[str, torch.Tensor]:
        return {k: math.sqrt(1 - b * b) * x[k] + b * xi[k] for k in x}

    def metric(x: dict[str, torch.Tensor]) -> float:
        chip = {k: clean[k] + d for k, d in x.items()}
        return bench.headline(score(bench, chip, condition.profile, threads=judge.where.cores))

    return subset_simulation(draw, mix, metric, threshold, numpy_generator(seed, "tail", number), chips=chips)


def _deviation(bench: Bench, condition: Condition, seed: int, path: tuple[str | int, ...]) -> dict[str, torch.Tensor]:
    chip = condition.profile.perturb(bench.weights, seed=seed, path=path, at_s=condition.time)
    return {k: chip[k].detach() - w.tensor.detach() for k, w in bench.weights.items()}


def _require_gaussian(bench: Bench, condition: Condition, seed: int) -> None:
    """The standardised deviations of a sample of weights have a Gaussian's mean and fourth moment."""
    rng = numpy_generator(seed, "tail", "weights")
    sizes = {k: w.tensor.numel() for k, w in bench.weights.items()}
    chosen = np.sort(rng.choice(sum(sizes.values()), min(_KURTOSIS_WEIGHTS, sum(sizes.values())), replace=False))
    rows = []
    for index in range(_KURTOSIS_CHIPS):
        deviation = _deviation(bench, condition, seed, ("tail", "check", index))
        rows.append(torch.cat([d.flatten() for d in deviation.values()]).numpy()[chosen])
    table = np.stack(rows).astype(np.float64)
    table = table[:, table.std(axis=0) > 0]
    size = np.sqrt((table**2).mean(axis=0, keepdims=True))
    z = table / size
    n = len(table)
    # With the root mean square estimated from the same n draws, a Gaussian's fourth moment is 3 n / (n + 2).
    fourth, mean = float((z**4).mean()) if z.size else 0.0, float(np.abs(z.mean(axis=0)).mean()) if z.size else 1.0
    if not (abs(fourth - 3 * n / (n + 2)) < _KURTOSIS_TOLERANCE and mean < 2 / math.sqrt(n)):
        raise ProfileError(
            f"its noise is not Gaussian around the weights (fourth moment {fourth:.2f}), which subset simulation needs",
            where=f"profile '{condition.profile.name}'",
            fix="Count instead: more chips, and the yield's interval",
        )
