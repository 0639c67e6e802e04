"""What was perturbed, by how much, and what was not."""

from __future__ import annotations

import math
from typing import Any

from harden.report.blocks import Block, Details, Facts, Figure, Paragraph, Section, Table
from harden.report.charts.bars import Bar, bars
from harden.report.document import Document, Reading
from harden.report.words import MISSING, clean, known, percent, plural

ORDER = 120
TITLE = "What was perturbed"
SHOWN = 12


def applies(document: Document) -> bool:
    """Where the tensors are listed, or the realised noise is known."""
    reading = Reading(document)
    return bool(reading.rows("perturbed") or reading.rows("not_perturbed") or _overall(reading))


def build(document: Document) -> Section:
    """Counts, the realised noise of the noisiest tensors, and the complete lists folded away."""
    reading = Reading(document)
    perturbed, rest = reading.rows("perturbed"), reading.rows("not_perturbed")
    blocks: list[Block] = [Facts(_facts(reading, perturbed, rest))]
    noisy = [r for r in perturbed if known(r.get("rms_noise_relative"))]
    if len(noisy) > 1:
        blocks.append(_bars(noisy))
    if any(r["rms_noise_relative"] == 0 for r in noisy):
        blocks.append(Paragraph("Tensors with zero realised noise were not perturbed in effect.", tone="warning"))
    if perturbed:
        rows = [
            [
                clean(r.get("key") or r.get("name") or ""),
                clean(r.get("node") or ""),
                clean(r.get("op") or ""),
                " × ".join(str(n) for n in r.get("shape") or []) or MISSING,
                percent(r.get("rms_noise_relative")),
                percent(r.get("rms_noise_relative_to_max")),
            ]
            for r in perturbed
        ]
        table = Table(["tensor", "node", "operator", "shape", "noise / RMS(w)", "noise / max|w|"], rows, "lllrrr")
        blocks.append(Details(f"All {plural(len(perturbed), 'perturbed tensor')}", [table]))
    if rest:
        rows = [[clean(r.get("name") or r.get("key") or ""), clean(r.get("reason") or "")] for r in rest]
        summary = f"{plural(len(rest), 'tensor')} not perturbed, and why"
        blocks.append(Details(summary, [Table(["tensor", "why not"], rows, "ll")]))
    return Section(TITLE, blocks)


def _overall(reading: Reading) -> float | None:
    condition = reading.hardest
    value = condition.subject.entry.get("rms_noise_relative") if condition else None
    return float(value) if known(value) else None


def _facts(reading: Reading, perturbed: list[Any], rest: list[Any]) -> list[tuple[str, str]]:
    model = reading.evaluations[-1][1].get("model") or reading.model if reading.evaluations else reading.model
    facts: list[tuple[str, str]] = []
    analog, total = model.get("analog_parameters"), model.get("parameters")
    if known(analog) and known(total) and total:
        facts.append(("weights on crossbars", f"{analog:,} of {total:,} parameters ({percent(analog / total)})"))
    if perturbed:
        facts.append(("perturbed", plural(len(perturbed), "use") + " of a tensor on a crossbar"))
    if rest:
        reasons: dict[str, int] = {}
        for row in rest:
            reasons[clean(row.get("reason") or "other")] = reasons.get(clean(row.get("reason") or "other"), 0) + 1
        listed = ", ".join(
            f"{reason} ({count:,})" for reason, count in sorted(reasons.items(), key=lambda i: (-i[1], i[0]))
        )
        facts.append(("not perturbed", f"{plural(len(rest), 'tensor')}: {listed}"))
    if (overall := _overall(reading)) is not None:
        facts.append(("realised noise", f"{percent(overall)} of the weights' own root mean square, over all tensors"))
    canary = reading.evaluations[-1][1].get("canary") if reading.evaluations else None
    if isinstance(canary, dict):
        inert = [clean(name) for name in canary.get("inert") or []]
        tensors = canary.get("tensors", len(perturbed))
        text = f"strong noise in {tensors} tensors changed the outputs alike in torch and ONNX Runtime"
        facts.append(("canary", text + (f"; no effect on any output: {', '.join(inert)}" if inert else "")))
    if model.get("batch_norm"):
        facts.append(("batch norms", clean(model["batch_norm"])))
    return facts


def _bars(noisy: list[Any]) -> Figure:
    ranked = sorted(noisy, key=lambda r: -r["rms_noise_relative"])
    items = [
        Bar(clean(r.get("key") or ""), float(r["rms_noise_relative"]), percent(r["rms_noise_relative"]))
        for r in ranked[:SHOWN]
    ]
    middle = ranked[len(ranked) // 2]["rms_noise_relative"]
    more = (
        f" The {len(items)} noisiest of {len(ranked)}; the middle one has {percent(middle)}."
        if len(ranked) > SHOWN
        else ""
    )
    largest = max(item.value for item in items)
    note = " Above 100% the noise is larger than the weights." if math.isfinite(largest) and largest > 1 else ""
    return bars(
        "noise",
        items,
        alt=f"Realised noise by tensor, largest {items[0].label} with {items[0].text}, median {percent(middle)}.",
        caption=f"Realised noise: root mean square of the noise over that of the weights, by tensor.{more}{note}",
    )
