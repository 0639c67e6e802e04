"""The worst chip inside the profile's box: adversarial weights, found in torch, counted in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from harden.analyses.gradients import loss_and_gradients
from harden.errors import SettingsError, VerificationError
from harden.evaluation.bench import Bench, score
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.records.evaluation import WorstCase, WorstWidth
from harden.runtime.parity import run_torch
from harden.streams import generator, numpy_generator
from harden.tasks import Scores

if TYPE_CHECKING:
    from harden.graph.file import Model

WIDTHS = (0.01, 0.03, 0.1, 0.3)
_IMAGES = 128
_CHIPS_FOR_BOX = 32
_ALLOWED_DISAGREEMENT = 0.01


def worst_case(
    judge: Judge, model: Model, *, widths: Sequence[float] = WIDTHS, steps: int = 20, restarts: int = 1
) -> WorstCase:
    """Accuracy of the worst weights that projected gradient ascent finds within a box around the model's.

    The box of each weight is ``width`` times the root mean square of its deviation over 32 chips. From a random point
    of the box, each step moves every weight by a fraction of its box along the sign of the gradient of the
    cross-entropy of 128 random images, and back into the box. The weights found run in ONNX Runtime on all images.

    The result is an upper bound of the worst accuracy in the box: ascent may miss worse points. Chips are far rarer
    there than in the middle, so this is no percentile.

    Args:
        judge: Labelled examples, and the noise whose size gives the box: its first condition.
        model: The model.
        widths: Sizes of the box, in standard deviations.
        steps: Steps of ascent, of 2.5 widths over their number each.
        restarts: Random starts; the worst of them counts.

    Raises:
        SettingsError: A width that is not positive, or no steps.
        VerificationError: ONNX Runtime and torch disagree on the weights found.

    Source: projected gradient ascent on weights: Büchel et al., ICLR 2022 (there the box is a fraction of |w|); step
    size after Madry et al., ICLR 2018.
    """
    if not widths or min(widths) <= 0 or steps < 1 or restarts < 1:
        raise SettingsError("the worst case needs positive widths, and at least one step and one start")
    with judge.bench(model) as bench:
        module = model.module(bench.task.outputs).eval()
        module.periphery = bench.periphery.hook(judge.condition.profile, seed=judge.seed)
        attack = _Attack(judge, bench, module, _box(bench, judge.condition, judge.seed), steps)
        rows = []
        for width in widths:
            tried = [attack.row(width, restart) for restart in range(restarts)]
            rows.append(min(tried, key=lambda row: row.accuracy or 0.0))
        return WorstCase(clean=bench.clean_headline, worst_case=tuple(rows), steps=steps, restarts=restarts)


def _box(bench: Bench, condition: Condition, seed: int) -> dict[str, torch.Tensor]:
    squares = {k: torch.zeros_like(w.tensor.detach()) for k, w in bench.weights.items()}
    for index in range(_CHIPS_FOR_BOX):
        chip = condition.profile.perturb(bench.weights, seed=seed, path=("box", index), at_s=condition.time)
        for k, w in bench.weights.items():
            squares[k] += (chip[k].detach() - w.tensor.detach()) ** 2
    return {k: (s / _CHIPS_FOR_BOX).sqrt() for k, s in squares.items()}


@dataclass(frozen=True)
class _Attack:
    """Projected gradient ascent of the loss within a box of weights.

    Attributes:
        judge: The examples, the noise, and the threads.
        bench: The model and its data.
        module: The model in torch, with what stands around its crossbars.
        box: The root mean square deviation of each weight, by key.
        steps: Steps of ascent.
    """

    judge: Judge
    bench: Bench
    module: torch.nn.Module
    box: Mapping[str, torch.Tensor]
    steps: int

    def row(self, width: float, restart: int) -> WorstWidth:
        """What ascent from one random start finds in a box of this many standard deviations."""
        bench, seed, profile = self.bench, self.judge.seed, self.judge.condition.profile
        data, cores = self.judge.data, self.judge.where.cores
        labels = np.asarray(data.labels)
        clean = {k: w.tensor.detach() for k, w in bench.weights.items()}
        half = {k: width * b for k, b in self.box.items()}
        point = {
            k: torch.empty_like(b).uniform_(-1, 1, generator=generator(seed, "worst", restart, k))
            for k, b in half.items()
        }
        start = score(bench, {k: clean[k] + point[k] * half[k] for k in clean}, profile, threads=cores)
        size = 2.5 / self.steps
        for step in range(self.steps):
            rng = numpy_generator(seed, "worst", "images", restart, step)
            chosen = np.sort(rng.choice(len(data), min(_IMAGES, len(data)), replace=False))
            weights = {k: clean[k] + point[k] * half[k] for k in clean}
            _, gradients = loss_and_gradients(self.module, weights, bench.feed.take(chosen), labels[chosen], bench.task)
            point = {k: (point[k] + size * gradients[k].sign()).clamp(-1, 1) for k in clean}
        worst = {k: clean[k] + point[k] * half[k] for k in clean}
        scores = score(bench, worst, profile, threads=cores)
        if not profile.periphery.output_noise:  # which differs between the two
            _check(bench, self.module, worst, scores)
        return WorstWidth(
            width=float(width),
            accuracy=bench.headline(scores),
            loss=scores.values["loss"],
            random=bench.headline(start),
        )


def _check(bench: Bench, module: torch.nn.Module, weights: Mapping[str, torch.Tensor], scores: Scores) -> None:
    """The classes ONNX Runtime names are those torch names; a tie or two may fall the other way."""
    head = bench.feed.head(_IMAGES)
    differ = 1 - bench.task.same_answers(run_torch(module, head, weights)[0], scores)
    if differ > max(_ALLOWED_DISAGREEMENT, 1.5 / min(len(head[0]), bench.feed.examples)):
        raise VerificationError(
            f"torch and ONNX Runtime name different classes for {differ:.1%} of images on the worst chip",
            fix="Run harden inspect on the model",
        )
