"""How to make this report again: command, data, seeds, versions, digests."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from harden.report.blocks import Block, Code, Details, Facts, Paragraph, Section, Table
from harden.report.document import Document, Reading, name_of
from harden.report.words import clean, duration, known, label, number, shown

ORDER = 200
TITLE = "The record"
_NAMED = 20


def applies(document: Document) -> bool:
    """Always."""
    return bool(Reading(document).kind)


def build(document: Document) -> Section:
    """The command, the digests, and the settings folded away."""
    reading = Reading(document)
    blocks: list[Block] = []
    command = reading.document.get("command")
    if command:
        blocks.append(Code(clean(command if isinstance(command, str) else shlex.join(str(part) for part in command))))
    if check := reading.document.get("check_command"):
        blocks.append(
            Paragraph("What measures the hardened file again; RUN is the folder of this report.", tone="note")
        )
        blocks.append(Code(clean(check)))
    blocks.append(Facts(_facts(reading), code=True))
    for title, key in (("Settings, resolved", "settings"), ("Environment", "environment"), ("Files", "artifacts")):
        rows = list(_flat(reading.part(key)))
        if rows:
            blocks.append(Details(title, [Table(["", ""], rows, "ll")]))
    profiles = _profiles(reading)
    if profiles:
        blocks.append(Details("Noise profiles, resolved", [Table(["profile", "parameter", "value"], profiles, "lll")]))
    return Section(TITLE, blocks)


def _facts(reading: Reading) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    paths = []
    for role, evaluation in reading.evaluations:
        model = evaluation.get("model") or {}
        name = "model" if role == "network" else f"model, {clean(role)}"
        # A hardened model still names the file it came from.
        if model.get("path") and model["path"] not in paths:
            facts.append((name, clean(model["path"])))
            paths.append(model["path"])
        if model.get("sha256"):
            facts.append((f"{name}, sha256", clean(model["sha256"])))
    if reading.method:
        facts.append(("method", reading.method))
    if options := reading.part("settings", "options"):
        facts.append(("method options", shown(options)))
    data = reading.data
    if data.get("source"):
        facts.append(("test data", clean(data["source"])))
        facts.append(("test data, examples", number(data.get("examples"))))
        facts += _classes(data.get("classes") or {})
        facts.append(("test data, sha256", clean(data.get("sha256") or "")))
    facts += _training_data(reading)
    if preprocess := reading.part("preprocess"):
        facts.append(("preprocessing", shown({k: v for k, v in preprocess.items() if v is not None})))
    digests = dict.fromkeys((c.name, t.entry.get("digest")) for c in reading.conditions for t in c.trials[-1:])
    facts += [(f"profile {clean(n)}, digest", clean(d)) for n, d in digests if d]
    if reading.seed is not None:
        facts.append(("seed", shown(reading.seed)))
    if versions := _versions(reading):
        facts.append(("versions", ", ".join(f"{clean(k)} {shown(v)}" for k, v in versions)))
    runtime = reading.evaluations[-1][1].get("runtime") if reading.evaluations else None
    if isinstance(runtime, Mapping):
        if known(runtime.get("seconds")):
            facts.append(("validation took", duration(runtime["seconds"])))
        if runtime.get("memory"):
            facts.append(("memory", clean(runtime["memory"])))
        if known(runtime.get("images_per_second")):
            clean_rate = runtime.get("clean_images_per_second")
            against = f" ({clean_rate:,.0f} without noise)" if known(clean_rate) else ""
            facts.append(("examples per second", f"{runtime['images_per_second']:,.0f}{against}"))
    return facts


def _classes(classes: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not classes.get("count"):
        return []
    names = [clean(name) for name in classes.get("names") or []]
    listed = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return [("test data, classes", f"{classes['count']:,}" + (f": {listed}" if names else ""))]


def _training_data(reading: Reading) -> list[tuple[str, str]]:
    facts = []
    for title, key in (("training data", "data"), ("validation data", "validation_data")):
        part = reading.part("training", key)
        if part.get("source"):
            # A split of the training data names the whole, whose digest it keeps.
            facts.append((title, f"{clean(part['source'])}, {number(part.get('examples'))} examples"))
            facts.append((f"{title}, sha256", clean(part.get("sha256") or "")))
    return facts


def _versions(reading: Reading) -> list[tuple[str, Any]]:
    environment = reading.part("environment")
    versions = environment.get("versions") or environment.get("packages")
    if isinstance(versions, Mapping):
        return list(versions.items())
    return [(k, environment[k]) for k in ("harden", "python", "torch", "onnx", "onnxruntime") if environment.get(k)]


def _flat(part: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in part.items():
        name = f"{prefix}{clean(key)}"
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{name}.")
        else:
            rows.append((name, shown(value)))
    return rows


def _profiles(reading: Reading) -> list[tuple[str, str, str]]:
    rows = []
    for condition in reading.conditions:
        for key, value in condition.parameters.items():
            rows.append((condition.label, label(key), name_of(value) or shown(value)))
    return list(dict.fromkeys(rows))
