"""The effectiveness benchmark's declarations hold, and its runner resumes without running a cell twice."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "effectiveness"


@pytest.fixture(autouse=True)
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in ("tasks", "data", "networks", "run"):
        sys.modules.pop(name, None)


def names():
    return sorted(path.stem for path in (FOLDER / "tasks").glob("*.toml"))


@pytest.mark.parametrize("name", names())
def test_a_task_names_methods_options_profiles_and_plans_that_exist(name):
    import networks
    from run import condition
    from tasks import all_tasks, read

    from harden import methods
    from harden.training.plan import TrainingPlan

    task = read(all_tasks()[name])
    known = set(TrainingPlan.model_fields)
    assert (
        task.network in networks.NETWORKS
        or task.network == "embedded"
        or task.network.startswith("timm:")
        or ".onnx" in task.network
    )
    assert set(task.plan) <= known
    for profile in task.profiles:
        assert condition(profile, "").profile.name
    for recipe in task.recipe:
        methods.load(recipe.method, recipe.options)
        assert set(recipe.plan) <= known
        assert all(len(cells) == len(task.profiles) for cells in task.published.values())
    assert set(task.published) <= {recipe.name for recipe in task.recipe}


@pytest.mark.parametrize("name", names())
def test_every_task_but_those_from_scratch_has_both_controls(name):
    from tasks import all_tasks, read

    recipes = {recipe.name for recipe in read(all_tasks()[name]).recipe}
    if name in ("nft_mnist", "fashion"):
        return  # trained from scratch, or with the paper's own column "standard"
    assert recipes & {"as given", "base"}
    assert "noise-free fine-tuning" in recipes


def test_cells_are_lines_that_are_not_run_again(tmp_path, monkeypatch):
    import run
    from tasks import Task

    task = Task.model_validate(
        {
            "title": "toy",
            "network": "embedded",
            "data": "digits",
            "profiles": ["gaussian:sigma=0.1", "gaussian:sigma=0.2"],
            "steps": 4,
            "chips": 2,
            "examples": 64,
            "plan": {"selections": 1, "selection_examples": 64, "selection_chips": 1},
            "recipe": [
                {"name": "given", "plan": {"steps": 0}, "once": True},
                {"name": "ovf", "method": "nft_ovf"},
                {"name": "scaled", "method": "rescale", "start": "ovf"},
                {"name": "halves", "train": "gaussian:sigma=0.1", "plan": {"batch_size": 64}},
            ],
        }
    )
    run.Bench("toy", task, tmp_path / "cache", tmp_path, threads=1).run()
    rows = [json.loads(line) for line in (tmp_path / "effectiveness-toy.jsonl").read_text().splitlines()]
    assert [(row["method"], row["profile"][-3:], row["steps"]) for row in rows] == [
        ("given", "0.1", 0),
        ("given", "0.2", 0),
        ("ovf", "0.1", 1),  # four times the passes, a quarter of the steps
        ("ovf", "0.2", 1),
        ("scaled", "0.1", 0),
        ("scaled", "0.2", 0),
        ("halves", "0.1", 8),  # half the batch, twice the steps
        ("halves", "0.2", 8),
    ]
    assert {row["passes"] for row in rows if row["steps"]} == {4.0}
    for row in rows:
        assert {"task", "method", "profile", "seed", "mean", "std", "min", "p05", "clean", "seconds"} <= set(row)
        assert 0 <= row["min"] <= row["mean"] <= 1
    monkeypatch.setattr(run.harden, "evaluate", lambda *a, **k: pytest.fail("a finished cell ran again"))
    run.Bench("toy", task, tmp_path / "cache", tmp_path, threads=1).run()
    changed = task.model_copy(update={"steps": 8})
    with pytest.raises(SystemExit, match="'given' has changed"):
        run.Bench("toy", changed, tmp_path / "cache", tmp_path, threads=1).run()


def test_layers_are_ranked_once_and_the_yield_is_counted(tmp_path, monkeypatch):
    import run
    from tasks import Task

    plan = {"batch_size": 32, "selections": 1, "selection_examples": 64, "selection_chips": 1}
    task = Task.model_validate(
        {
            "title": "toy",
            "network": "embedded",
            "data": "digits",
            "profiles": ["gaussian:sigma=0.1"],
            "steps": 1,
            "chips": 4,
            "examples": 64,
            "floor": 0.5,
            "plan": plan,
            "recipe": [{"name": name, "method": "noise", "protect": "auto:20%"} for name in ("one", "two")],
        }
    )
    asked = []

    def ranked(*args, **kwargs):
        asked.append(args)
        return ("fc.weight",), {"layers": ["fc.weight"]}

    monkeypatch.setattr(run, "protect", ranked)
    run.Bench("toy", task, tmp_path / "cache", tmp_path, threads=1).run()
    assert len(asked) == 1
    rows = [json.loads(line) for line in (tmp_path / "effectiveness-toy.jsonl").read_text().splitlines()]
    assert [row["yield"] * 4 % 1 for row in rows] == [0, 0]
    assert all((row["yield"] == 1) == (row["min"] >= 0.5) for row in rows)
