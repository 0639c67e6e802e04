"""What ``-v`` adds to a result: how it came about, stage by stage, in plain lines."""

from __future__ import annotations

from collections.abc import Mapping

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
    if training.steps is None:
        return []
    took = duration(round(training.seconds or 0, 1))
    steps = f"{training.steps} steps on {training.examples} examples in {took}"
    lines = [f"training: {steps}; kept step {training.selected_step}"]
    for row in training.validation:
        score = f"{row.measure.replace('_', ' ')} {percent(row.score)}"
        lines.append(f"  step {row.step}: {score} on {training.validation_examples} validation examples")
    return lines


def _levers(levers: Mapping[str, object]) -> list[str]:
    names = [name for name, value in levers.items() if value is not None]
    return [f"lever {name.replace('_', ' ')}: {clean(_plain(levers[name]))}" for name in names]


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        parts = [f"{key} {shown(part)}" for key, part in value.items() if not isinstance(part, (list, Mapping))]
        return ", ".join(parts) or "on"
    return f"{len(value)} entries" if isinstance(value, list) else shown(value)


def _chips(title: str, evaluation: EvalRecord) -> list[str]:
    runtime, canary = evaluation.runtime, evaluation.canary
    facts: list[str] = []
    if runtime:
        facts = [
            duration(round(runtime.seconds, 1)) if known(runtime.seconds) else "",
            f"{number(runtime.images_per_second, 4)} images per second" if known(runtime.images_per_second) else "",
            f"{runtime.workers} workers" if runtime.workers is not None else "",
            runtime.engine,
        ]
    if canary:
        facts.append(f"noise seen in {canary.tensors} tensors ({len(canary.inert)} inert)")
    return [f"{title}: {', '.join(filter(None, facts))}"] if any(facts) else []
