"""A quick ranking of layers by the loss's mean gradient under noise, and a check of its first places."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from harden import pacing
from harden.analyses.gradients import loss_and_gradients
from harden.analyses.sample import Sample
from harden.analyses.sensitivity import accuracies, layer_row
from harden.evaluation.bench import Bench
from harden.evaluation.judge import Judge
from harden.evaluation.trials import draw_chip
from harden.progress import stage
from harden.records.evaluation import LayerRanking, LayerRow
from harden.streams import numpy_generator

if TYPE_CHECKING:
    from harden.graph.file import Model

_IMAGES = 128
_REPORT_EXAMPLES, _REPORT_IMAGES = 500, 32
_LEAST_GRADIENTS, _LEAST_CHIPS = Sample(16, 8), Sample(8, 64)
_BACKWARD = 3  # what a pass with gradients costs, in passes without


def rank_layers(
    judge: Judge, model: Model, *, passes: int = 48, images: int = _IMAGES, check: int = 5, check_chips: int = 20
) -> LayerRanking:
    """Rank the analog weights by their share of the loss's variance under noise, in a linear model.

    g is the mean over noisy chips of the loss's gradient. To first order a chip with deviation d changes the loss by
    g·d, and weight tensor l contributes sum(g_l^2 var(d_l)) to its variance. Two halves of the chips give two
    independent estimates of g, whose product is used, so that a noisy g does not make every large tensor look
    important. The linear model may be poor: ``sensitivity_r2`` is the square of the correlation of g·d with the
    accuracy of other chips, and the first places are checked by trials in ONNX Runtime with that tensor left clean.

    Args:
        judge: Labelled examples, and the noise: its first condition. The check's chips are those that it judges models
            by; chips of the passes come from a stream of their own.
        model: The model.
        passes: Noisy backward passes.
        images: Examples of each pass.
        check: How many of the first places are checked by trials.
        check_chips: Chips of that check, and of the R².

    Returns:
        Rows sorted by share, the first ones with what the check says.

    Source: mismatch contribution analysis of circuit design; the direction is Stein's identity for the gradient of a
    Gaussian expectation. Ours otherwise.
    """
    with judge.bench(model) as bench:
        means, variance = _mean_gradients(judge, model, bench, passes, images)
        contribution = {k: float((means[0][k] * means[1][k] * variance[k]).sum().clamp_min(0)) for k in variance}
        total = sum(contribution.values()) or 1.0
        direction = {k: (means[0][k] + means[1][k]) / 2 for k in variance}
        ranked = sorted(contribution.items(), key=lambda item: -item[1])
        rows = [LayerRow(key=key, share=part / total) for key, part in ranked]
        noisy = accuracies(judge, bench, check_chips, lambda chip: chip)
        checked = [row.replaced(**dict(layer_row(judge, bench, row.key, noisy).given())) for row in rows[:check]]
        r2 = _r_squared(judge, bench, direction, noisy)
        return LayerRanking(sensitivity=(*checked, *rows[check:]), sensitivity_r2=r2, passes=passes, chips=check_chips)


def layer_ranking(judge: Judge, model: Model, cost: float = math.inf) -> LayerRanking:
    """The report's ranking of layers: few backward passes and chips on a sample of the examples.

    Nothing is decided by it. It takes 48 backward passes of 32 examples, and 20 chips on at most 500.

    Args:
        judge: The run's judge.
        model: The hardened model.
        cost: What it may cost, in passes of one example without gradients, half for each part; to keep it, passes and
            chips are reduced with their examples, down to 16 of 8 and 8 on 64.
    """
    pace = pacing.current()
    gradients = Sample(pace.ranking_passes, _REPORT_IMAGES).within(cost / 2 / _BACKWARD, _LEAST_GRADIENTS)
    sample = Sample(pace.ranking_chips, _REPORT_EXAMPLES).within(cost / 2, _LEAST_CHIPS)
    few = judge.here().few(sample.chips, sample.examples, "layers")
    with stage(judge.notify, "ranking layers"):
        ranking = rank_layers(
            few, model, passes=gradients.chips, images=gradients.examples, check=0, check_chips=sample.chips
        )
    return LayerRanking(sensitivity=ranking.sensitivity, sensitivity_r2=ranking.sensitivity_r2)


def _mean_gradients(
    judge: Judge, model: Model, bench: Bench, passes: int, images: int
) -> tuple[list[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    condition, seed, data = judge.condition, judge.seed, judge.data
    labels = np.asarray(data.labels)
    module = model.module(bench.task.outputs).eval()
    module.periphery = bench.periphery.hook(condition.profile, seed=seed)
    zero = {k: torch.zeros_like(w.tensor.detach()) for k, w in bench.weights.items()}
    sums, variance = [{k: z.clone() for k, z in zero.items()} for _ in range(2)], dict(zero)
    for index in range(passes):
        chip = condition.profile.perturb(
            bench.weights, seed=seed, path=("ranking", index), at_s=condition.time, severity=1.0
        )
        rng = numpy_generator(seed, "ranking", "images", index)
        chosen = np.sort(rng.choice(len(data), min(images, len(data)), replace=False))
        _, gradients = loss_and_gradients(module, chip, bench.feed.take(chosen), labels[chosen], bench.task)
        for k, g in gradients.items():
            sums[index % 2][k] += g
            variance[k] = variance[k] + (chip[k].detach() - bench.weights[k].tensor.detach()) ** 2 / passes
    counts = [(passes + 1) // 2, max(1, passes // 2)]
    return [{k: s / n for k, s in half.items()} for half, n in zip(sums, counts, strict=True)], variance


def _r_squared(judge: Judge, bench: Bench, direction: dict[str, torch.Tensor], noisy: np.ndarray) -> float | None:
    predicted = []
    for index in range(len(noisy)):
        chip = draw_chip(judge.condition, bench.weights, seed=judge.seed, index=index)
        predicted.append(
            sum(float(((chip[k] - bench.weights[k].tensor.detach()) * d).sum()) for k, d in direction.items())
        )
    if len(noisy) < 3 or np.std(noisy) == 0 or np.std(predicted) == 0:
        return None
    return float(np.corrcoef(predicted, noisy)[0, 1] ** 2)
