"""How training went: loss, validation accuracy, and which step was kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from harden.report.blocks import Block, Columns, Details, Facts, Figure, Section, Table
from harden.report.charts.curves import Level, Line, Scale, curves
from harden.report.document import Reading
from harden.words import duration, known, label, number, percent, shown

ORDER = 80
TITLE = "Training"
POINTS = 200
_NAMES = {"examples": "training examples", "selected_step": "step that was kept"}


def build(reading: Reading) -> Section:
    """Loss and validation curves, and the facts of the training."""
    if not reading.fit or not reading.fit.training:
        return Section(TITLE, [])
    training = reading.training
    selected = training.selected_step
    levels = [Level(f"kept: step {number(selected)}", x=float(selected), colour="muted")] if known(selected) else []
    blocks: list[Block] = []
    history = _series((row.get("step"), row.get("loss")) for row in training.history)
    rates = ("accuracy", "balanced_accuracy")
    validation = _series((row.step, row.score if row.measure in rates else None) for row in training.validation)
    figures = [f for f in (_loss(history, levels + _frozen(reading)), _validation(validation, levels)) if f]
    if len(figures) == 2:
        blocks.append(Columns([figures[0]], [figures[1]]))
    else:
        blocks += figures
    facts = [
        ("took", duration(value)) if key == "seconds" else (_NAMES.get(key, label(key)), shown(value))
        for key, value in training.given()
        if isinstance(value, (str, int, float)) and key != "sha256"
    ]
    if training.check and known(training.check.max_abs_error):
        facts.append(("torch against ONNX Runtime", f"largest difference {number(training.check.max_abs_error, 2)}"))
    if facts:
        blocks.append(Facts(facts))
    if validation:
        rows = [[number(step), percent(value)] for step, value in validation]
        blocks.append(Details("Every validation", [Table(["step", "validation accuracy"], rows, "rr")]))
    return Section(TITLE, blocks)


def _frozen(reading: Reading) -> list[Level]:
    """Where batch norms go over to the statistics that the chip uses: the loss may jump there."""
    share, steps = reading.levers.get("freeze_batch_norms"), reading.training.steps
    if not (known(share) and known(steps) and reading.model.batch_norm == "kept" and 0 < share < 1):
        return []
    return [Level("batch norms frozen", x=(1 - share) * steps, colour="muted", high=True)]


def _series(rows: Iterable[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    return [(float(step), float(value)) for step, value in rows if known(step) and known(value)]


def _loss(series: Sequence[tuple[float, float]], levels: list[Level]) -> Figure | None:
    if len(series) < 2:
        return None
    x, y = _thin(series)
    window = max(1, len(y) // 20)
    smooth = [float(np.mean(y[max(0, i - window) : i + window + 1])) for i in range(len(y))]
    lines = [Line("", "after", x, y, markers=False, faint=True), Line("", "after", x, smooth, markers=False)]
    return curves(
        "loss",
        lines,
        x=Scale("step"),
        y=Scale("training loss"),
        alt=f"Training loss from {number(smooth[0])} to {number(smooth[-1])} in {number(series[-1][0])} steps.",
        caption="Loss on the training batches (thin) and its moving average."
        + " It may jump where batch norms are frozen: from there they compute as on the chip."
        * any(level.high for level in levels),
        levels=levels,
    )


def _validation(series: Sequence[tuple[float, float]], levels: list[Level]) -> Figure | None:
    if len(series) < 2:
        return None
    x, y = [s for s, _ in series], [v for _, v in series]
    return curves(
        "validation",
        [Line("", "after", x, y, markers=len(series) <= 40)],
        x=Scale("step"),
        y=Scale("accuracy on validation data, under noise", rate=True),
        alt=f"Noisy validation accuracy from {percent(y[0])} to {percent(y[-1])}, at best {percent(max(y))}.",
        caption="Decides which step is kept. It is not the result: that is measured on other chips and other data.",
        levels=levels,
    )


def _thin(series: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """At most POINTS points, each the mean of its neighbours."""
    parts = np.array_split(np.asarray(series, float), min(POINTS, len(series)))
    means = np.array([part.mean(axis=0) for part in parts])
    return means[:, 0].tolist(), means[:, 1].tolist()
