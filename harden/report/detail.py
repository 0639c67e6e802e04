"""What ``-v`` adds to a result: how it came about, stage by stage, in plain lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harden.records import EvalRecord, TrainingRecord
from harden.records.evaluation import ModelRecord
from harden.report.document import Document, Reading
from harden.words import clean, duration, known, number, percent, shown


def detail(document: Document | Reading) -> str:
    """Lines on the model, the check of the file, training, levers and speed, as far as the document knows them.

    Args:
        document: A record of ``harden eval``, ``fit`` or ``compare``, or its JSON.

    Example:
        >>> runtime = {"seconds": 2.0, "images_per_second": 1000.0, "workers": 2, "engine": "local"}
        >>> print(detail({"schema": "harden.eval/2", "runtime": runtime}))
        chips: 2 s, 1,000 images per second, 2 workers, local
    """
    reading = Reading(document)
    lines = [*_model(reading.model), *_training(reading.training), *_levers(reading.levers)]
    for role, evaluation in reading.evaluations:
        title = "chips" if reading.kind == "eval" else f"chips {role}" if reading.fit else f"chips of {role}"
        lines += _chips(title, evaluation)
    return "\n".join(lines)


def _model(model: ModelRecord) -> list[str]:
    return [f"model: {clean(model.path)}, opset {model.opset}, sha256 {model.sha256[:16]}"] if model.sha256 else []


def _training(training: TrainingRecord) -> list[str]:
    if not known(training.steps):
        return []
    took = duration(round(training.seconds or 0, 1))
    kept = f"kept step {training.selected_step}"
    lines = [f"training: {training.steps} steps on {training.examples} examples in {took}; {kept}"]
    for row in training.validation:
        score = f"{row.measure.replace('_', ' ')} {percent(row.score)}"
        lines.append(f"  step {row.step}: {score} on {training.validation_examples} validation examples")
    return lines


def _levers(levers: Mapping[str, Any]) -> list[str]:
    return [
        f"lever {name.replace('_', ' ')}: {clean(_plain(value))}" for name, value in levers.items() if value is not None
    ]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        few = {key: one for key, one in value.items() if not isinstance(one, (list, dict))}
        return ", ".join(f"{key} {shown(one)}" for key, one in few.items()) or "on"
    return f"{len(value)} entries" if isinstance(value, list) else shown(value)


def _chips(title: str, evaluation: EvalRecord) -> list[str]:
    runtime, canary = evaluation.runtime, evaluation.canary
    facts: list[str] = []
    if runtime and known(runtime.seconds):
        facts.append(duration(round(runtime.seconds, 1)))
    if runtime and known(runtime.images_per_second):
        facts.append(f"{number(runtime.images_per_second, 4)} images per second")
    if runtime and known(runtime.workers):
        facts.append(f"{runtime.workers} workers")
    if runtime and runtime.engine:
        facts.append(runtime.engine)
    if canary:
        facts.append(f"noise seen in {canary.tensors} tensors ({len(canary.inert)} inert)")
    return [f"{title}: {', '.join(facts)}"] if facts else []
