"""How to make this report again: command, data, seeds, versions, digests."""

from __future__ import annotations

from collections.abc import Mapping

from harden.records.evaluation import Classes
from harden.report.blocks import Block, Code, Details, Facts, Paragraph, Section, Table
from harden.report.document import Reading
from harden.words import clean, duration, known, label, number, shown

ORDER = 200
TITLE = "The record"
_NAMED = 20
_VERSIONS = ("harden", "python", "torch", "onnx", "onnxruntime")


def build(reading: Reading) -> Section:
    """The command, the digests, and the settings folded away."""
    blocks: list[Block] = []
    if reading.record.command:
        blocks.append(Code(clean(reading.record.command)))
    if reading.fit and (check := reading.fit.check_command):
        blocks.append(
            Paragraph("This command measures the hardened file again; RUN is the folder of this report.", tone="note")
        )
        blocks.append(Code(clean(check)))
    blocks.append(Facts(_facts(reading), code=True))
    parts: dict[str, Mapping[str, object]] = {
        "Settings, resolved": reading.record.settings,
        "Environment": reading.environment.to_json() if reading.environment else {},
        "Files": reading.fit.artifacts if reading.fit else {},
    }
    for title, part in parts.items():
        if rows := _flat(part):
            blocks.append(Details(title, [Table(["", ""], rows, "ll")]))
    if profiles := _profiles(reading):
        blocks.append(Details("Noise profiles, resolved", [Table(["profile", "parameter", "value"], profiles, "lll")]))
    return Section(TITLE, blocks)


def _facts(reading: Reading) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    paths = []
    for role, evaluation in reading.evaluations:
        model = evaluation.model
        if model is None:
            continue
        name = "model" if role == "network" else f"model, {clean(role)}"
        # A hardened model still names the file it came from.
        if model.path and model.path not in paths:
            facts.append((name, clean(model.path)))
            paths.append(model.path)
        if model.sha256:
            facts.append((f"{name}, sha256", clean(model.sha256)))
    if reading.method:
        facts.append(("method", reading.method))
    if options := reading.record.settings.get("options"):
        facts.append(("method options", shown(options)))
    data = reading.data
    if data.source:
        facts.append(("test data", clean(data.source)))
        facts.append(("test data, examples", number(data.examples)))
        facts += _classes(data.classes)
        facts.append(("test data, sha256", clean(data.sha256)))
    facts += _training_data(reading)
    if reading.fit and reading.fit.preprocess:
        preprocess = reading.fit.preprocess.to_json()
        facts.append(("preprocessing", shown({k: v for k, v in preprocess.items() if v is not None})))
    digests = dict.fromkeys((c.name, t.entry.digest) for c in reading.conditions for t in c.trials[-1:])
    facts += [(f"profile {clean(n)}, digest", clean(d)) for n, d in digests if d]
    if reading.seed is not None:
        facts.append(("seed", shown(reading.seed)))
    versions = reading.environment.to_json() if reading.environment else {}
    if listed := [f"{name} {shown(versions[name])}" for name in _VERSIONS if versions.get(name)]:
        facts.append(("versions", ", ".join(listed)))
    runtime = reading.last.runtime if reading.last else None
    if runtime:
        if known(runtime.seconds):
            facts.append(("validation took", duration(runtime.seconds)))
        if runtime.memory:
            facts.append(("memory", clean(runtime.memory)))
        if known(runtime.images_per_second):
            clean_rate = runtime.clean_images_per_second
            against = f" ({clean_rate:,.0f} without noise)" if known(clean_rate) else ""
            facts.append(("examples per second", f"{runtime.images_per_second:,.0f}{against}"))
    return facts


def _classes(classes: Classes | None) -> list[tuple[str, str]]:
    if not classes or not classes.count:
        return []
    names = [clean(name) for name in classes.names or ()]
    listed = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return [("test data, classes", f"{classes.count:,}" + (f": {listed}" if names else ""))]


def _training_data(reading: Reading) -> list[tuple[str, str]]:
    facts = []
    training = reading.training
    for title, part in (("training data", training.data), ("validation data", training.validation_data)):
        if part and part.source:
            # A split of the training data names the whole, whose digest it keeps.
            facts.append((title, f"{clean(part.source)}, {number(part.examples)} examples"))
            facts.append((f"{title}, sha256", clean(part.sha256)))
    return facts


def _flat(part: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in part.items():
        name = f"{prefix}{clean(key)}"
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{name}.")
        else:
            rows.append((name, shown(value)))
    return rows


def _profiles(reading: Reading) -> list[tuple[str, str, str]]:
    parameters = ((c.label, key, value) for c in reading.conditions for key, value in c.parameters.items())
    return list(dict.fromkeys((name, label(key), shown(value)) for name, key, value in parameters))
