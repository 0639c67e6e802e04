"""What each lever did, and what the controls show without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harden.report.blocks import Block, Figure, Paragraph, Section, Table
from harden.report.charts.bars import Bar, bars
from harden.report.document import Document, Reading
from harden.report.words import clean, known, label, number, percent, plural, points, shown

ORDER = 70
TITLE = "What helped"


def applies(document: Document) -> bool:
    """Where levers or controls are recorded."""
    reading = Reading(document)
    return bool(reading.part("levers") or _controls(reading))


def build(document: Document) -> Section:
    """The controls as bars, and what each lever did in words."""
    reading = Reading(document)
    blocks: list[Block] = []
    controls = _controls(reading)
    if controls:
        blocks.append(_bars(reading, controls))
    rows = [row for name, value in reading.part("levers").items() if (row := _lever(name, value))]
    if rows:
        blocks.append(Table(["lever", "state", "what it did", "points"], rows, "lllr"))
    if not controls:
        blocks.append(
            Paragraph(
                "No controls were run, so the gain is not split between the method and the levers. "
                "Run `--method none` with the same levers to see what the method itself adds.",
                tone="note",
            )
        )
    return Section(TITLE, blocks)


def _controls(reading: Reading) -> list[tuple[str, float]]:
    found = []
    for name, value in reading.part("controls").items():
        mean = _mean(value)
        if mean is not None:
            title = value.get("label") if isinstance(value, Mapping) else None
            found.append((clean(title or label(name)), mean))
    return found


def _mean(value: Any) -> float | None:
    if known(value):
        return float(value)
    if isinstance(value, Mapping):
        for key in ("mean", "accuracy", "mean_accuracy"):
            if (found := _mean(value.get(key))) is not None:
                return found
    return None


def _bars(reading: Reading, controls: list[tuple[str, float]]) -> Figure:
    items = []
    condition = reading.hardest
    before = condition.of("before") if condition else None
    if before:
        items.append(Bar("before", before.spread["mean"], percent(before.spread["mean"]), "before"))
    items += [Bar(name, mean, percent(mean), "series-4") for name, mean in controls]
    if condition:
        mean = condition.subject.spread["mean"]
        items.append(Bar(reading.method or "after", mean, percent(mean), "after"))
    text = ", ".join(f"{item.label} {item.text}" for item in items)
    return bars(
        "controls",
        items,
        alt=f"Mean {reading.measure} over chips: {text}.",
        caption=f"Mean {reading.measure} over chips with and without the parts. Bars start at zero.",
    )


def _lever(name: str, value: Any) -> list[str]:
    """One row: name, state, what it did, points; none for an empty list."""
    if isinstance(value, list):
        return [label(name), "", shown(value), ""] if value else []
    if not value or (isinstance(value, Mapping) and not any(value.values())):
        return [label(name), "off", "", ""]
    if not isinstance(value, Mapping):
        times = f"{number(value)} times the profile's noise" if name == "train_sigma_scale" else shown(value)
        if name == "freeze_batch_norms":
            times = f"last {percent(value)} of the steps with the statistics that the chip uses"
        return [label(name), "on", times, ""]
    rest = {key: item for key, item in value.items() if item is not None}
    state = next((shown(rest.pop(key)) for key in ("state", "kind") if key in rest), "")
    if not state and "kept" in rest:
        state = "kept" if rest.pop("kept") else "not kept" if rest.get("tried", True) else "not tried"
    rest.pop("tried", None)
    gain = next((rest.pop(key) for key in ("gain", "contribution") if known(rest.get(key))), None)
    before, after = rest.pop("before", None), rest.pop("after", None)
    words = [_clip(rest) if name == "clip" and known(rest.get("k")) else shown(rest)] if rest else []
    if known(before) and known(after):
        gain = after - before if gain is None else gain
        words.append(f"validation chips {percent(before)} to {percent(after)}")
    return [label(name), state or "on", ", ".join(words), points(gain) if gain is not None else ""]


def _clip(value: Mapping[str, Any]) -> str:
    text = f"at ±{number(value['k'])} standard deviations of each tensor"
    if known(value.get("tensors")):
        text += f", {plural(int(value['tensors']), 'tensor')}"
    if known(value.get("beyond_at_start")):
        text += f"; {percent(value['beyond_at_start'])} of the weights were beyond"
    return text
