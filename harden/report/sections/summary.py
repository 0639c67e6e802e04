"""The numbers that decide, under the hardest condition, and whether the requirements are met."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harden.records.condition import Verdict
from harden.records.measure import ACCURACY, CONCORDANCE, Measure
from harden.report.blocks import Block, Paragraph, Section, Table
from harden.report.conditions import Condition, Trials, gained, written
from harden.report.document import Reading
from harden.words import MISSING, clean, known, number, percent, plural, rate, span

ORDER = 10
TITLE = "In short"

_Row = tuple[str, Callable[[Trials], float | str | None], Measure]


def build(reading: Reading) -> Section:
    """A table of the hardest condition, how to read it, and the requirements; left out where no chip was tried."""
    condition = reading.hardest
    if condition is None:
        return Section(TITLE, [])
    blocks: list[Block] = [_table(reading, condition), Paragraph(_reading_aid(reading, condition), tone="note")]
    if reading.requirements:
        blocks.append(_requirements(reading.requirements))
    count = sum(t.entry.non_finite_chips or 0 for c in reading.conditions for t in c.trials)
    if count:
        text = f"{plural(count, 'trial')} gave outputs that are not finite numbers; such examples count as wrong."
        blocks.append(Paragraph(text, tone="warning"))
    return Section(TITLE, blocks)


def _table(reading: Reading, condition: Condition) -> Table:
    changes = reading.kind == "fit" and len(condition.trials) == 2
    shown = []
    for title, value, measure in _rows(reading, condition):
        cells = [value(t) for t in condition.trials]
        if all(cell in (None, MISSING) for cell in cells):
            continue
        change = [_change(cells, measure)] if changes else []
        shown.append([title, *(c if isinstance(c, str) else written(measure, c) for c in cells), *change])
    roles = [reading.measure] if reading.kind == "eval" else [clean(t.role) for t in condition.trials]
    head = ["", *roles, *(["change, points" if reading.headline.rate else "change"] if changes else [])]
    return Table(head, shown, "l" + "r" * (len(head) - 1), strong=(0,))


def _rows(reading: Reading, condition: Condition) -> list[_Row]:
    measure, own = reading.measure, reading.headline
    more = own.better == "more"
    bound, limit = "at least" if more else "at most", condition.subject.threshold
    shown = rate(limit) if own.rate else reading.write(limit)
    return [
        (f"Mean {measure} over chips", lambda t: t.mean, own),
        ("95% interval of the mean (over chips)", lambda t: _span(t, t.ci95), own),
        ("95% interval of the mean (over chips and images)", lambda t: span(t.ci95_images), own),
        ("Standard deviation over chips", lambda t: t.spread.std, own),
        (f"{5 if more else 95}th percentile of the chips", lambda t: t.spread.p05 if more else t.spread.p95, own),
        ("Worst chip", lambda t: t.worst, own),
        (f"With 95% confidence, 90% of chips have {bound} (90/95)", lambda t: t.tolerance.get("90/95"), own),
        (f"Chips with {bound} {shown} (yield)", lambda t: t.reached and t.reached.value, ACCURACY),
        ("95% interval of the yield", lambda t: span(t.reached and t.reached.ci95), ACCURACY),
        (f"{measure[:1].upper()}{measure[1:]} without noise", lambda t: t.without_noise, own),
    ]


def _span(trials: Trials, bounds: tuple[float | None, float | None] | None) -> str:
    return span(bounds) if trials.measure.rate else trials.between(bounds)


def _change(cells: Sequence[float | str | None], measure: Measure) -> str:
    return gained(measure, cells[1] - cells[0]).removesuffix(" points") if known(cells[0]) and known(cells[1]) else ""


def _reading_aid(reading: Reading, condition: Condition) -> str:
    examples = reading.data.examples
    images = f", each on the same {examples:,} examples" if examples is not None else ""
    which = f"Noise: {condition.described}"
    if len(reading.conditions) > 1:
        which += f", the hardest of {len(reading.conditions)}"
    text = (
        f"{which}. A chip is one draw of all noisy weights: {plural(condition.subject.chips, 'chip')}{images}. "
        "All numbers were measured on the ONNX file in ONNX Runtime."
    )
    if reading.constant is not None:
        text += f" Always answering with the most common class would give {percent(reading.constant)}."
    if reading.headline.name == CONCORDANCE.name:
        if condition.subject.entry.measure is None:  # a record of a version that knew nothing better
            return f"{text} Fidelity: cosine similarity of the outputs to those of the same file without noise."
        text += (
            " Fidelity: concordance (Lin 1989) of the outputs with those of the network as given, without noise: 100% "
            "is equality, 0% an output that does not follow the examples."
        )
    return text


def _requirements(requirements: Sequence[tuple[Condition, Verdict]]) -> Table:
    rows = []
    for condition, verdict in requirements:
        state = "met" if verdict.met else "NOT met"
        rows.append([clean(verdict.text), condition.label, number(verdict.found, 4), state])
    return Table(["requirement", "noise", "found", ""], rows, "llrl")
