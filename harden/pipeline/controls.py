"""The controls beside a hardening claim: what fine-tuning without noise does, with the levers and without."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from harden.errors import SettingsError
from harden.pipeline.hardening import Hardened, training_plan
from harden.pipeline.prepare import Prepared
from harden.progress import Notify
from harden.store import read_record, write_atomic
from harden.training.listener import Listener
from harden.training.plan import TrainingPlan

_RECORD = "controls.json"


def run_controls(prepared: Prepared, folder: Path, notify: Notify, hardened: Hardened) -> dict[str, Any] | None:
    """Fine-tune without noise for as many steps, and judge the results on the same chips.

    The other control, no fine-tuning at all, is the ``before`` of every run.

    Args:
        prepared: What the run works on.
        folder: The run folder; keeps each control's record, so that a killed run resumes.
        notify: Called with stage, done and total.
        hardened: How the run trained.

    Returns:
        By name ``label``, ``clean``, and under the first condition ``accuracy`` (over chips) and ``accuracies``. None
        where the run trains or reports nothing.
    """
    if prepared.problem is None or prepared.test is None:
        return None
    plan = replace(
        hardened.plan or training_plan(prepared), method="none", options={}, steps=hardened.training.get("steps")
    )
    plans = {
        "none": ("noise-free fine-tuning, same levers", plan),
        "none_bare": (
            "noise-free fine-tuning, no levers",
            replace(
                plan,
                clip=None,
                rescale_first="off",
                column_scaling="off",
                freeze_batch_norms=0.0,
                range_penalty=0.0,
                kurtosis_penalty=0.0,
                label_smoothing=0.0,
                batch_norm_reestimation="off",
                teacher="none",
                teacher_match="logits",
                teacher_taps=(),
            ),
        ),
    }
    record = folder / _RECORD
    done: dict[str, Any] = read_record(record) or {}
    for name, (label, one) in plans.items():
        if name not in done:
            done[name] = {"label": label, **train_and_judge(prepared, one, f"control {name}", name, folder, notify)}
            write_atomic(record, json.dumps(done, indent=1) + "\n")
    return done


def train_and_judge(
    prepared: Prepared, plan: TrainingPlan, stage: str, name: str, folder: Path, notify: Notify
) -> dict[str, Any]:
    """Train by another plan, and measure the result on the chips that the run is judged by, under its first condition.

    Args:
        prepared: What the run works on; has training, validation and test data.
        plan: How to train.
        stage: What progress calls it.
        name: Part of the names of the checkpoint and the trials in the run folder.
        folder: The run folder.
        notify: Called with stage, done and total.

    Returns:
        ``accuracy`` (over chips), ``accuracies``, ``clean``, ``steps``, ``selected_step``, ``seconds``.
    """
    judge = prepared.judge(notify)
    if prepared.problem is None or judge is None:
        raise SettingsError(f"{stage} needs data to train, select and report on")
    trained = prepared.trainer(
        prepared.problem,
        plan,
        Listener(on_progress=lambda at, total, _: notify(stage, at, total)),
        folder / f"checkpoint.{name}.safetensors",
    )
    log = folder / f"trials.{name}.jsonl"
    document = judge.on(judge.condition).of(trained.model, trial_log=log, stage=f"chips, {stage}").document
    return {
        "accuracy": document["conditions"][0]["accuracy"],
        "accuracies": document["conditions"][0]["accuracies"],
        "clean": document["clean"]["accuracy"],
        "steps": len(trained.history),
        "selected_step": trained.selected_step,
        "seconds": trained.seconds,
    }
