"""The loss along random directions of the hardware's own noise, and how steep it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from harden.errors import SettingsError
from harden.evaluation.bench import Weights, score_each
from harden.evaluation.judge import Judge
from harden.records.evaluation import Landscape

if TYPE_CHECKING:
    from harden.graph.file import Model

ALPHAS = tuple(round(-2 + 0.2 * i, 10) for i in range(21))


def landscape(judge: Judge, model: Model, *, alphas: Sequence[float] = ALPHAS, repeats: int = 5) -> Landscape:
    """Loss and accuracy at w + a v for v the deviation of a chip, a from -2 to 2, in ONNX Runtime.

    slope = mean over directions and neighbouring points of |loss(a') - loss(a)| / (a' - a). Small is robust.

    Args:
        judge: Labelled examples, and the noise that the directions are drawn from: its first condition. Directions come
            from a stream of their own.
        model: The model.
        alphas: Positions along a direction, rising.
        repeats: How many directions.

    Raises:
        SettingsError: Fewer than two positions, or not rising; no direction.

    Source: Büchel et al., Network insensitivity to parameter noise via parameter attack during training (ICLR 2022),
    with the profile's noise in place of a Gaussian of 0.2 |w|.
    """
    a = np.asarray(alphas, dtype=np.float64)
    if len(a) < 2 or (np.diff(a) <= 0).any() or repeats < 1:
        raise SettingsError("a landscape needs at least two rising positions and one direction", where="alphas")
    condition, seed = judge.condition, judge.seed
    with judge.bench(model) as bench:
        clean = {k: w.tensor.detach() for k, w in bench.weights.items()}

        def at(direction: int, position: float) -> Callable[[], Weights]:
            def make() -> dict[str, torch.Tensor]:
                path = ("landscape", direction)
                chip = condition.profile.perturb(bench.weights, seed=seed, path=path, at_s=condition.time)
                return {k: w + position * (chip[k].detach() - w) for k, w in clean.items()}

            return make

        makers = [at(r, float(p)) for r in range(repeats) for p in a]
        scores = score_each(bench, makers, condition.profile, threads=judge.where.cores, seed=seed)
    loss = np.array([values["loss"] for values in scores]).reshape(repeats, len(a))
    accuracy = np.array([values[bench.scorer.headline.name] for values in scores]).reshape(repeats, len(a))
    return Landscape(
        alpha=a.tolist(),
        loss=tuple(map(tuple, loss.tolist())),
        accuracy=tuple(map(tuple, accuracy.tolist())),
        slope=float((np.abs(np.diff(loss, axis=1)) / np.diff(a)).mean()),
    )
