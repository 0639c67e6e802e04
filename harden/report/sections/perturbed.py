"""What was perturbed, by how much, and what was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harden.records.evaluation import ExactTensor, TensorRecord
from harden.report.blocks import Block, Details, Facts, Figure, Paragraph, Section, Table
from harden.report.charts.bars import Bar, bars
from harden.report.document import Reading
from harden.words import MISSING, clean, known, percent, plural

ORDER = 120
TITLE = "What was perturbed"
SHOWN = 12


def build(reading: Reading) -> Section:
    """Counts, the realised noise of the noisiest tensors, and the complete lists folded away."""
    perturbed, exact = (reading.last.perturbed, reading.last.not_perturbed) if reading.last else ((), ())
    if not perturbed and not exact and not _overall(reading):
        return Section(TITLE, [])
    blocks: list[Block] = [Facts(_facts(reading, perturbed, exact))]
    noisy = [tensor for tensor in perturbed if known(tensor.rms_noise_relative)]
    if len(noisy) > 1:
        blocks.append(_bars(noisy))
    if any(tensor.rms_noise_relative == 0 for tensor in noisy):
        blocks.append(Paragraph("Tensors with zero realised noise were not perturbed in effect.", tone="warning"))
    if perturbed:
        rows = [
            [
                clean(tensor.key),
                clean(tensor.node),
                clean(tensor.op),
                " × ".join(map(str, tensor.shape)) or MISSING,
                percent(tensor.rms_noise_relative),
                percent(tensor.rms_noise_relative_to_max),
            ]
            for tensor in perturbed
        ]
        table = Table(["tensor", "node", "operator", "shape", "noise / RMS(w)", "noise / max|w|"], rows, "lllrrr")
        blocks.append(Details(f"All {plural(len(perturbed), 'perturbed tensor')}", [table]))
    if exact:
        rows = [[clean(tensor.name), clean(tensor.reason)] for tensor in exact]
        summary = f"{plural(len(exact), 'tensor')} not perturbed, and why"
        blocks.append(Details(summary, [Table(["tensor", "why not"], rows, "ll")]))
    return Section(TITLE, blocks)


def _overall(reading: Reading) -> float | None:
    return reading.hardest.subject.entry.rms_noise_relative if reading.hardest else None


def _facts(reading: Reading, perturbed: Sequence[TensorRecord], exact: Sequence[ExactTensor]) -> list[tuple[str, str]]:
    model = (reading.last and reading.last.model) or reading.model
    facts: list[tuple[str, str]] = []
    analog, total = model.analog_parameters, model.parameters
    if analog is not None and total:
        facts.append(("weights on crossbars", f"{analog:,} of {total:,} parameters ({percent(analog / total)})"))
    if perturbed:
        uses = sum(tensor.uses for tensor in perturbed)
        several = f", read by {uses:,} products" if uses > len(perturbed) else ""
        facts.append(("perturbed", plural(len(perturbed), "tensor") + " on a crossbar" + several))
    if exact:
        reasons = Counter(clean(tensor.reason or "other") for tensor in exact)
        listed = ", ".join(
            f"{reason} ({count:,})" for reason, count in sorted(reasons.items(), key=lambda i: (-i[1], i[0]))
        )
        facts.append(("not perturbed", f"{plural(len(exact), 'tensor')}: {listed}"))
    if known(overall := _overall(reading)):
        facts.append(("realised noise", f"{percent(overall)} of the weights' own root mean square, over all tensors"))
    canary = reading.last.canary if reading.last else None
    if canary:
        inert = [clean(name) for name in canary.inert]
        text = f"strong noise in {canary.tensors} tensors changed the outputs alike in torch and ONNX Runtime"
        facts.append(("canary", text + (f"; no effect on any output: {', '.join(inert)}" if inert else "")))
        if canary.exact:
            listed = [f"{clean(item.op)} {clean(item.node)} ({clean(item.reason)})" for item in canary.exact[:SHOWN]]
            more = f", and {len(canary.exact) - SHOWN:,} more" if len(canary.exact) > SHOWN else ""
            facts.append(("products that stay exact", "; ".join(listed) + more))
    if model.batch_norm:
        facts.append(("batch norms", clean(model.batch_norm)))
    return facts


def _bars(noisy: Sequence[TensorRecord]) -> Figure:
    ranked = sorted(((clean(t.key), float(t.rms_noise_relative or 0.0)) for t in noisy), key=lambda item: -item[1])
    items = [Bar(key, value, percent(value)) for key, value in ranked[:SHOWN]]
    middle = ranked[len(ranked) // 2][1]
    more = (
        f" The {len(items)} noisiest of {len(ranked)}; the middle one has {percent(middle)}."
        if len(ranked) > SHOWN
        else ""
    )
    note = " Above 100% the noise is larger than the weights." if items[0].value > 1 else ""
    return bars(
        "noise",
        items,
        alt=f"Realised noise by tensor, largest {items[0].label} with {items[0].text}, median {percent(middle)}.",
        caption=f"Realised noise: root mean square of the noise over that of the weights, by tensor.{more}{note}",
    )
