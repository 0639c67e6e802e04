"""The report's ranking of layers: noisy backward passes of the hardened model on a sample of the examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harden import streams
from harden.analyses.layer_ranking import rank_layers
from harden.data.dataset import Dataset
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.progress import Notify, stage
from harden.store import read_record, write_atomic

_RECORD = "layers.json"
_EXAMPLES = 500
_IMAGES = 32
_CHIPS = 20


def layer_ranking(
    hardened: Model,
    condition: Condition,
    data: Dataset,
    *,
    folder: Path,
    seed: int,
    threads: int,
    digital: tuple[str, ...],
    notify: Notify,
) -> dict[str, Any]:
    """Each analog weight's share of the loss's variance under noise, by ``harden.analyses.layer_ranking.rank_layers``.

    Nothing is decided by it. It costs 48 backward passes of 32 examples, and 20 chips on at most 500.

    Args:
        hardened: The hardened model.
        condition: The noise.
        data: Labelled examples; a random sample is used.
        folder: The run folder; keeps the result, so that a killed run does not repeat it.
        seed: The run's root seed.
        threads: Processor threads.
        digital: Globs of tensors kept off the crossbars.
        notify: Told of progress.

    Returns:
        ``sensitivity`` (rows ``key``, ``share``) and ``sensitivity_r2``.
    """
    record = folder / _RECORD
    known = read_record(record)
    if known is not None:
        return known
    with stage(notify, "ranking layers"):
        found = rank_layers(
            hardened,
            condition,
            data.sample(_EXAMPLES, streams.numpy_generator(seed, "layers")),
            images=_IMAGES,
            check=0,
            check_chips=_CHIPS,
            seed=seed,
            digital=digital,
            threads=threads,
        )
    made = {key: found[key] for key in ("sensitivity", "sensitivity_r2")}
    write_atomic(record, json.dumps(made, indent=1) + "\n")
    return made
