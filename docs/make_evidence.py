"""What was measured of a method, a lever or a device: tables for its page, from benchmarks/results and the tasks.

Nothing is written by hand here: a cell that was measured is listed, one that was not is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import make_results
from make_results import Recipe, Task, all_tasks, mean, read, rows_of, worst
from tasks import BATCH

Rows = Mapping[str, list[dict[str, Any]]]
GIVEN = ("as given", "base")
CONTROL = "noise-free fine-tuning"
# By page of a lever, the settings of a recipe that are its own.
LEVERS: dict[str, tuple[str, ...]] = {
    "clip": ("clip", "clip_anneal"),
    "small-batches": ("batch_size", "lr"),
    "rescale-first": ("rescale_first", "start"),
    "column-scaling": ("column_scaling",),
    "frozen-batch-norms": ("freeze_batch_norms",),
    "batch-norm-reestimation": ("batch_norm_reestimation",),
    "teacher": ("teacher", "teacher_match", "teacher_weight", "teacher_taps"),
    "train-sigma-scale": ("train_sigma_scale",),
    "noise-ramp": ("noise_ramp",),
    "several-profiles": ("train",),
    "range-penalties": ("range_penalty", "kurtosis_penalty"),
    "label-smoothing": ("label_smoothing",),
    "without-labels": ("objective",),
    "protection": ("protect",),
    "clamped-activations": ("clamp_activations",),
}
NOTE = (
    "Mean over chips and, in brackets, the worst chip, in %; of `n` training seeds, where there are several, the means."
)


def of_method(name: str) -> list[str]:
    """Every cell of a method beside the untouched network, the control without noise, and the default."""
    body = []
    for task_name, task, profile, rows in _cells():
        for recipe in task.recipe:
            if recipe.method == name and recipe.report and recipe.name in rows and not _untouched(recipe):
                others = [_first(rows, GIVEN), rows.get(CONTROL), rows.get(task.default)]
                cells = [_cell(rows[recipe.name]), *("–" if one is None else _cell(one) for one in others)]
                body.append([_place(task_name, task, profile), recipe.name, *cells])
    head = ["network and noise", "recipe", "it", "as given", CONTROL, "the default"]
    return _table(head, body)


def of_lever(name: str) -> list[str]:
    """Every pair of recipes that differ in this lever alone."""
    keys = LEVERS.get(name, ())
    body = []
    for task_name, task, profile, rows in _cells():
        found = [r for r in task.recipe if r.name in rows and not _untouched(r)]
        for position, one in enumerate(found):
            for other in found[position + 1 :]:
                a, b = _settings(task, one), _settings(task, other)
                differing = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
                if differing and all(key in keys for key in differing):
                    body.append(_pair(_place(task_name, task, profile), differing, (one, a), (other, b), rows))
    body = [row for row in body if row]
    return _table(["network and noise", "method", "with", "without or other", "difference, points"], body)


def of_device(name: str) -> list[str]:
    """What this device's noise does to a network, and what is left of it after the default."""
    body = []
    for task_name, task, profile, rows in _cells():
        if profile.split(":")[0].split("@")[0] != name:
            continue
        cells = [_first(rows, GIVEN), rows.get(CONTROL), rows.get(task.default)]
        if any(cells):
            body.append([_place(task_name, task, profile), *("–" if one is None else _cell(one) for one in cells)])
    return _table(["network and noise", "as given", CONTROL, "the default"], body)


@cache
def _tasks() -> dict[str, tuple[Task, make_results.Rows]]:
    return {name: (read(path), rows_of(name)) for name, path in all_tasks().items()}


def _cells() -> Iterator[tuple[str, Task, str, Rows]]:
    """Task by task and profile by profile, the finished recipes."""
    for name, (task, rows) in _tasks().items():
        for profile in task.profiles:
            found = {recipe: cells for (recipe, at), cells in rows.items() if at == profile}
            if found:
                yield name, task, profile, found


@cache
def _plan_defaults() -> dict[str, Any]:
    from harden.training.plan import TrainingPlan

    defaults = {name: field.default for name, field in TrainingPlan.model_fields.items()}
    return {**defaults, "train_sigma_scale": 1.0, "freeze_batch_norms": 0.5, "clip": 1.5}


def _settings(task: Task, recipe: Recipe) -> dict[str, Any]:
    """Everything that tells recipes of a task apart, defaults filled in."""
    own = {key: getattr(recipe, key) for key in ("method", "start", "train", "options", "protect", "reference")}
    return {**_plan_defaults(), "batch_size": BATCH, **task.plan, **recipe.plan, **own}


def _untouched(recipe: Recipe) -> bool:
    return recipe.plan.get("steps") == 0 or recipe.name in GIVEN


def _first(rows: Rows, names: Sequence[str]) -> list[dict[str, Any]] | None:
    return next((rows[name] for name in names if name in rows), None)


def _pair(
    place: str,
    differing: list[str],
    one: tuple[Recipe, dict[str, Any]],
    other: tuple[Recipe, dict[str, Any]],
    rows: Rows,
) -> list[str]:
    """The recipe with more of the lever first, over the training seeds that both have; nothing if they share none."""
    pair = sorted((one, other), key=lambda p: [_strength(key, p[1].get(key)) for key in differing], reverse=True)
    seeds = set.intersection(*({row["seed"] for row in rows[recipe.name]} for recipe, _ in pair))
    found = [[row for row in rows[recipe.name] if row["seed"] in seeds] for recipe, _ in pair]
    if not seeds:
        return []
    means = [mean(one) for one in found]
    cells = [
        f"{', '.join(f'{key} {_shown(values.get(key))}' for key in differing)}: {_cell(one)}"
        for (_, values), one in zip(pair, found, strict=True)
    ]
    return [place, pair[0][0].method, *cells, f"{100 * (means[0] - means[1]):+.1f}"]


def _strength(key: str, value: Any) -> tuple[int, float]:
    """Off sorts below on, numbers by size; the smaller the bound, the more is clipped."""
    if value in (None, "none", "off", "", 0, 0.0, "labels"):
        return 0, 0.0
    size = float(value) if isinstance(value, (int, float)) else 0.0
    return 1, -size if key == "clip" else size


def _shown(value: Any) -> str:
    return "off" if value in (None, "", 0, 0.0, "none") else str(value)


def _place(name: str, task: Task, profile: str) -> str:
    return f"[{task.title.split(':')[0]}](../results.md#{name}), `{profile}`"


def _cell(rows: list[dict[str, Any]]) -> str:
    seeds = f", n = {len(rows)}" if len(rows) > 1 else ""
    return f"{100 * mean(rows):.1f} ({100 * worst(rows):.1f}{seeds})"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    if not body:
        return ["Not measured yet in our [benchmark](../results.md)."]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in body)]
    return [NOTE, "", *lines]
