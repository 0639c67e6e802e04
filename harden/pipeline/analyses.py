"""Analyses beside the trials, asked for by ``harden eval --also NAME``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harden.analyses.field_calibration import per_chip
from harden.analyses.landscape import landscape
from harden.analyses.layer_ranking import rank_layers
from harden.analyses.rare_failures import rare_failures
from harden.analyses.sensitivity import sensitivity
from harden.analyses.sweeps import corners, stress
from harden.analyses.worst_case import worst_case
from harden.data.dataset import Dataset
from harden.errors import SettingsError
from harden.evaluation.evaluate import evaluate
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.progress import Notify
from harden.settings import EvalSettings

_CORNER_CHIPS = 30
_SEVERITIES = (0.5, 1.0, 1.5, 2.0)
_STUCK = "stuck_at"
_STUCK_RATES = (0.0, 0.001, 0.01)


def analyse(
    settings: EvalSettings, model: Model, condition: Condition, data: Dataset, threads: int, notify: Notify
) -> dict[str, Any]:
    """Run every analysis that was asked for, under the first condition.

    Returns:
        ``sensitivity`` (rows per layer, from ``sensitivity`` and ``ranking``), ``sensitivity_r2``, ``worst_case``,
        ``landscape``, ``corners``, ``stress``, ``rare_failures``, ``per_chip``, as asked for.

    Raises:
        SettingsError: ``rare_failures`` without a threshold.
    """
    common: dict[str, Any] = {"seed": settings.seed, "digital": settings.digital}

    def table(conditions: tuple[Condition, ...]) -> list[dict[str, Any]]:
        chips = min(settings.chips, _CORNER_CHIPS)
        return evaluate(model, conditions, data, chips=chips, threads=threads, **common).document["profiles"]

    calls: dict[str, Callable[[], dict[str, Any]]] = {
        "sensitivity": lambda: sensitivity(model, condition, data, threads=threads, **common),
        "ranking": lambda: rank_layers(model, condition, data, threads=threads, **common),
        "per_chip": lambda: per_chip(model, condition, data, threads=threads, **common),
        "worst_case": lambda: {"worst_case": worst_case(model, condition, data, **common)},
        "landscape": lambda: {"landscape": landscape(model, condition, data, threads=threads, **common)},
        "corners": lambda: {"corners": table(corners(condition.profile, _corner_axes(settings, condition)))},
        "stress": lambda: {"stress": table(stress(condition.profile, condition.at_s))},
        "rare_failures": lambda: {
            "rare_failures": rare_failures(model, condition, data, _threshold(settings), **common)
        },
    }
    found: dict[str, Any] = {}
    for number, name in enumerate(settings.also):
        notify("analyses", number, len(settings.also))
        result = calls[name]()
        if "sensitivity" in result:
            # Both analyses of layers fill the same table, one row per layer.
            rows = _joined(found.get("sensitivity", []), result["sensitivity"])
            result = {"sensitivity": rows, **{key: result[key] for key in ("sensitivity_r2",) if key in result}}
        found.update(result)
    if settings.also:
        notify("analyses", len(settings.also), len(settings.also))
    return found


def _corner_axes(settings: EvalSettings, condition: Condition) -> dict[str, tuple[float, ...]]:
    """Noise scale, the times that were asked for, and stuck cells where the profile can have them."""
    axes: dict[str, tuple[float, ...]] = {"severity": _SEVERITIES}
    if len(settings.at) > 1:
        axes["at_s"] = settings.at
    if _STUCK in condition.profile.parameters:
        axes[_STUCK] = _STUCK_RATES
    return axes


def _threshold(settings: EvalSettings) -> float:
    if settings.threshold is None:
        raise SettingsError("--also rare_failures needs --threshold: the accuracy below which a chip fails")
    return settings.threshold


def _joined(known: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_key = {row["key"]: row for row in known}
    merged = [{**by_key.pop(row["key"], {}), **row} for row in rows]
    return merged + list(by_key.values())
