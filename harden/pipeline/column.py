"""What a column-referenced mapping would give for nothing: 20 chips, beside the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harden.data.dataset import Dataset
from harden.evaluation.evaluate import evaluate
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.progress import Notify, silent

CHIPS = 20


def add_column_baseline(
    document: dict[str, Any],
    model: Model,
    conditions: Sequence[Condition],
    data: Dataset,
    *,
    seed: int,
    threads: int,
    digital: tuple[str, ...] = (),
    chips: int = CHIPS,
    trials: Path | None = None,
    notify: Notify = silent,
) -> None:
    """Put ``column_baseline`` into each entry whose profile refers to the largest weight of the tensor.

    Much of what rescaling gains is what hardware with a digital scale per column gives by itself, so a gain is shown
    beside it. Entries of other profiles get ``None``.

    Args:
        document: A ``harden.eval/1`` document of these conditions; changed.
        model: The model it is of.
        conditions: In the document's order.
        data: The examples.
        seed: The run's root seed: the same chips.
        threads: Processor threads.
        digital: Globs of tensors kept off the crossbars.
        chips: Chips of the run; at most 20 are used.
        trials: The run's own log; the logs of these chips lie beside it, so that a killed run resumes.
        notify: Told of progress.
    """
    count = min(chips, CHIPS)
    for number, (entry, condition) in enumerate(zip(document["profiles"], conditions, strict=True)):
        entry["column_baseline"] = None
        profile = condition.profile
        if not profile.scales_with_range or profile.parameters.get("reference") != "tensor":
            continue
        column = Condition(
            replace(profile, knobs={**profile.knobs, "reference": "column"}), condition.at_s, copies=condition.copies
        )
        found = evaluate(
            model,
            column,
            data,
            chips=count,
            seed=seed,
            threads=threads,
            digital=digital,
            progress=lambda done, total: notify("chips of a mapping that scales each column", done, total),
            trials=None if trials is None else trials.with_name(f"trials.column-{number}.jsonl"),
        ).document
        entry["column_baseline"] = {"chips": count, "accuracy": found["profiles"][0]["accuracy"]}
