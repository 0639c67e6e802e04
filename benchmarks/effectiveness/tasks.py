"""What a task's TOML file says: a network, data, recipes and seeds. Unknown keys are errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TASKS = Path(__file__).parent / "tasks"
BATCH = 128  # examples of a plain step, where the task names none


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Recipe(_Table):
    """One row of a task's table.

    Attributes:
        name: Unique within the task.
        method: A method's name.
        start: The recipe whose model it starts from, or ``given``: the task's network as it is.
        train: Profile trained for, by the names of docs/profiles.md; a list is mixed. Empty: each of the task's
            profiles gets a model of its own, trained for it.
        options: The method's.
        plan: Fields of TrainingPlan in place of the task's.
        passes: Forward and backward passes per step, where the options change them; the method's own otherwise.
        protect: Share of the weights kept digital, such as ``auto:5%``; empty for none.
        reference: What the chips' noise refers to (``column`` is the baseline of a mapping with a scale for each).
        once: Whether one model, trained for the first profile, serves all: what does not depend on the noise.
        second_try: Whether a gentle training follows one that did not help; else one method, one training.
        report: Whether the recipe is evaluated; a base that others start from need not be.
    """

    name: str
    method: str = "none"
    start: str = "given"
    train: str | list[str] = ""
    options: dict[str, Any] = Field(default_factory=dict)
    plan: dict[str, Any] = Field(default_factory=dict)
    passes: tuple[float, float] | None = None
    protect: str = ""
    reference: Literal["", "column"] = ""
    once: bool = False
    second_try: bool = False
    report: bool = True


class Task(_Table):
    """One experiment.

    Attributes:
        title: A line for the page.
        claim: What the paper says, in our words, with its source.
        measured, verdict: What was found, and whether that reproduces the claim.
        notes: What the reader must know: reductions, differences from the paper.
        published: The paper's mean, standard deviation and minimum in %, by recipe, one for each profile.
        network: A name of networks.py, ``embedded`` (the digits network), a file of the
            shared data's models, or ``timm:NAME`` with its checkpoint there.
        data: A name of data.py.
        profiles: What is evaluated; ``NAME@TIME`` for a time.
        seeds: Training seeds.
        steps: Optimizer steps of one forward and one backward pass; methods that need more passes
            get fewer, smaller batches more.
        plan: Fields of TrainingPlan that all recipes share.
        chips, examples: Of the evaluation, on the test set.
        train_examples: Training examples used, all if absent.
        balanced: Whether the classes are so unequal that balanced accuracy counts.
        floor: Accuracy (or balanced accuracy) that a chip must have; its ``yield`` is the share of chips that do.
        pseudo: Whether the given network's own answers count as right: accuracy is agreement with it.
        default: The recipe that is what ``harden fit`` does by default, but for the number of steps.
        recipe: The rows.
    """

    title: str
    claim: str = ""
    measured: str = ""
    verdict: str = ""
    notes: str = ""
    published: dict[str, list[list[float]]] = Field(default_factory=dict)
    network: str
    data: str
    profiles: list[str]
    seeds: list[int] = [0]
    steps: int
    plan: dict[str, Any] = Field(default_factory=dict)
    chips: int = 50
    examples: int | None = None
    train_examples: int | None = None
    balanced: bool = False
    floor: float | None = None
    pseudo: bool = False
    default: str = ""
    recipe: list[Recipe]


def read(path: Path) -> Task:
    """A task's file, checked."""
    task = Task.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    names = [recipe.name for recipe in task.recipe]
    if len(set(names)) != len(names):
        raise ValueError(f"{path}: two recipes have one name")
    known = {"given"}
    for recipe in task.recipe:
        if recipe.start not in known:
            raise ValueError(f"{path}: {recipe.name} starts from {recipe.start}, which no recipe before it is")
        known.add(recipe.name)
    if task.default and task.default not in known:
        raise ValueError(f"{path}: the default, {task.default}, is none of the recipes")
    return task


def all_tasks() -> dict[str, Path]:
    """Every task, by the file's name."""
    return {path.stem: path for path in sorted(TASKS.glob("*.toml"))}
