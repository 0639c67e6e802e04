"""What each lever did, and what the controls show without it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from harden import levers
from harden.records import AnotherTraining
from harden.report.blocks import Block, Figure, Paragraph, Section, Table
from harden.report.charts.bars import Bar, bars
from harden.report.document import Reading
from harden.report.verdict import NOTHING_BETTER, kept_nothing
from harden.statistics.difference import paired_difference
from harden.words import clean, known, label, percent, points

ORDER = 70
TITLE = "What helped"
# In the order in which each adds something to the one before.
_CONTROLS = {"none_bare": "fine-tuning alone", "none": "levers, no noise"}
_UNFINISHED = 0.02  # what fine-tuning alone adds, without noise, to a network that its training had not finished


def build(reading: Reading) -> Section:
    """The controls as bars, and what each lever did in words."""
    blocks: list[Block] = []
    controls = _controls(reading)
    if not reading.levers and not controls:
        return Section(TITLE, [])
    if controls:
        blocks.append(_bars(reading, controls))
        blocks += [*_steps(reading), *_unfinished(reading)]
    blocks += _left_out(reading)
    all_rows = [made for name, record in reading.levers.items() if (made := levers.row(name, record))]
    off = ", ".join(row.lever for row in all_rows if row.state == "off")
    rows = [list(row) for row in all_rows if row.state != "off"] + ([[off, "off", "", ""]] if off else [])
    if kept_nothing(reading):
        blocks.insert(
            0, Paragraph(f"The training found {NOTHING_BETTER}. What levers did to its weights is not in the file.")
        )
    if rows:
        caption = (
            "Points: the gain on validation chips when the lever was applied. The same chips decided whether "
            "to keep it, so these figures are optimistic; an empty cell was not measured."
        )
        gained = any(row[-1] for row in rows)
        table = Table(["lever", "state", "what it did", "points"], rows, "lllr", caption=caption)
        plain = Table(["lever", "state", "what it did"], [row[:-1] for row in rows], "lll")
        blocks.append(table if gained else plain)
    asked = ["`--controls` to see what fine-tuning alone, the levers and the method add"] * (not controls)
    asked += ["`--ablation` to see what each lever contributes"] * (not _ablation(reading))
    if asked:
        blocks.append(Paragraph(f"Run it with {', and with '.join(asked)}.", tone="note"))
    return Section(TITLE, blocks)


def _trained(trainings: Mapping[str, AnotherTraining] | None) -> dict[str, AnotherTraining]:
    """Those of the trainings that were judged by accuracy."""
    return {name: training for name, training in (trainings or {}).items() if training.accuracy}


def _ablation(reading: Reading) -> dict[str, AnotherTraining]:
    """The runs without one lever, by lever."""
    return _trained(reading.fit.ablation if reading.fit else None)


def _left_out(reading: Reading) -> list[Block]:
    """What each lever contributed: the run with all of them against the run without this one."""
    condition = reading.conditions[0] if reading.conditions else None
    trainings = _ablation(reading)
    if condition is None or not trainings:
        return []
    whole = condition.subject
    rows = [["nothing", whole.write(whole.mean), "", "", whole.write(whole.without_noise)]]
    for name, training in sorted(trainings.items(), key=lambda item: _mean(item[1])):
        without, interval = _mean(training), _bounds(training.accuracies, whole.values)
        numbers = [percent(without), points(whole.mean - without), interval, percent(training.clean)]
        rows.append([f"{label(name)}{_given(training)}", *numbers])
    caption = (
        f"Noise: {condition.label}. Each row is another training of as many steps with the same seed, without this one "
        "lever, judged on the same chips. The interval is over chips; it does not hold the luck of a single training, "
        "which is easily a point. Levers act together, so their points do not add up to the whole gain."
    )
    head = ["left out", f"mean {reading.measure}", "lever gives, points", "95% interval", "without noise"]
    return [Table(head, rows, "lrrrr", caption=caption)]


def _controls(reading: Reading) -> list[tuple[str, float]]:
    controls = _trained(reading.fit.controls if reading.fit else None)
    names = sorted(controls, key=lambda n: list(_CONTROLS).index(n) if n in _CONTROLS else len(_CONTROLS))
    return [
        (_CONTROLS.get(name) or clean(controls[name].label or label(name)), _mean(controls[name])) for name in names
    ]


def _steps(reading: Reading) -> list[Block]:
    """From before to after in steps, each with what it adds on the same chips; empty where a control is missing."""
    # Controls are run under the first condition.
    condition = reading.conditions[0] if reading.conditions else None
    before = condition.of("before") if condition else None
    controls = _trained(reading.fit.controls if reading.fit else None)
    bare, same = controls.get("none_bare"), controls.get("none")
    if condition is None or before is None or bare is None or same is None:
        return []
    # What the control without noise has, and the bare one has not.
    credited = [lever.name for lever in levers.levers() if lever.trains and not lever.needs_noise]
    active = ", ".join(label(name) for name in credited if _active(reading, name))
    method = reading.method or "the method"
    names = f"levers{f' ({active})' if active else ''}"
    stages = [
        ("the network as given", before.mean, before.values),
        (f"fine-tuning without noise, no levers{_given(bare)}", _mean(bare), bare.accuracies),
        (f"{names}{_given(same)}", _mean(same), same.accuracies),
        (f"{method}, which sees the noise", condition.subject.mean, condition.subject.values),
    ]
    rows = [[stages[0][0], percent(stages[0][1]), "", ""]]
    for (_, old, chips), (title, new, more) in itertools.pairwise(stages):
        rows.append([title, percent(new), points(new - old), _bounds(chips, more)])
    caption = (
        f"Noise: {condition.label}. Each row has what the rows above it have, and as many steps of training. "
        "The difference to the row above is taken on the same chips. Levers are the training settings beside the "
        "method, such as clipping."
    )
    return [Table(["with", f"mean {reading.measure}", "adds, points", "95% interval"], rows, "lrrr", caption=caption)]


def _unfinished(reading: Reading) -> list[Block]:
    """Said where fine-tuning alone makes the network better, so that it is no good teacher of itself."""
    before = reading.conditions[0].of("before") if reading.conditions else None
    bare = _trained(reading.fit.controls if reading.fit else None).get("none_bare")
    if reading.method != "distill" or before is None or bare is None:
        return []
    old, new = before.without_noise, bare.clean
    if not known(old) or not known(new) or new - old < _UNFINISHED:
        return []
    text = (
        f"Fine-tuning alone raises the {reading.measure} without noise from {percent(old)} to {percent(new)}: the "
        "network given was not fully trained on this data, and as a teacher it may limit the hardened one. "
        "`--method auto` decides between teacher and labels on validation examples."
    )
    return [Paragraph(text, tone="note")]


def _given(run: AnotherTraining) -> str:
    """Said of a training whose selection went back to where it began."""
    return "; no step was better on validation chips, so its weights are those given" * (run.selected_step == 0)


def _bounds(old: Sequence[float | None] | None, new: Sequence[float | None] | None) -> str:
    """The 95% interval over paired chips, where both were kept."""
    if not (old and new and len(old) == len(new) > 1):
        return ""
    low, high = paired_difference(np.asarray(old), np.asarray(new))["ci95"] or (None, None)
    return f"{points(low)} to {points(high)}"


def _active(reading: Reading, name: str) -> bool:
    value = reading.levers.get(name)
    if not isinstance(value, Mapping):
        return bool(value)
    return bool(value["kept"] if "kept" in value else any(value.values()))


def _mean(training: AnotherTraining) -> float:
    return training.accuracy.mean if training.accuracy else 0.0


def _bars(reading: Reading, controls: list[tuple[str, float]]) -> Figure:
    items = []
    condition = reading.conditions[0] if reading.conditions else None  # the one that controls are run under
    before = condition.of("before") if condition else None
    if before:
        items.append(Bar("before", before.mean, percent(before.mean), "before"))
    items += [Bar(name, mean, percent(mean), "series-4") for name, mean in controls]
    if condition:
        mean = condition.subject.mean
        items.append(Bar(reading.method or "after", mean, percent(mean), "after"))
    text = ", ".join(f"{item.label} {item.text}" for item in items)
    return bars(
        "controls",
        items,
        alt=f"Mean {reading.measure} over chips: {text}.",
        caption=f"Mean {reading.measure} over chips, with parts of the hardening left out. Bars start at zero.",
    )
