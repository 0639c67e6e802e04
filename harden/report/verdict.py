"""The verdict: one sentence with the numbers that decide, taken from the hardest condition."""

from __future__ import annotations

import numpy as np

from harden.report.conditions import Condition, Trials, gained
from harden.report.document import Document, Reading
from harden.statistics.difference import paired_difference
from harden.words import MISSING, clean, interval, known, percent, plural, points, rate

_HARDLY_MORE = 0.05
NOTHING_BETTER = "no step that did better on validation chips than the network as given"


def verdict(document: Document | Reading) -> str:
    """Say in one sentence what the run showed.

    The numbers are those of the hardest condition (the lowest mean over chips). A change is called one only where its
    95% interval over paired chips leaves zero out.

    Args:
        document: A record of ``harden eval``, ``fit`` or ``compare``, or its JSON.

    Returns:
        One sentence, ending in a full stop.
    """
    reading = Reading(document)
    condition = reading.hardest
    if condition is None:
        method = f" with {reading.method}" if reading.method else ""
        name = reading.model_name
        return f"{name} was processed{method}, and no chips were tried, so nothing is known about its robustness."
    count = len(reading.conditions)
    where = f"Under {condition.noise}" + (f", the hardest of {count} conditions," if count > 1 else ",")
    if reading.kind == "compare":
        return f"{where} {_ranking(reading, condition)}{doubtful(reading)}."
    before = condition.of("before")
    body = (
        _change(reading, before, condition.subject)
        if before and reading.kind == "fit"
        else _alone(reading, condition.subject)
    )
    return f"{where} {body}{_spec(condition.subject, reading.measure)}{doubtful(reading)}."


def doubtful(reading: Reading) -> str:
    """Why labels and answers seem not to belong together, where they seem so."""
    signs = dict.fromkeys(sign for _, evaluation in reading.evaluations for sign in evaluation.clean.doubts)
    return f"; doubtful: {clean('; '.join(signs))}" if signs else ""


def kept_nothing(reading: Reading) -> bool:
    """Whether validation chips preferred the network as given to every step of the training, and to a second one."""
    return reading.training.selected_step == 0 and not (reading.levers.get("second_try") or {}).get("kept")


def _alone(reading: Reading, trials: Trials) -> str:
    level = trials.without_noise
    notes = [_worst(trials), f"{trials.write(level)} without noise" if known(level) else ""]
    return (
        f"{reading.model_name} has a mean {reading.measure} of {trials.write(trials.mean)} over "
        f"{plural(trials.chips, 'chip')}{_brackets(*notes)}{_constant(reading, trials)}"
    )


def _change(reading: Reading, before: Trials, after: Trials) -> str:
    old, new = before.mean, after.mean
    same = reading.evaluations[0][1].seed == reading.evaluations[-1][1].seed
    pairs = len(before.values) == len(after.values) > 1
    difference = paired_difference(np.asarray(before.values), np.asarray(after.values)) if same and pairs else None
    method = reading.method or "hardening"
    mean = f"the mean {reading.measure} of {plural(after.chips, 'chip')}"
    low, high = (difference["ci95"] if difference else None) or (1.0, 1.0)
    if kept_nothing(reading):
        text = f"{method} found {NOTHING_BETTER}, and so leaves {mean} at {after.write(new)}"
    elif difference and low <= 0 <= high:
        change, low, high = (gained(after.measure, value) for value in (difference["mean"], low, high))
        text = (
            f"{method} makes no clear difference to {mean}: {after.write(new)}, before {after.write(old)} "
            f"({change}, 95% interval over chips {low} to {high})"
        )
    else:
        text = f"{method} {'raises' if new > old else 'lowers'} {mean} from {after.write(old)} to {after.write(new)}"
    noise_free = ""
    levels = before.without_noise, after.without_noise
    if all(map(known, levels)):
        noise_free = f"; {reading.measure} without noise: {after.write(levels[1])} (before: {after.write(levels[0])})"
    worst = ""
    if known(before.worst) and known(after.worst):
        worst = f", the worst chip from {after.write(before.worst)} to {after.write(after.worst)}"
    return f"{text}{worst}{noise_free}{_constant(reading, after)}"


def _constant(reading: Reading, trials: Trials) -> str:
    """Said where chips know hardly more than which class is the commonest."""
    level = reading.constant
    if level is None or trials.mean > level + _HARDLY_MORE:
        return ""
    return f"; always answering with the most common class gives {percent(level)}"


def _ranking(reading: Reading, condition: Condition) -> str:
    order = sorted(condition.trials, key=lambda t: -t.measure.sign * t.mean)
    best = order[0]
    top = "highest" if best.measure.better == "more" else "lowest"
    text = (
        f"{best.role} has the {top} mean {reading.measure} of {plural(len(order), 'model')}: "
        f"{best.write(best.mean)} over {plural(best.chips, 'chip')}{_brackets(_worst(best))}"
    )
    if len(order) > 1:
        text += f", then {order[1].role} with {order[1].write(order[1].mean)}{_brackets(_worst(order[1]))}"
        text += _lead(reading, condition, best.role, order[1].role)
    return text


def _lead(reading: Reading, condition: Condition, best: str, second: str) -> str:
    """How sure the first place is, where the document compares the two."""
    index = reading.conditions.index(condition)
    for row in reading.comparison.differences if reading.comparison else ():
        names, (low, high) = (clean(row.a), clean(row.b)), row.ci95 or (None, None)
        if row.condition == index and set(names) == {best, second} and known(low) and known(high):
            low, high = (low, high) if names[1] == best else (-high, -low)
            sure = "ahead by" if low > 0 else "no clear difference:"
            return f"; {sure} {points(low)} to {points(high)} points (95% interval over chips)"
    return ""


def _worst(trials: Trials) -> str:
    return f"worst chip {trials.write(trials.worst)}" if known(trials.worst) else ""


def _brackets(*notes: str) -> str:
    text = ", ".join(note for note in notes if note)
    return f" ({text})" if text else ""


def _spec(trials: Trials, measure: str) -> str:
    if not trials.reached:
        return ""
    limit = rate(trials.threshold) if trials.measure.rate else trials.write(trials.threshold)
    reached = round((trials.reached.value or 0.0) * trials.chips)
    range_95 = interval(trials.reached.ci95)
    bounds = f" (95% interval of the yield: {range_95})" if range_95 != MISSING else ""
    chips = f"{reached:,} of {plural(trials.chips, 'chip')}"
    return f"; {chips} reach the required {measure} of {limit}{bounds}"
