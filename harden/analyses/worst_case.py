"""The worst chip inside the profile's box: adversarial weights, found in torch, counted in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harden.analyses.gradients import loss_and_gradients
from harden.errors import SettingsError, VerificationError
from harden.evaluation.bench import Bench, bench_of, score
from harden.evaluation.layout import available_cores
from harden.evaluation.plan import Condition
from harden.evaluation.where import Where
from harden.runtime.parity import run_torch
from harden.streams import generator, numpy_generator

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model

WIDTHS = (0.01, 0.03, 0.1, 0.3)
_IMAGES = 128
_CHIPS_FOR_BOX = 32
_ALLOWED_DISAGREEMENT = 0.01


def worst_case(
    model: Model,
    condition: Condition,
    data: Dataset,
    *,
    widths: Sequence[float] = WIDTHS,
    steps: int = 20,
    restarts: int = 1,
    seed: int = 0,
    digital: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Accuracy of the worst weights that projected gradient ascent finds within a box around the model's.

    The box of each weight is ``width`` times the root mean square of its deviation over 32 chips. From a random point
    of the box, each step moves every weight by a fraction of its box along the sign of the gradient of the
    cross-entropy of 128 random images, and back into the box. The weights found run in ONNX Runtime on all images.

    The result is an upper bound of the worst accuracy in the box: ascent may miss worse points. Chips are far rarer
    there than in the middle, so this is no percentile.

    Args:
        model: The model.
        condition: The noise whose size gives the box.
        data: Labelled examples.
        widths: Sizes of the box, in standard deviations.
        steps: Steps of ascent, of 2.5 widths over their number each.
        restarts: Random starts; the worst of them counts.
        seed: Root seed.
        digital: Globs of weights kept off the crossbars.

    Returns:
        ``clean`` and ``worst_case``: a row a width with ``width``, ``accuracy``, ``loss`` and ``random`` (accuracy at
        the random start: what the same box does without an adversary).

    Raises:
        SettingsError: A width that is not positive, or no steps.
        VerificationError: ONNX Runtime and torch disagree on the weights found.

    Source: projected gradient ascent on weights: Büchel et al., ICLR 2022 (there the box is a fraction of |w|); step
    size after Madry et al., ICLR 2018.
    """
    if not widths or min(widths) <= 0 or steps < 1 or restarts < 1:
        raise SettingsError("the worst case needs positive widths, and at least one step and one start")
    with bench_of(model, data, Where(digital=digital)) as bench:
        module = model.module().eval()
        module.periphery = bench.periphery.hook(condition.profile, seed=seed)
        box = _box(bench, condition, seed)
        rows = []
        for width in widths:
            tried = [_attack(bench, module, condition, data, box, width, steps, seed, r) for r in range(restarts)]
            rows.append(min(tried, key=lambda row: row["accuracy"]))
        return {"clean": bench.clean["accuracy"], "worst_case": rows, "steps": steps, "restarts": restarts}


def _box(bench: Bench, condition: Condition, seed: int) -> dict[str, torch.Tensor]:
    squares = {k: torch.zeros_like(w.tensor.detach()) for k, w in bench.weights.items()}
    for index in range(_CHIPS_FOR_BOX):
        chip = condition.profile.perturb(bench.weights, seed=seed, path=("box", index), at_s=condition.time)
        for k, w in bench.weights.items():
            squares[k] += (chip[k].detach() - w.tensor.detach()) ** 2
    return {k: (s / _CHIPS_FOR_BOX).sqrt() for k, s in squares.items()}


def _attack(
    bench: Bench,
    module: torch.nn.Module,
    condition: Condition,
    data: Dataset,
    box: Mapping[str, torch.Tensor],
    width: float,
    steps: int,
    seed: int,
    restart: int,
) -> dict[str, Any]:
    labels = np.asarray(data.labels)
    clean = {k: w.tensor.detach() for k, w in bench.weights.items()}
    half = {k: width * b for k, b in box.items()}
    point = {
        k: torch.empty_like(b).uniform_(-1, 1, generator=generator(seed, "worst", restart, k)) for k, b in half.items()
    }
    cores = available_cores()
    start = score(bench, {k: clean[k] + point[k] * half[k] for k in clean}, condition.profile, threads=cores)
    size = 2.5 / steps
    for step in range(steps):
        rng = numpy_generator(seed, "worst", "images", restart, step)
        chosen = np.sort(rng.choice(len(data), min(_IMAGES, len(data)), replace=False))
        weights = {k: clean[k] + point[k] * half[k] for k in clean}
        _, gradients = loss_and_gradients(module, weights, bench.feed.take(chosen), labels[chosen], bench.kind)
        point = {k: (point[k] + size * gradients[k].sign()).clamp(-1, 1) for k in clean}
    found = {k: clean[k] + point[k] * half[k] for k in clean}
    scores = score(bench, found, condition.profile, threads=cores)
    if not condition.profile.periphery.output_noise:  # which differs between the two
        _check(bench, module, found, scores.predicted)
    return {
        "width": float(width),
        "accuracy": scores.values["accuracy"],
        "loss": scores.values["loss"],
        "random": start.values["accuracy"],
    }


def _check(bench: Bench, module: torch.nn.Module, weights: Mapping[str, torch.Tensor], predicted: np.ndarray) -> None:
    """The classes ONNX Runtime names are those torch names; a tie or two may fall the other way."""
    if bench.kind not in ("logits", "probabilities"):
        return
    head = bench.feed.head(_IMAGES)
    output = run_torch(module, head, weights)[0]
    count = min(len(head[0]), len(predicted))
    differ = float((output.reshape(len(head[0]), -1).argmax(1)[:count] != predicted[:count]).mean())
    if differ > max(_ALLOWED_DISAGREEMENT, 1.5 / count):
        raise VerificationError(
            f"torch and ONNX Runtime name different classes for {differ:.1%} of images on the worst chip",
            fix="Run harden inspect on the model",
        )
