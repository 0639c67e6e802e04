"""What each lever contributed: the run once more without it, judged on the same chips."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harden.pipeline.controls import train_and_judge
from harden.pipeline.hardening import Hardened
from harden.pipeline.prepare import Prepared
from harden.progress import Notify
from harden.store import read_record, write_atomic
from harden.training.plan import TrainingPlan

_RECORD = "ablation.json"
# By lever, the fields of the plan that switch it off, and only it.
_OFF: dict[str, dict[str, Any]] = {
    "clip": {"clip": None, "clip_anneal": 0.0},
    "rescale_first": {"rescale_first": "off"},
    "column_scaling": {"column_scaling": "off"},
    "freeze_batch_norms": {"freeze_batch_norms": 0.0},
    "batch_norm_reestimation": {"batch_norm_reestimation": "off"},
    "teacher": {"teacher": "none", "teacher_match": "logits", "teacher_taps": ()},
    "train_sigma_scale": {"train_sigma_scale": 1.0},
    "noise_ramp": {"noise_ramp": 0.0},
    "penalty": {"range_penalty": 0.0, "kurtosis_penalty": 0.0},
    "label_smoothing": {"label_smoothing": 0.0},
}


def run_ablation(prepared: Prepared, folder: Path, notify: Notify, hardened: Hardened) -> dict[str, Any] | None:
    """Leave one lever out at a time: each is one more training of as many steps, and one more set of chips.

    Nothing is chosen by the result, so it may be taken on the data that is reported on.

    Args:
        prepared: What the run works on.
        folder: The run folder; keeps each record, so that a killed run resumes.
        notify: Called with stage, done and total.
        hardened: How the run trained.

    Returns:
        By lever ``label``, ``clean``, and under the first condition ``accuracy`` (over chips) and ``accuracies``, of
        the run without it. None where the run trains or reports nothing.
    """
    if hardened.plan is None or prepared.test is None:
        return None
    levers = hardened.training["levers"]
    plan = replace(hardened.plan, steps=hardened.training["steps"])
    record = folder / _RECORD
    done: dict[str, Any] = read_record(record) or {}
    kept_digital = tuple((levers.get("protect") or {}).get("names") or ())
    for name in levers_in_use(plan, levers, prepared.model.batch_norm == "kept"):
        if name in done:
            continue
        here, one = prepared, replace(plan, **_OFF.get(name, {}))
        if name == "protect":
            here = replace(prepared, digital=tuple(g for g in prepared.digital if g not in kept_digital))
            one = replace(plan, digital=here.digital)
        found = train_and_judge(here, one, f"without {name}", f"without_{name}", folder, notify)
        done[name] = {"label": f"without {name.replace('_', ' ')}", **found}
        write_atomic(record, json.dumps(done, indent=1) + "\n")
    return done


def levers_in_use(plan: TrainingPlan, levers: Mapping[str, Any], batch_norms: bool) -> list[str]:
    """The levers whose absence would change the run.

    Args:
        plan: How the run trained.
        levers: What the run recorded of its levers; empty before the run, when ``auto`` counts as on.
        batch_norms: Whether the graph keeps batch norms.
    """
    known = bool(levers)
    on = {
        "clip": bool(levers.get("clip")) if known else plan.clip is not None,
        "rescale_first": plan.rescale_first == "on",
        "column_scaling": bool(levers.get("column_scaling")) if known else plan.column_scaling != "off",
        "freeze_batch_norms": batch_norms and plan.frozen_share > 0,
        "batch_norm_reestimation": batch_norms and plan.batch_norm_reestimation != "off",
        "teacher": plan.teacher != "none",
        "train_sigma_scale": plan.train_sigma_scale != 1.0,
        "noise_ramp": plan.noise_ramp > 0,
        "penalty": plan.range_penalty > 0 or plan.kurtosis_penalty > 0,
        "label_smoothing": plan.label_smoothing > 0,
        "protect": bool((levers.get("protect") or {}).get("layers")),
    }
    return [name for name, used in on.items() if used]
