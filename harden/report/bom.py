"""A machine-learning bill of materials in CycloneDX 1.6 JSON: what the file is, what it came from, how well it did.

Source: CycloneDX 1.6 specification, ``component.modelCard``; https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import hashlib
import json
import uuid

from harden.errors import InputError
from harden.records.base import RateInterval
from harden.report.conditions import Trials
from harden.report.document import Document, Reading
from harden.report.sections import limits
from harden.words import clean, file_name, known

Json = dict[str, object]
SPECIFICATION = "1.6"
_TOOLS = ("torch", "onnx", "onnxruntime", "timm", "numpy", "scipy")


def bom(document: Document | Reading) -> Json:
    """The bill of materials of a network.

    The serial number is derived from the document, and there is no timestamp: equal documents give equal bills. Paths
    are reduced to file names.

    Args:
        document: A record of ``harden fit`` or ``eval``, or its JSON.

    Returns:
        A CycloneDX document: plain dicts, lists and numbers.

    Raises:
        InputError: The document compares several networks.

    Example:
        >>> bom({"schema": "harden.eval/1", "model": {"path": "a.onnx"}})["components"][0]["type"]
        'machine-learning-model'
    """
    reading = Reading(document)
    if reading.kind == "compare":
        raise InputError(
            "a bill of materials describes one model", where="schema", fix="Give the report.json of one run"
        )
    digest = hashlib.sha256(json.dumps(reading.record.document, sort_keys=True).encode()).digest()
    versions = reading.environment.to_json() if reading.environment else {}
    components = [_model(reading), *([_data(reading)] if reading.data.source else [])]
    components += [
        {"type": "library", "bom-ref": f"pkg:pypi/{n}@{versions[n]}", "name": n, "version": str(versions[n])}
        | {"purl": f"pkg:pypi/{n}@{versions[n]}"}
        for n in _TOOLS
        if versions.get(n)
    ]
    version = {"version": str(versions["harden"])} if "harden" in versions else {}
    tool = {"type": "application", "name": "harden", **version}
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}",
        "version": 1,
        "metadata": {"tools": {"components": [tool]}, "component": {"type": "file", "name": reading.model_name}},
        "components": components,
    }


def _model(reading: Reading) -> Json:
    last = (reading.last.model if reading.last else reading.model) or reading.model
    component: Json = {"type": "machine-learning-model", "bom-ref": "model", "name": reading.model_name}
    component |= _hashes(last.sha256)
    before = reading.fit.before.model if reading.fit and reading.fit.before else None
    if before:
        ancestor = {"type": "machine-learning-model", "name": reading.model_name, **_hashes(before.sha256)}
        component["pedigree"] = {"ancestors": [ancestor], "notes": f"Weights tuned by harden, method {reading.method}."}
    parameters: Json = {"task": "classification"} if reading.headline.name == "accuracy" else {}
    if reading.data.source:
        parameters["datasets"] = [{"ref": "test-data"}]
    card: Json = {"modelParameters": parameters}
    metrics = [m for c in reading.conditions for m in _metrics(reading, c.label, c.subject)]
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    card["considerations"] = {"technicalLimitations": [text.replace("`", "") for text in limits.statements(reading)]}
    component["modelCard"] = card
    properties = {
        "harden:method": reading.method,
        "harden:profile": reading.profile,
        "harden:seed": reading.seed,
        **{f"harden:profile-digest:{c.label}": c.subject.entry.digest or None for c in reading.conditions},
    }
    component["properties"] = [{"name": k, "value": clean(v)} for k, v in properties.items() if v is not None]
    return component


def _data(reading: Reading) -> Json:
    name = file_name(reading.data.source)
    data: Json = {"type": "data", "bom-ref": "test-data", "name": name, **_hashes(reading.data.sha256)}
    if reading.data.examples is not None:
        data["data"] = [{"type": "dataset", "name": f"{name}, {reading.data.examples} examples"}]
    return data


def _metrics(reading: Reading, label: str, trials: Trials) -> list[Json]:
    bounds = trials.ci95_images or trials.ci95
    where = f"{label}, {trials.chips} chips"
    rows: list[tuple[str, float | None, RateInterval | None]] = [
        (f"mean {reading.measure} over chips", trials.mean, bounds),
        (f"5th percentile of {reading.measure} over chips", trials.spread.p05, None),
        (f"worst {reading.measure} of a chip", trials.worst, None),
    ]
    if trials.reached:
        name = f"yield at {reading.measure} {trials.write(trials.threshold)}"
        rows.append((name, trials.reached.value, trials.reached.ci95))
    metrics: list[Json] = []
    for name, value, interval in rows:
        if not known(value):
            continue
        metric: Json = {"type": name, "value": f"{value:.6g}", "slice": where}
        low, high = interval or (None, None)
        if known(low) and known(high):
            metric["confidenceInterval"] = {"lowerBound": f"{low:.6g}", "upperBound": f"{high:.6g}"}
        metrics.append(metric)
    return metrics


def _hashes(sha256: str) -> Json:
    return {"hashes": [{"alg": "SHA-256", "content": sha256}]} if sha256 else {}
