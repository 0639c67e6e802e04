"""A report in a few lines of plain ASCII text, for standard output: safe in a pipe, a log and any terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harden.records.measure import ACCURACY
from harden.report.conditions import Trials, gained
from harden.report.document import Document, Reading
from harden.report.verdict import NOTHING_BETTER, doubtful, kept_nothing, verdict
from harden.training.plan import FEWEST_STEPS
from harden.words import MISSING, clean, duration, interval, known, number, percent, plural, points, rate

_ASCII = str.maketrans({"−": "-", "–": "-", "±": "+-", "×": "x", "…": "...", "µ": "u", "²": "2"})
MOST = 12
_UNEQUAL = 1.6  # times the share that classes of equal size would have


def summary(document: Document | Reading) -> str:
    """What a reader in a hurry needs, in about five lines; longer only with several conditions.

    Args:
        document: A record of ``harden eval``, ``fit`` or ``compare``, or its JSON.

    Returns:
        Plain text without colours or a final newline.
    """
    reading = Reading(document)
    condition = reading.hardest
    if condition is None:
        return verdict(reading).translate(_ASCII)
    several = len(reading.conditions) > 1
    lines = [_title(reading, condition.described if not several else reading.profile)]
    if several:
        lines += [*_conditions(reading), f"hardest: {condition.label}"]
    lines += _table(reading, condition.trials)
    if signs := doubtful(reading).removeprefix("; "):
        lines.append(signs)
    lines += _differences(reading)
    if kept_nothing(reading):
        lines += [f"The training found {NOTHING_BETTER}: the file's weights are those given.", *_advice(reading)]
    lines += _unequal(reading)
    if shared := reading.training.shared_with_test:
        lines += [f"{plural(shared, 'test example')} {'are' if shared > 1 else 'is'} in --data or --val as well."]
    lines += _requirements(reading)
    return "\n".join(lines).translate(_ASCII)


def _advice(reading: Reading) -> list[str]:
    """What to try where training gained nothing."""
    steps = reading.training.steps
    few = f"Its {plural(steps, 'step')} were few: try" if steps is not None and steps < FEWEST_STEPS else "Try"
    return [f"{few} more --epochs, weaker noise in training (--train-sigma-scale 0.5), or --method auto."]


def _unequal(reading: Reading) -> list[str]:
    """Accuracy hides what becomes of a rare class."""
    share, classes = reading.constant, reading.data.classes.count if reading.data.classes else None
    select = reading.record.settings.get("select")
    if share is None or classes is None or select != "accuracy" or share * classes < _UNEQUAL:
        return []
    return [f"One class has {percent(share)} of the examples: --select balanced_accuracy counts all classes alike."]


def _title(reading: Reading, noise: str) -> str:
    parts = ["comparison"] if reading.kind == "compare" else filter(None, (reading.model_name, reading.method))
    chips = plural(reading.conditions[0].subject.chips, "chip")
    examples = reading.data.examples
    images = f" x {examples:,} examples" if examples is not None else ""
    if reading.fit and reading.fit.reported_on == "validation":
        images += " of the validation split (no --test)"
    return f"{', '.join(parts)}, noise {noise}: {chips}{images}"


def _table(reading: Reading, trials: Sequence[Trials]) -> list[str]:
    measure, threshold = reading.measure, trials[-1].threshold
    keys: list[tuple[str, Callable[[Trials], float | None]]] = [
        (f"mean {measure} over chips", lambda t: t.mean),
        ("worst chip", lambda t: t.worst),
        (f"{measure} without noise", lambda t: t.without_noise),
    ]
    if threshold is not None:
        bound = "at least" if reading.headline.better == "more" else "at most"
        limit = rate(threshold) if reading.headline.rate else reading.write(threshold)
        keys.append((f"chips with {bound} {limit}", lambda t: t.reached and t.reached.value))
    change = reading.kind == "fit" and len(trials) == 2
    rows = []
    for title, key in keys:
        values = [key(t) for t in trials]
        rate_of_chips = title.startswith("chips with")
        row = [title, *map(percent if rate_of_chips else reading.write, values)]
        if change:
            old, new = values
            measure = ACCURACY if rate_of_chips else reading.headline
            row.append(gained(measure, new - old) if known(old) and known(new) else "")
        rows.append(row)
    heads = ["", *(clean(t.role) for t in trials), *(["change"] if change else [])]
    lines = _grid([] if reading.kind == "eval" else heads, rows)
    if reading.kind == "eval":
        lines[0] += f"  (95% interval over chips: {trials[0].between(trials[0].ci95)})"
    if trials[-1].reached and threshold is not None and reading.kind != "compare":
        lines[-1] += f"  (95% interval: {interval(trials[-1].reached.ci95)})"
    return lines


def _conditions(reading: Reading) -> list[str]:
    rows = [
        [condition.label, *(reading.write((trials := condition.of(role)) and trials.mean) for role in reading.roles)]
        for condition in reading.conditions[:MOST]
    ]
    heads = ["mean"] if reading.kind == "eval" else [f"mean, {clean(role)}" for role in reading.roles]
    left = len(reading.conditions) - MOST
    more = [f"  ... and {left} more conditions"] if left > 0 else []
    return _grid(["condition", *heads], rows) + more


def _requirements(reading: Reading) -> list[str]:
    lines = []
    several = len(reading.conditions) > 1
    for text in dict.fromkeys(requirement.text for _, requirement in reading.requirements):
        asked = [(c, requirement) for c, requirement in reading.requirements if requirement.text == text]
        unmet = [(c, requirement) for c, requirement in asked if not requirement.met]
        values = ", ".join(
            number(requirement.found, 4) + (f" under {c.label}" if several else "")
            for c, requirement in (unmet or asked[:1])
        )
        if unmet or not several:
            lines.append(f"require {clean(text)}: {'NOT met' if unmet else 'met'} (found {values})")
        else:
            lines.append(f"require {clean(text)}: met under all conditions")
    seconds, steps = reading.training.seconds, reading.training.steps
    if known(seconds):
        line = f"trained in {duration(round(seconds))}"
        if steps and steps < FEWEST_STEPS and not kept_nothing(reading):
            line += f", {plural(steps, 'step')}; fewer than {FEWEST_STEPS} are rarely enough: raise --epochs"
        lines.append(line)
    return lines


def _differences(reading: Reading) -> list[str]:
    """Who is better, by how much, and how surely: a line for each pair of models and each condition."""
    lines = []
    for row in reading.comparison.differences[:MOST] if reading.comparison else ():
        low, high = row.ci95 or (None, None)
        pairing = "on the same chips" if row.paired else "unpaired: names or shapes of weights differ"
        p_value = f"{row.p_value:.2g}" if known(row.p_value) else MISSING
        lines.append(
            f"{clean(row.b)} minus {clean(row.a)}: {points(row.mean)} points "
            f"(95% interval {points(low)} to {points(high)}), p = {p_value}, {pairing}"
        )
    return lines


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned: names left, numbers right."""
    table = [head, *rows] if head else rows
    first, *widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(["", row[0].ljust(first), *map(str.rjust, row[1:], widths)]).rstrip() for row in table]
