"""Analyses beside the trials, asked for by ``harden eval --also NAME``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harden.data.dataset import Dataset
from harden.evaluation.evaluate import evaluate
from harden.evaluation.landscape import landscape
from harden.evaluation.plan import Condition
from harden.evaluation.ranking import rank_layers
from harden.evaluation.sensitivity import sensitivity
from harden.evaluation.sweeps import corners, stress
from harden.evaluation.worst_case import worst_case
from harden.graph.file import Model
from harden.pipeline.progress import Notify
from harden.settings import EvalSettings

_CORNER_CHIPS = 30


def analyse(
    settings: EvalSettings, model: Model, condition: Condition, data: Dataset, threads: int, notify: Notify
) -> dict[str, Any]:
    """Run every analysis that was asked for, under the first condition.

    Returns:
        One key an analysis.
    """
    common: dict[str, Any] = {"seed": settings.seed, "digital": settings.digital}

    def table(conditions: tuple[Condition, ...]) -> list[dict[str, Any]]:
        chips = min(settings.chips, _CORNER_CHIPS)
        return evaluate(model, conditions, data, chips=chips, threads=threads, **common).document["profiles"]

    calls: dict[str, Callable[[], Any]] = {
        "sensitivity": lambda: sensitivity(model, condition, data, threads=threads, **common),
        "ranking": lambda: rank_layers(model, condition, data, threads=threads, **common),
        "worst_case": lambda: worst_case(model, condition, data, **common),
        "landscape": lambda: landscape(model, condition, data, threads=threads, **common),
        "corners": lambda: table(corners(condition.profile)),
        "stress": lambda: table(stress(condition.profile, condition.at_s)),
    }
    found = {}
    for number, name in enumerate(settings.also):
        notify("analyses", number, len(settings.also))
        found[name] = calls[name]()
    if settings.also:
        notify("analyses", len(settings.also), len(settings.also))
    return found
