"""Write docs/results.md and its plots from the tasks and results of benchmarks/effectiveness."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "benchmarks" / "effectiveness")]

import flow  # noqa: E402
from tasks import Recipe, Task, all_tasks, read  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"
LADDER = (
    "as given",
    "as given, a scale for each column",
    "noise-free fine-tuning",
    "clip at 2, noise-free",
    "clip at 2, noise-free, batch norms",
    "noise, clip at 2",
    "noise, clip at 2, columns",
    "noise, clip at 2, frozen norms",
    "distillation, clip at 2, frozen norms",
    "distillation, clip at 1.5, frozen norms",
    "distillation, clip at 1.5, frozen norms, noise x 1.5",
    "distillation, clip at 1.5, frozen norms, 5% protected",
    "distillation, clip at 1.5, frozen norms, batches of 32",
    "distillation, clip at 1.5, frozen norms, batches of 32, 5% protected",
    "rescale",
    "rescale, then noise in small steps",
    "rescale, small steps, noise x 1.5",
    "rescale, small steps, 5% protected",
    "the default",
)
SHOWN = "clip at 2, noise-free"  # a task with this row is a column of the ladder
DUELS = """\
For each network and noise, the default of `harden fit` (distillation, clip at 1.5, batch norms frozen in the last half,
batches of 32) and the best other recipe for the same chip: those that ask for another chip, with protected layers or a
scale for each column, are left out. Both at the same number of passes, learning rate and optimizer of the task, mean
over chips in %. The difference is taken seed by seed, over the training seeds that both have; behind ± is one standard
error over these seeds, or, of a single seed, over chips. The default of lite0 trains twice. Most other recipes have
batches of 128; what the batch alone does is a row of the next table."""
NORMS = """\
Batches of 32 have half the learning rate of batches of 128. With 30 chips that bound is the worst of them. "Clip at 2,
noise-free" has batch norms re-estimated under noise where validation chips prefer it in ecg, quick and lite0 only; a
network without batch norms (transformer) has none to freeze. Columns with several training seeds have the means over
those that a row was run with."""
SPREAD = (
    "Mean over chips ± their standard deviation, in brackets the worst chip; over several training seeds the mean of "
    "each. *Clean* is without noise; a range where each profile has a model of its own."
)
Rows = dict[tuple[str, str], list[dict[str, Any]]]


def page() -> str:
    """The page's text."""
    tasks = {name: (read(path), rows_of(name)) for name, path in all_tasks().items()}
    tasks = {name: (task, rows) for name, (task, rows) in tasks.items() if rows}
    parts = [(ROOT / "docs" / "results_head.md").read_text(encoding="utf-8").rstrip(), ""]
    parts += ["## Claims of papers", "", *claims(tasks), ""]
    parts += ["## The default against every other recipe", "", *duels(tasks), ""]
    parts += ["## What each lever adds", "", *ladder(tasks), ""]
    for name, (task, rows) in tasks.items():
        parts += section(name, task, rows)
    return flow.fill("\n".join(parts))


def rows_of(name: str) -> Rows:
    """The finished cells of a task, by recipe and profile."""
    path = RESULTS / f"effectiveness-{name}.jsonl"
    found: Rows = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found.setdefault((row["method"], row["profile"]), []).append(row)
    return found


def claims(tasks: Mapping[str, tuple[Task, Rows]]) -> list[str]:
    """One row for each paper: what it says, what was found."""
    lines = ["| claim | our measurement | reproduced? |", "|---|---|---|"]
    for name, (task, _) in tasks.items():
        if task.claim:
            measured, verdict = task.measured or "not finished", task.verdict or "open"
            lines.append(f"| {task.claim} | {measured} ([{name}](#{name})) | {verdict} |")
    return lines


