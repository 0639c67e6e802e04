"""A quick ranking of layers by the loss's mean gradient under noise, and a check of its first places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harden.analyses.gradients import loss_and_gradients
from harden.analyses.sensitivity import accuracies, layer_row
from harden.evaluation.bench import Bench, bench_of
from harden.evaluation.plan import Condition
from harden.evaluation.trials import draw_chip
from harden.evaluation.where import Where
from harden.streams import numpy_generator

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model

_IMAGES = 128


def rank_layers(
    model: Model,
    condition: Condition,
    data: Dataset,
    *,
    passes: int = 48,
    images: int = _IMAGES,
    check: int = 5,
    check_chips: int = 20,
    seed: int = 0,
    digital: tuple[str, ...] = (),
    threads: int | None = None,
) -> dict[str, Any]:
    """Rank the analog weights by their share of the loss's variance under noise, in a linear model.

    g is the mean over noisy chips of the loss's gradient. To first order a chip with deviation d changes the loss by
    g·d, and weight tensor l contributes sum(g_l^2 var(d_l)) to its variance. Two halves of the chips give two
    independent estimates of g, whose product is used, so that a noisy g does not make every large tensor look
    important. The linear model may be poor: ``sensitivity_r2`` is the square of the correlation of g·d with the
    accuracy of other chips, and the first places are checked by trials in ONNX Runtime with that tensor left clean.

    Args:
        model: The model.
        condition: The noise.
        data: Labelled examples.
        passes: Noisy backward passes.
        images: Examples of each pass.
        check: How many of the first places are checked by trials.
        check_chips: Chips of that check, and of the R².
        seed: Root seed; chips of the passes come from a stream of their own.
        digital: Globs of weights kept off the crossbars.
        threads: Cores to use for the trials.

    Returns:
        ``sensitivity``: rows ``key``, ``share`` and, for the first ones, ``drop`` and ``gain`` with intervals, sorted
        by share; ``sensitivity_r2``.

    Source: mismatch contribution analysis of circuit design; the direction is Stein's identity for the gradient of a
    Gaussian expectation. Ours otherwise.
    """
    with bench_of(model, data, Where(digital=digital)) as bench:
        means, variance = _mean_gradients(model, bench, condition, data, passes, images, seed)
        contribution = {k: float((means[0][k] * means[1][k] * variance[k]).sum().clamp_min(0)) for k in variance}
        total = sum(contribution.values()) or 1.0
        direction = {k: (means[0][k] + means[1][k]) / 2 for k in variance}
        rows: list[dict[str, Any]] = [
            {"key": k, "share": c / total} for k, c in sorted(contribution.items(), key=lambda item: -item[1])
        ]
        noisy = accuracies(bench, condition, check_chips, seed, lambda chip: chip, threads)
        for row in rows[:check]:
            row |= layer_row(bench, condition, check_chips, seed, row["key"], noisy, threads)
        return {
            "sensitivity": rows,
            "sensitivity_r2": _r_squared(bench, condition, direction, noisy, seed),
            "passes": passes,
            "chips": check_chips,
        }


def _mean_gradients(
    model: Model, bench: Bench, condition: Condition, data: Dataset, passes: int, images: int, seed: int
) -> tuple[list[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    labels = np.asarray(data.labels)
    module = model.module().eval()
    module.periphery = bench.periphery.hook(condition.profile, seed=seed)
    zero = {k: torch.zeros_like(w.tensor.detach()) for k, w in bench.weights.items()}
    sums, variance = [{k: z.clone() for k, z in zero.items()} for _ in range(2)], dict(zero)
    for index in range(passes):
        chip = condition.profile.perturb(
            bench.weights, seed=seed, path=("ranking", index), at_s=condition.time, severity=1.0
        )
        rng = numpy_generator(seed, "ranking", "images", index)
        chosen = np.sort(rng.choice(len(data), min(images, len(data)), replace=False))
        _, gradients = loss_and_gradients(module, chip, bench.feed.take(chosen), labels[chosen], bench.kind)
        for k, g in gradients.items():
            sums[index % 2][k] += g
            variance[k] = variance[k] + (chip[k].detach() - bench.weights[k].tensor.detach()) ** 2 / passes
    counts = [(passes + 1) // 2, max(1, passes // 2)]
    return [{k: s / n for k, s in half.items()} for half, n in zip(sums, counts, strict=True)], variance


def _r_squared(
    bench: Bench, condition: Condition, direction: dict[str, torch.Tensor], noisy: np.ndarray, seed: int
) -> float | None:
    predicted = []
    for index in range(len(noisy)):
        chip = draw_chip(condition, bench.weights, seed=seed, index=index)
        predicted.append(
            sum(float(((chip[k] - bench.weights[k].tensor.detach()) * d).sum()) for k, d in direction.items())
        )
    if len(noisy) < 3 or np.std(noisy) == 0 or np.std(predicted) == 0:
        return None
    return float(np.corrcoef(predicted, noisy)[0, 1] ** 2)
