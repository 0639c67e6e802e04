"""A report in a few lines of plain ASCII text, for standard output: safe in a pipe, a log and any terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harden.report.conditions import Trials
from harden.report.document import Document, Reading
from harden.report.verdict import NOTHING_BETTER, kept_nothing, verdict
from harden.report.words import clean, duration, interval, known, number, percent, plural, points, rate
from harden.training.plan import FEWEST_STEPS

_ASCII = str.maketrans({"−": "-", "–": "-", "±": "+-", "×": "x", "…": "...", "µ": "u"})
MOST = 12
_UNEQUAL = 1.6  # times the share that classes of equal size would have


def summary(document: Document) -> str:
    """What a reader in a hurry needs, in about five lines; longer only with several conditions.

    Args:
        document: A ``harden.eval/1``, ``harden.fit/1`` or ``harden.compare/1`` document.

    Returns:
        Plain text without colours or a final newline.
    """
    reading = Reading(document)
    condition = reading.hardest
    if condition is None:
        return verdict(document).translate(_ASCII)
    several = len(reading.conditions) > 1
    lines = [_title(reading, condition.described if not several else reading.profile)]
    if several:
        lines += [*_conditions(reading), f"hardest: {condition.label}"]
    lines += _table(reading, condition.trials)
    lines += _differences(reading)
    if kept_nothing(document):
        lines += [f"The training found {NOTHING_BETTER}: the file's weights are those given.", *_advice(reading)]
    lines += _unequal(reading)
    if shared := reading.part("training").get("shared_with_test"):
        lines += [f"{plural(shared, 'test example')} {'are' if shared > 1 else 'is'} in --data or --val as well."]
    lines += _requirements(reading)
    return "\n".join(lines).translate(_ASCII)


def _advice(reading: Reading) -> list[str]:
    """What to try where training gained nothing."""
    steps = reading.part("training").get("steps")
    few = known(steps) and steps < FEWEST_STEPS
    more = f"Its {plural(int(steps or 0), 'step')} were few: try more --epochs, " if few else "Try more --epochs, "
    return [f"{more}weaker noise in training (--train-sigma-scale 0.5), or --method auto."]


def _unequal(reading: Reading) -> list[str]:
    """Accuracy hides what becomes of a rare class."""
    share, classes = reading.constant, (reading.data.get("classes") or {}).get("count")
    select = reading.part("settings").get("select")
    if share is None or not known(classes) or select != "accuracy" or share * classes < _UNEQUAL:
        return []
    return [f"One class has {percent(share)} of the examples: --select balanced_accuracy counts all classes alike."]


def _title(reading: Reading, noise: str) -> str:
    what = (
        ", ".join(p for p in (reading.model_name, reading.method) if p) if reading.kind != "compare" else "comparison"
    )
    chips = plural(reading.conditions[0].subject.chips, "chip")
    examples = reading.data.get("examples")
    images = f" x {examples:,} examples" if known(examples) else ""
    if reading.document.get("reported_on") == "validation":
        images += " of the validation split (no --test)"
    return f"{what}, noise {noise}: {chips}{images}"


def _table(reading: Reading, trials: Sequence[Trials]) -> list[str]:
    measure, threshold = reading.measure, trials[-1].threshold
    keys: list[tuple[str, Callable[[Trials], Any]]] = [
        (f"mean {measure} over chips", lambda t: t.spread.get("mean")),
        ("worst chip", lambda t: t.spread.get("min")),
        (f"{measure} without noise", lambda t: t.clean.get(measure)),
    ]
    if threshold is not None:
        keys.append((f"chips with at least {rate(threshold)}", lambda t: t.yields.get("value")))
    change = reading.kind == "fit" and len(trials) == 2
    rows = []
    for title, key in keys:
        values = [key(t) for t in trials]
        row = [title, *map(percent, values)]
        if change:
            row.append(f"{points(values[1] - values[0])} points" if all(map(known, values)) else "")
        rows.append(row)
    heads = ["", *(clean(t.role) for t in trials), *(["change"] if change else [])]
    lines = _grid([] if reading.kind == "eval" else heads, rows)
    if reading.kind == "eval":
        lines[0] += f"  (95% interval over chips: {interval(trials[0].spread.get('ci95'))})"
    if threshold is not None and reading.kind != "compare":
        lines[-1] += f"  (95% interval: {interval(trials[-1].yields.get('ci95'))})"
    return lines


def _conditions(reading: Reading) -> list[str]:
    rows = []
    for condition in reading.conditions[:MOST]:
        cells = [t.spread if (t := condition.of(role)) else {} for role in reading.roles]
        rows.append([condition.label, *(percent(c.get("mean")) for c in cells)])
    heads = ["mean"] if reading.kind == "eval" else [f"mean, {clean(role)}" for role in reading.roles]
    left = len(reading.conditions) - MOST
    more = [f"  ... and {left} more conditions"] if left > 0 else []
    return _grid(["condition", *heads], rows) + more


def _requirements(reading: Reading) -> list[str]:
    lines = []
    several = len(reading.conditions) > 1
    for text in dict.fromkeys(str(item.get("text") or "") for _, item in reading.requirements):
        asked = [(c, item) for c, item in reading.requirements if str(item.get("text") or "") == text]
        unmet = [(c, item) for c, item in asked if not item.get("met")]
        found = ", ".join(
            number(item.get("found"), 4) + (f" under {c.label}" if several else "") for c, item in (unmet or asked[:1])
        )
        if unmet or not several:
            lines.append(f"require {clean(text)}: {'NOT met' if unmet else 'met'} (found {found})")
        else:
            lines.append(f"require {clean(text)}: met under all conditions")
    seconds = reading.part("training").get("seconds")
    if known(seconds):
        steps = reading.part("training").get("steps")
        few = known(steps) and 0 < steps < FEWEST_STEPS and not kept_nothing(reading.document)
        seldom = (
            f", {plural(int(steps or 0), 'step')}; fewer than {FEWEST_STEPS} seldom suffice (--epochs)" if few else ""
        )
        lines.append(f"trained in {duration(round(seconds))}{seldom}")
    return lines


def _differences(reading: Reading) -> list[str]:
    """Who is better, by how much, and how surely: a line for each pair of models and each condition."""
    lines = []
    for one in reading.rows("differences")[:MOST]:
        low, high = one["ci95"]
        pairing = "on the same chips" if one["paired"] else "unpaired: names or shapes of weights differ"
        lines.append(
            f"{clean(one['b'])} minus {clean(one['a'])}: {points(one['mean'])} points "
            f"(95% interval {points(low)} to {points(high)}), p = {one['p_value']:.2g}, {pairing}"
        )
    return lines


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned: names left, numbers right."""
    table = [head, *rows] if head else list(rows)
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        (
            "  "
            + "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        ).rstrip()
        for row in table
    ]
