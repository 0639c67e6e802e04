"""The model card: README.md with the Hugging Face model-index header, from the document alone.

Names of files only, never their folders: a card is meant to be published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from harden.report.blocks import Bullets, Table
from harden.report.conditions import Trials
from harden.report.document import Document, Reading
from harden.report.sections import limits, summary
from harden.report.verdict import verdict
from harden.words import clean, file_name, known


def markdown(document: Document | Reading) -> str:
    """The card as Markdown text.

    Args:
        document: A report document.

    Returns:
        YAML header and Markdown body; the same document gives the same text.
    """
    reading = Reading(document)
    parts = [
        "---",
        *_yaml(_header(reading)),
        "---",
        "",
        f"# {_text(reading.model_name)}",
        "",
        _text(verdict(reading)),
        "",
    ]
    if results := summary.build(reading).blocks:
        parts += ["## Results", ""]
        for block in results:
            parts += _table(block) if isinstance(block, Table) else [_text(getattr(block, "text", ""))]
            parts.append("")
    parts += ["## Use", "", *_use(reading), ""]
    parts += [f"## {limits.TITLE}", ""]
    for block in limits.build(reading).blocks:
        if isinstance(block, Bullets):
            parts += [f"- {_text(item.replace('`', ''))}" for item in block.items]
    parts += ["", "## How it was made", "", *_made(reading), ""]
    return "\n".join(parts)


def _header(reading: Reading) -> Mapping[str, object]:
    header: dict[str, object] = {"library_name": "onnx"}
    if reading.headline.name == "accuracy" and _images(reading):
        header["pipeline_tag"] = "image-classification"
    header["tags"] = ["onnx", "harden", "compute-in-memory", "noise-robustness"]
    results = [r for condition in reading.conditions for r in _results(reading, condition.label, condition.subject)]
    if results:
        header["metrics"] = [reading.measure]
        header["model-index"] = [{"name": _stem(reading.model_name), "results": results}]
    return header


def _results(reading: Reading, label: str, trials: Trials) -> list[Mapping[str, object]]:
    source = file_name(reading.data.source or "unknown")
    spread = trials.spread
    values = [
        (f"{reading.measure} without noise", trials.without_noise),
        (f"mean {reading.measure} over {trials.chips} chips, {label}", spread.mean),
        (f"standard deviation over {trials.chips} chips, {label}", spread.std),
        (f"worst of {trials.chips} chips, {label}", spread.min),
    ]
    metrics = [{"type": reading.measure, "name": name, "value": value} for name, value in values if known(value)]
    kind = "image-classification" if _images(reading) else "tabular-classification"
    task = {"type": kind, "name": "classification under hardware weight noise"}
    if reading.headline.name != "accuracy":
        task = {"type": "other", "name": f"{reading.measure} under hardware weight noise"}
    return [{"task": task, "dataset": {"type": _stem(source), "name": source}, "metrics": metrics}] if metrics else []


def _images(reading: Reading) -> bool:
    source = reading.data.source.lower()
    return bool(source) and not source.endswith((".npz", ".csv"))


def _use(reading: Reading) -> list[str]:
    file = "model.onnx" if reading.kind == "fit" else file_name(reading.model_name)
    return [
        "The graph, its inputs and its outputs are those of the original file; only numbers changed.",
        "",
        "```python",
        "import onnxruntime",
        "",
        *_session(file, reading.model.session),
        "```",
    ]


def _session(file: str, options: Mapping[str, str]) -> list[str]:
    """Code that opens the file as it was opened for the figures."""
    if not options:
        return [f"session = onnxruntime.InferenceSession({json.dumps(file)})"]
    return [
        "options = onnxruntime.SessionOptions()  # as for the figures above; by default layers run on integers",
        *(f"options.add_session_config_entry({json.dumps(k)}, {json.dumps(v)})" for k, v in options.items()),
        f"session = onnxruntime.InferenceSession({json.dumps(file)}, options)",
    ]


def _made(reading: Reading) -> list[str]:
    rows: list[tuple[str, object]] = [("method", reading.method), ("noise profile", reading.profile)]
    rows.append(("seed", reading.seed))
    for role, evaluation in reading.evaluations:
        sha = evaluation.model.sha256 if evaluation.model else ""
        rows.append(("sha256" if role == "network" else f"sha256, {role}", sha))
    rows.append(("test data, sha256", reading.data.sha256))
    for condition in reading.conditions:
        rows.append((f"profile digest, {condition.label}", condition.subject.entry.digest))
    shown = [[clean(name), clean(value)] for name, value in dict(rows).items() if value not in (None, "")]
    return _table(Table(["what", "value"], shown, "ll"))


def _table(table: Table) -> list[str]:
    marks = ["---:" if a == "r" else "---" for a in table.align]
    rows = [table.head, marks, *table.rows]
    return [f"| {' | '.join(cell if row is marks else _text(cell) for cell in row)} |" for row in rows]


def _yaml(value: Mapping[str, object] | Sequence[object], indent: int = 0) -> list[str]:
    """YAML in block style; scalars as JSON, which YAML includes."""
    pad = "  " * indent
    lines: list[str] = []
    items = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for key, item in items:
        head = f"{pad}- " if key is None else f"{pad}{key}:"
        if isinstance(item, (Mapping, list)):
            inner = _yaml(item, indent + 1)
            if key is None:
                inner[0] = head + inner[0].lstrip()
                lines += inner
            else:
                lines += [head, *inner]
        else:
            scalar = json.dumps(item, ensure_ascii=True)
            lines.append(f"{head}{scalar}" if key is None else f"{head} {scalar}")
    return lines


def _text(text: object) -> str:
    """Text in which Markdown and HTML mean nothing."""
    escaped = clean(text).replace("\\", "\\\\").replace("\n", " ")
    for mark in "`*_[]<>|#":
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0] or name
