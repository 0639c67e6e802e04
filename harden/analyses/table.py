"""Analyses beside the trials, asked for by ``harden eval --also NAME``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harden.analyses.field_calibration import per_chip
from harden.analyses.landscape import landscape
from harden.analyses.layer_ranking import rank_layers
from harden.analyses.rare_failures import rare_failures
from harden.analyses.sensitivity import sensitivity
from harden.analyses.sweeps import corners, stress
from harden.analyses.worst_case import worst_case
from harden.errors import SettingsError
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.records import ConditionRecord

_CORNER_CHIPS = 30
_SEVERITIES = (0.5, 1.0, 1.5, 2.0)
_STUCK = "stuck_at"
_STUCK_RATES = (0.0, 0.001, 0.01)


def analyse(judge: Judge, model: Model, also: Sequence[str], times: Sequence[float] = ()) -> dict[str, Any]:
    """Run every analysis that was asked for, under the first condition.

    Args:
        judge: The judge of the evaluation that they stand beside.
        model: The model.
        also: Names of analyses.
        times: Seconds since programming that were asked for; several are an axis of the corners.

    Returns:
        ``sensitivity`` (rows per layer, from ``sensitivity`` and ``ranking``), ``sensitivity_r2``, ``worst_case``,
        ``landscape``, ``corners``, ``stress``, ``rare_failures``, ``per_chip``, as asked for.

    Raises:
        SettingsError: ``rare_failures`` without a threshold.
    """
    judge = judge.here()
    condition = judge.condition

    def table(conditions: Sequence[Condition], stage: str) -> tuple[ConditionRecord, ...]:
        return judge.on(*conditions).few(_CORNER_CHIPS).of(model, stage=stage).conditions

    calls: dict[str, Callable[[], dict[str, Any]]] = {
        "sensitivity": lambda: sensitivity(judge, model),
        "ranking": lambda: rank_layers(judge, model),
        "per_chip": lambda: per_chip(judge, model),
        "worst_case": lambda: {"worst_case": worst_case(judge, model)},
        "landscape": lambda: {"landscape": landscape(judge, model)},
        "corners": lambda: {"corners": table(corners(condition.profile, _corner_axes(condition, times)), "corners")},
        "stress": lambda: {"stress": table(stress(condition.profile, condition.at_s), "stress")},
        "rare_failures": lambda: {"rare_failures": rare_failures(judge, model, _threshold(judge.threshold))},
    }
    results: dict[str, Any] = {}
    for number, name in enumerate(also):
        judge.notify("analyses", number, len(also))
        result = calls[name]()
        if "sensitivity" in result:
            # Both analyses of layers fill the same table, one row per layer.
            rows = _joined(results.get("sensitivity", []), result["sensitivity"])
            result = {"sensitivity": rows, **{key: result[key] for key in ("sensitivity_r2",) if key in result}}
        results.update(result)
    if also:
        judge.notify("analyses", len(also), len(also))
    return results


def _corner_axes(condition: Condition, times: Sequence[float]) -> dict[str, tuple[float, ...]]:
    """Noise scale, the times that were asked for, and stuck cells where the profile can have them."""
    axes: dict[str, tuple[float, ...]] = {"severity": _SEVERITIES}
    if len(times) > 1:
        axes["at_s"] = tuple(times)
    if _STUCK in condition.profile.parameters:
        axes[_STUCK] = _STUCK_RATES
    return axes


def _threshold(threshold: float | None) -> float:
    if threshold is None:
        raise SettingsError("--also rare_failures needs --threshold: the accuracy below which a chip fails")
    return threshold


def _joined(earlier: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_key = {row["key"]: row for row in earlier}
    merged = [{**by_key.pop(row["key"], {}), **row} for row in rows]
    return merged + list(by_key.values())
