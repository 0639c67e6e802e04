"""The run once more, trained in another way and judged on the same chips.

Controls show what fine-tuning without noise does, with the levers and without; an ablation shows what each lever
contributed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harden import pacing
from harden.errors import SettingsError
from harden.levers import in_use, levers, without
from harden.pipeline.hardening import Hardened, training_plan
from harden.pipeline.prepare import Prepared
from harden.progress import Notify
from harden.records import AnotherTraining
from harden.runfolder import RunFolder
from harden.training.listener import Listener
from harden.training.plan import TrainingPlan
from harden.words import label


@dataclass(frozen=True)
class Variant:
    """Another way to train.

    Attributes:
        name: What the record calls it.
        label: What the report calls it.
        stage: What progress calls it.
        plan: How to train; what it keeps digital is digital on the chips, too.
        file: Part of the names of its files in the run folder.
    """

    name: str
    label: str
    stage: str
    plan: TrainingPlan
    file: str


Trainings = Mapping[str, AnotherTraining]


def run_controls(prepared: Prepared, folder: RunFolder, notify: Notify, hardened: Hardened) -> Trainings | None:
    """Fine-tune without noise for as many steps, and judge the results on the same chips.

    The other control, no fine-tuning at all, is the ``before`` of every run.

    Args:
        prepared: What the run works on.
        folder: The run folder; keeps each control's record, so that a killed run resumes.
        notify: Called with stage, done and total.
        hardened: How the run trained.

    Returns:
        The controls by name; None where the run trains or reports nothing.
    """
    if prepared.problem is None or prepared.test is None:
        return None
    plan = hardened.plan or training_plan(prepared)
    steps, most = hardened.training.steps, pacing.current().control_steps
    steps = min(steps, most) if steps and most else steps
    plan = plan.replace(method="none", options={}, steps=steps)
    bare = without(plan, [lever.name for lever in levers() if lever.trains and not lever.needs_noise])
    variants = [
        Variant("none", "noise-free fine-tuning, same levers", "control none", plan, "none"),
        Variant("none_bare", "noise-free fine-tuning, no levers", "control none_bare", bare, "none_bare"),
    ]
    return _variants(prepared, folder, notify, "controls", variants)


def run_ablation(prepared: Prepared, folder: RunFolder, notify: Notify, hardened: Hardened) -> Trainings | None:
    """Leave one lever out at a time: each is one more training of as many steps, and one more set of chips.

    Nothing is chosen by the result, so it may be taken on the data that is reported on.

    Args:
        prepared: What the run works on.
        folder: The run folder; keeps each record, so that a killed run resumes.
        notify: Called with stage, done and total.
        hardened: How the run trained.

    Returns:
        By lever the run without it; None where the run trains or reports nothing.
    """
    if hardened.plan is None or prepared.test is None:
        return None
    records = hardened.training.levers
    plan = hardened.plan.replace(steps=hardened.training.steps)
    used = in_use(plan, records, prepared.model.batch_norm == "kept")
    variants = [
        Variant(
            lever.name,
            f"without {label(lever.name)}",
            f"without {lever.name}",
            lever.left_out(plan, records),
            f"without_{lever.name}",
        )
        for lever in used
    ]
    return _variants(prepared, folder, notify, "ablation", variants)


def _variants(
    prepared: Prepared, folder: RunFolder, notify: Notify, name: str, variants: Sequence[Variant]
) -> Trainings:
    """The records of several variants by name; those that an earlier process of this run left are not made again."""
    makes = {
        variant.name: lambda variant=variant: train_and_judge(prepared, variant, folder.path, notify)
        for variant in variants
    }
    return folder.steps(name, AnotherTraining, makes)


def train_and_judge(prepared: Prepared, variant: Variant, folder: Path, notify: Notify) -> AnotherTraining:
    """Train in another way, and measure the result on the chips that the run is judged by, under its first condition.

    Args:
        prepared: What the run works on; has training, validation and test data.
        variant: How to train.
        folder: The run folder.
        notify: Called with stage, done and total.
    """
    judge = replace(prepared, digital=variant.plan.digital).judge(notify)
    if prepared.problem is None or judge is None:
        raise SettingsError(f"{variant.stage} needs data to train, select and report on")
    trained = prepared.trainer(
        prepared.problem,
        variant.plan,
        Listener(on_progress=lambda at, total, _: notify(variant.stage, at, total)),
        folder / f"checkpoint.{variant.file}.safetensors",
    )
    log = folder / f"trials.{variant.file}.jsonl"
    judge = judge.on(judge.condition)
    most = pacing.current().control_chips
    judge = judge if most is None else judge.few(most)
    record = judge.of(trained.model, trial_log=log, stage=f"chips, {variant.stage}")
    return AnotherTraining(
        label=variant.label,
        accuracy=record.conditions[0].accuracy,
        accuracies=record.conditions[0].accuracies,
        clean=record.clean.accuracy,
        steps=len(trained.history),
        selected_step=trained.selected_step,
        seconds=trained.seconds,
    )
