"""What a calibration in the field would give: every chip with batch norms re-estimated on inputs that passed that chip.

It is another claim than a file that works on every chip, so it is measured beside the trials and never mixed with them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from harden.errors import UnsupportedError
from harden.evaluation.bench import Bench, score
from harden.evaluation.input_feed import fitted
from harden.evaluation.judge import Judge
from harden.evaluation.trials import draw_chip
from harden.evaluation.where import Where
from harden.records.condition import Spread
from harden.records.evaluation import FieldCalibration
from harden.runtime.copy import RuntimeCopy
from harden.statistics.difference import paired_difference
from harden.statistics.intervals import describe
from harden.streams import numpy_generator
from harden.transforms.batch_norm import reestimate, statistics

if TYPE_CHECKING:
    from harden.graph.file import Model

_BATCH = 128


def per_chip(judge: Judge, model: Model, *, chips: int = 20, inputs: int = 512) -> FieldCalibration:
    """Accuracy of chips as they come, and with batch norms of their own.

    Some examples are set aside. Their inputs (never their labels) pass a chip, and the running statistics of its batch
    norms become those of this chip. Both accuracies are of the other examples, on the same chips, in ONNX Runtime.

    Args:
        judge: Labelled examples, and the noise: its first condition. The chips are those that it judges models by.
        model: The model.
        chips: How many chips.
        inputs: Examples to calibrate on; at most half of them all.

    Raises:
        UnsupportedError: The graph keeps no batch norms, or converters stand around its layers.

    Source: Joshi et al., Nat. Commun. 11, 2473 (2020) (AdaBS).
    """
    condition, seed, data = judge.condition, judge.seed, fitted(model, judge.data)
    net = model.module()
    if not statistics(net):
        fix = "Fold nothing: give the file with its batch norms" if model.batch_norm == "folded" else None
        raise UnsupportedError("the graph keeps no batch norms to calibrate", where=model.source, fix=fix)
    if condition.profile.periphery.on:
        raise UnsupportedError("per_chip does not know converters and output noise", fix="Leave their knobs out")
    rng = numpy_generator(seed, "per_chip", "examples")
    order = rng.permutation(len(data))
    count = max(1, min(inputs, len(data) // 2))
    chosen, rest = np.sort(order[:count]), np.sort(order[count:])
    batches = [
        tuple(torch.from_numpy(np.asarray(part, order="C")) for part in data.feed(chosen[at : at + _BATCH]))
        for at in range(0, count, _BATCH)
    ]
    before, after = [], []
    with replace(judge, data=data.subset(rest)).bench(model) as bench:
        for index in range(chips):
            chip = draw_chip(condition, bench.weights, seed=seed, index=index)
            before.append(bench.headline(score(bench, chip, condition.profile, threads=judge.where.cores)))
            own = reestimate(net, batches, lambda _, chip=chip: chip)
            after.append(_accuracy(bench, model.with_weights(own), chip, judge.where))
    difference = paired_difference(np.array(before), np.array(after))
    return FieldCalibration(
        chips=chips,
        calibration_examples=count,
        examples=len(rest),
        as_it_is=Spread.model_validate(describe(before)),
        calibrated=Spread.model_validate(describe(after)),
        gain=difference["mean"],
        gain_ci95=None if difference["ci95"] is None else (difference["ci95"][0], difference["ci95"][1]),
    )


def _accuracy(bench: Bench, model: Model, chip: Mapping[str, torch.Tensor], where: Where) -> float:
    """A chip's accuracy on the bench's examples, with this model's batch norms."""
    tally = bench.scorer.tally()
    with tempfile.TemporaryDirectory(prefix="harden-") as folder:
        copy = RuntimeCopy.build(model, Path(folder), where.digital)
        copy.device = bench.copy.device
        session = copy.session(chip, threads=where.cores)
        for batch, count in bench.feed:
            tally.add([output[:count] for output in session.run(*batch)])
    return bench.headline(tally.result())