def duels(tasks: Mapping[str, tuple[Task, Rows]]) -> list[str]:
    """For each cell of a task that has the default among its recipes, the best of the others beside it."""
    lines = [
        DUELS,
        "",
        "| task | noise | seeds | default | best other recipe | its mean | default is ahead by |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (task, rows) in tasks.items():
        for profile in task.profiles:
            ours = rows.get((task.default, profile))
            chip = {r.name for r in task.recipe if not r.protect and not r.reference}  # the rest asks for another chip
            others = {r: f for (r, p), f in rows.items() if p == profile and r != task.default and r in chip}
            seeds = {row["seed"] for row in ours or ()}
            found = {r: duel(ours, f) for r, f in others.items() if ours and any(row["seed"] in seeds for row in f)}
            if not found:
                continue
            best = min(found, key=lambda recipe: found[recipe].ahead)
            one = found[best]
            cells = [str(one.seeds), f"{100 * one.ours:.1f}", best, f"{100 * (one.ours - one.ahead):.1f}"]
            cells.append(f"{100 * one.ahead:+.1f} ± {100 * one.error:.1f}")
            lines.append(f"| [{name}](#{name}) | {profile} | {' | '.join(cells)} |")
    return lines


class Duel(NamedTuple):
    """One recipe against another: seeds that both have, its mean over them, how far ahead, the standard error."""

    seeds: int
    ours: float
    ahead: float
    error: float


def duel(ours: list[dict[str, Any]], others: list[dict[str, Any]]) -> Duel:
    """The difference of two recipes over their common training seeds; chips are the same in all rows of a task."""
    pairs = [(a, b) for a in ours for b in others if a["seed"] == b["seed"]]
    differences = [a["mean"] - b["mean"] for a, b in pairs]
    if len(pairs) > 1:
        error = statistics.stdev(differences) / len(pairs) ** 0.5
    else:
        error = sum(row["std"] ** 2 / row["chips"] for row in pairs[0]) ** 0.5
    return Duel(len(pairs), mean([a for a, _ in pairs]), statistics.mean(differences), error)


def mean(rows: list[dict[str, Any]]) -> float:
    """Over training seeds, of the mean over chips."""
    return statistics.mean(row["mean"] for row in rows)


def worst(rows: list[dict[str, Any]]) -> float:
    """Over training seeds, the mean of the worst chip."""
    return statistics.mean(row["min"] for row in rows)


def ladder(tasks: Mapping[str, tuple[Task, Rows]]) -> list[str]:
    """Mean and 90/95 bound of every lever, a column for each network at its hardest finished profile."""
    columns: dict[str, tuple[str, Rows]] = {}
    for name, (task, rows) in tasks.items():
        if any((SHOWN, p) in rows for p in task.profiles):
            hardest = next(p for p in reversed(task.profiles) if (LADDER[0], p) in rows or ("base", p) in rows)
            columns[name] = hardest, rows
    if not columns:
        return ["Not finished."]
    head = " | ".join(f"[{name}](#{name}), {profile}" for name, (profile, _) in columns.items())
    lines = [f"Mean over chips and, in brackets, what 90% of chips reach with 95% confidence. {NORMS}", ""]
    lines += [f"| levers | {head} |", "|---" * (len(columns) + 1) + "|"]
    for lever in LADDER:
        cells = []
        for profile, rows in columns.values():
            found = rows.get((lever, profile)) or (rows.get(("base", profile)) if lever == "as given" else None)
            cells.append(_bound(found) if found else "")
        if any(cells):
            lines.append(f"| {lever} | {' | '.join(cells)} |")
    return lines


def section(name: str, task: Task, rows: Rows) -> list[str]:
    """The table of one task."""
    seeds = sorted({row["seed"] for found in rows.values() for row in found})
    chips = sorted({row["chips"] for found in rows.values() for row in found})
    examples = sorted({row["examples"] for found in rows.values() for row in found})
    about = (
        f"{task.steps} plain steps for every recipe (those that need more passes per step get fewer), "
        f"{_list(chips)} chips x {_list(examples)} test examples, training seeds {_list(seeds)}. "
        f"`{task.network}`, data `{task.data}`."
    )
    lines = [f'<a id="{name}"></a>', "", f"## {task.title}", "", about, ""]
    if task.notes:
        lines += [task.notes, ""]
    if (IMAGES / f"results-{name}.svg").exists():
        lines += [f"![Mean and worst chip of every recipe: {task.title}](images/results-{name}.svg)", ""]
    lines += [SPREAD, ""]
    lines += [f"| recipe | {' | '.join(task.profiles)} | clean | passes | seconds |"]
    lines += ["|---" * (len(task.profiles) + 4) + "|"]
    for recipe in task.recipe:
        found = [rows.get((recipe.name, profile), []) for profile in task.profiles]
        if any(found):
            lines.append(_row(recipe, found))
            published = task.published.get(recipe.name)
            if published:
                cells = " | ".join(f"{one[0]:.1f} ± {one[1]:.1f} ({one[2]:.1f})" for one in published)
                lines.append(f"| *published: {recipe.name}* | {cells} | | | |")
    return [*lines, "", *yields(task, rows)]


def yields(task: Task, rows: Rows) -> list[str]:
    """The share of chips that reach the task's floor, where it has one."""
    if task.floor is None:
        return []
    kind = "balanced accuracy" if task.balanced else "accuracy"
    lines = [f"Yield: the share of chips in % whose {kind} is at least {100 * task.floor:g}%.", ""]
    lines += [f"| recipe | {' | '.join(task.profiles)} |", "|---" * (len(task.profiles) + 1) + "|"]
    for recipe in task.recipe:
        cells = []
        for profile in task.profiles:
            found = [row["yield"] for row in rows.get((recipe.name, profile), [])]
            cells.append(f"{100 * statistics.mean(found):.0f}" if found else "")
        if any(cells):
            lines.append(f"| {recipe.name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _row(recipe: Recipe, found: list[list[dict[str, Any]]]) -> str:
    cells = " | ".join(_cell(rows) for rows in found)
    every = [row for rows in found for row in rows]
    clean = [statistics.mean(row["clean"] for row in rows) for rows in found if rows]
    levels = f"{100 * min(clean):.1f}" + f" to {100 * max(clean):.1f}" * (max(clean) - min(clean) > 5e-4)
    passes, seconds = (statistics.mean(row[key] for row in every) for key in ("passes", "seconds"))
    kept = " *(start kept)*" * all(row["steps"] > 0 and row.get("selected") == 0 for row in every)
    return f"| {recipe.name}{kept} | {cells} | {levels} | {passes:.0f} | {seconds:.0f} |"


def _cell(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    std = statistics.mean(row["std"] for row in rows)
    return f"{100 * mean(rows):.1f} ± {100 * std:.1f} ({100 * worst(rows):.1f})"


def _bound(rows: list[dict[str, Any]]) -> str:
    bounds = [row["bound_90_95"] for row in rows]
    bound = "" if None in bounds else f" ({100 * statistics.mean(bounds):.1f})"
    return f"{100 * mean(rows):.1f}{bound}"


def _list(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values)


def draw() -> None:
    """The plots: for each task, mean and worst chip of every recipe at every profile."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({"svg.hashsalt": "harden", "svg.fonttype": "none", "font.size": 9})
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
    for name, path in all_tasks().items():
        task, rows = read(path), rows_of(name)
        recipes = [r.name for r in task.recipe if any((r.name, p) in rows for p in task.profiles)]
        if not recipes:
            continue
        figure = Figure(figsize=(8, 0.9 + 0.13 * len(recipes) * (1 + len(task.profiles))), layout="constrained")
        axes = figure.add_subplot()
        for i, profile in enumerate(task.profiles):
            for place, recipe in enumerate(recipes):
                found = rows.get((recipe, profile), [])
                if found:
                    y = place + 0.8 * (i + 0.5) / len(task.profiles) - 0.4
                    label = profile if place == 0 else None
                    axes.plot([100 * worst(found), 100 * mean(found)], [y, y], color=colours[i % len(colours)], lw=1.5)
                    axes.plot([100 * mean(found)], [y], "o", ms=4, color=colours[i % len(colours)], label=label)
        axes.set_yticks(range(len(recipes)), recipes)
        axes.invert_yaxis()
        kind = "balanced accuracy" if task.balanced else "accuracy"
        axes.set_xlabel(f"{kind} in %: dot, mean over chips; end of the line, worst chip")
        axes.grid(axis="x", color="#dde2e8")
        axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.12), ncols=3, frameon=False)
        figure.savefig(IMAGES / f"results-{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    draw()
    (ROOT / "docs" / "results.md").write_text(page().rstrip() + "\n", encoding="utf-8")
