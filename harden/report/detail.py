"""What ``-v`` adds to a result: how it came about, stage by stage, in plain lines."""

from __future__ import annotations

from typing import Any

from harden.report.words import clean, duration, known, number, percent, shown


def detail(document: dict[str, Any]) -> str:
    """Lines on the model, the check of the file, training, levers and speed, as far as the document knows them.

    Args:
        document: A ``harden.eval/1``, ``harden.fit/1`` or ``harden.compare/1`` document.

    Example:
        >>> print(detail({"runtime": {"seconds": 2.0, "images_per_second": 1000.0, "workers": 2, "engine": "local"}}))
        chips: 2 s, 1,000 images per second, 2 workers, local
    """
    lines = [*_model(document.get("model") or {}), *_training(document.get("training") or {})]
    lines += _levers(document.get("levers") or {})
    parts = {"chips": document} if "runtime" in document else {}
    parts |= {f"chips {role}": document[role] for role in ("before", "after") if isinstance(document.get(role), dict)}
    models = document.get("models")
    if isinstance(models, dict):
        parts |= {f"chips of {name}": one for name, one in models.items() if isinstance(one, dict)}
    for title, part in parts.items():
        lines += _chips(title, part)
    return "\n".join(lines)


def _model(model: dict[str, Any]) -> list[str]:
    if not model.get("sha256"):
        return []
    return [f"model: {clean(model.get('path'))}, opset {model.get('opset')}, sha256 {model['sha256'][:16]}"]


def _training(training: dict[str, Any]) -> list[str]:
    if not known(training.get("steps")):
        return []
    took = duration(round(training.get("seconds") or 0, 1))
    steps, kept = training["steps"], training.get("selected_step")
    lines = [f"training: {steps} steps on {training.get('examples')} examples in {took}; kept step {kept}"]
    for row in training.get("validation") or ():
        scores = ", ".join(f"{key.replace('_', ' ')} {percent(v)}" for key, v in row.items() if key != "step")
        lines.append(f"  step {row.get('step')}: {scores} on {training.get('validation_examples')} validation examples")
    return lines


def _levers(levers: dict[str, Any]) -> list[str]:
    return [
        f"lever {name.replace('_', ' ')}: {clean(_plain(value))}" for name, value in levers.items() if value is not None
    ]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        few = {key: one for key, one in value.items() if not isinstance(one, (list, dict))}
        return ", ".join(f"{key} {shown(one)}" for key, one in few.items()) or "on"
    return f"{len(value)} entries" if isinstance(value, list) else shown(value)


def _chips(title: str, part: dict[str, Any]) -> list[str]:
    runtime, canary = part.get("runtime") or {}, part.get("canary") or {}
    facts = [duration(round(runtime["seconds"], 1))] if known(runtime.get("seconds")) else []
    if known(runtime.get("images_per_second")):
        facts.append(f"{number(runtime['images_per_second'], 4)} images per second")
    if known(runtime.get("workers")):
        facts.append(f"{runtime['workers']} workers")
    facts += [str(runtime["engine"])] if runtime.get("engine") else []
    if canary:
        facts.append(f"noise seen in {canary.get('tensors')} tensors ({len(canary.get('inert') or ())} inert)")
    return [f"{title}: {', '.join(facts)}"] if facts else []
