"""The recipe: halving, its bookkeeping, and its resume."""

from __future__ import annotations

import pytest
import torch

from harden.errors import SettingsError, UnknownNameError
from harden.training.auto import auto, choose_scale
from harden.training.listener import Listener
from harden.training.loop import train
from harden.training.problem import Problem


@pytest.fixture
def recipe(plan):
    def make(**values):
        options = {"candidates": ("noise", "distill", "rdrop"), **values.pop("options", {})}
        return plan(method="auto", options=options, steps=120, lr=0.05, **values)

    return make


def test_it_tries_halves_and_trains_the_winner(model, clouds, recipe):
    trained = auto(Problem(model, clouds(), clouds(200, seed=1)), recipe())
    record = trained.levers["auto"]
    rounds = [[one["name"] for one in record["tried"] if one["round"] == r] for r in (0, 1)]
    assert rounds[0] == ["noise", "distill", "rdrop"]
    assert len(rounds[1]) == 2
    last = {one["name"]: one["score"] for one in record["tried"] if one["round"] == 1}
    assert last[record["chosen"]] == max(last.values())
    assert record["chosen"] in record["why"]
    assert trained.validation[-1].score > 0.7


def test_methods_with_more_passes_get_fewer_steps(problem, recipe):
    tried = auto(problem, recipe()).levers["auto"]["tried"]
    steps = {one["name"]: one["steps"] for one in tried if one["round"] == 0}
    assert steps["noise"] == 10
    assert steps["rdrop"] == 5
    assert steps["noise"] > steps["distill"] > steps["rdrop"]


def test_a_killed_search_goes_on_where_it_was(problem, recipe, tmp_path):
    whole = auto(problem, recipe())
    file, calls = tmp_path / "checkpoint.safetensors", []

    def counted(problem, plan, *more):
        calls.append(plan.method)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(problem, plan, *more)

    with pytest.raises(KeyboardInterrupt):
        auto(problem, recipe(), checkpoint=file, trainer=counted)
    resumed = auto(problem, recipe(), checkpoint=file, trainer=counted)
    assert calls[:4] == ["noise", "distill", "rdrop", "rdrop"]
    assert resumed.levers["auto"] == whole.levers["auto"]
    assert all(torch.equal(resumed.weights[name], whole.weights[name]) for name in whole.weights)
    assert {path.name for path in tmp_path.iterdir()} <= {"auto.json", "checkpoint.safetensors"}


def test_clipping_that_was_switched_off_stays_off(problem, recipe):
    trained = auto(problem, recipe(clip=None))
    assert trained.levers["clip"] is None


def test_progress_ends_at_its_total(problem, recipe):
    calls = []
    auto(problem, recipe(), Listener(on_progress=lambda *call: calls.append(call)))
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(calls[-1][1], abs=2)


def test_an_unknown_candidate_is_named(problem, recipe):
    with pytest.raises(UnknownNameError, match="unknown candidate 'nois'"):
        auto(problem, recipe(options={"candidates": ("nois",)}))


def test_the_noise_in_training_is_chosen_on_validation_chips(model, clouds, plan):
    trained = choose_scale(
        Problem(model, clouds(), clouds(200, seed=1)), plan(steps=60, lr=0.05), scales=(0.5, 1.0, 2.0)
    )
    record = trained.levers["sigma_scale_search"]
    last = max(one["round"] for one in record["tried"])
    scores = {one["name"]: one["score"] for one in record["tried"] if one["round"] == last}
    assert {one["name"] for one in record["tried"]} == {"0.5", "1", "2"}
    assert scores[record["chosen"]] == max(scores.values())
    assert trained.levers["train_sigma_scale"] == float(record["chosen"])


def test_a_recipe_chooses_the_noise_by_itself(problem, recipe):
    with pytest.raises(SettingsError, match="by itself"):
        choose_scale(problem, recipe(), scales=(1.0, 2.0))
