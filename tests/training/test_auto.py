"""The recipe: halving, its bookkeeping, and its resume."""

from __future__ import annotations

import pytest
import torch

from harden.errors import SettingsError, UnknownNameError
from harden.training import auto as module
from harden.training.auto import auto, choose_scale


@pytest.fixture
def recipe(plan):
    def make(**values):
        options = {"candidates": ("noise", "distill", "rdrop"), **values.pop("options", {})}
        return plan(method="auto", options=options, steps=120, lr=0.05, **values)

    return make


def test_it_tries_halves_and_trains_the_winner(model, clouds, recipe):
    trained = auto(model, clouds(), clouds(200, seed=1), recipe())
    record = trained.levers["auto"]
    rounds = [[one["name"] for one in record["tried"] if one["round"] == r] for r in (0, 1)]
    assert rounds[0] == ["noise", "distill", "rdrop"]
    assert len(rounds[1]) == 2
    last = {one["name"]: one["score"] for one in record["tried"] if one["round"] == 1}
    assert last[record["chosen"]] == max(last.values())
    assert record["chosen"] in record["why"]
    assert trained.validation[-1]["accuracy"] > 0.7


def test_methods_with_more_passes_get_fewer_steps(model, clouds, recipe):
    tried = auto(model, clouds(), clouds(99, seed=1), recipe()).levers["auto"]["tried"]
    steps = {one["name"]: one["steps"] for one in tried if one["round"] == 0}
    assert steps["noise"] == 10
    assert steps["rdrop"] == 5
    assert steps["noise"] > steps["distill"] > steps["rdrop"]


def test_a_killed_search_goes_on_where_it_was(model, clouds, recipe, tmp_path, monkeypatch):
    whole = auto(model, clouds(), clouds(99, seed=1), recipe())
    file, calls, real = tmp_path / "checkpoint.safetensors", [], module.train

    def counted(*arguments, **named):
        calls.append(arguments[3].method)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(module, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        auto(model, clouds(), clouds(99, seed=1), recipe(), checkpoint=file)
    resumed = auto(model, clouds(), clouds(99, seed=1), recipe(), checkpoint=file)
    assert calls[:4] == ["noise", "distill", "rdrop", "rdrop"]
    assert resumed.levers["auto"] == whole.levers["auto"]
    assert all(torch.equal(resumed.weights[name], whole.weights[name]) for name in whole.weights)
    assert {path.name for path in tmp_path.iterdir()} <= {"auto.json", "checkpoint.safetensors"}


def test_clipping_that_was_switched_off_stays_off(model, clouds, recipe):
    trained = auto(model, clouds(), clouds(99, seed=1), recipe(clip=None))
    assert trained.levers["clip"] is None


def test_progress_ends_at_its_total(model, clouds, recipe):
    calls = []
    auto(model, clouds(), clouds(99, seed=1), recipe(), on_progress=lambda *call: calls.append(call))
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(calls[-1][1], abs=2)


def test_an_unknown_candidate_is_named(model, clouds, recipe):
    with pytest.raises(UnknownNameError, match="unknown candidate 'nois'"):
        auto(model, clouds(), clouds(99, seed=1), recipe(options={"candidates": ("nois",)}))


def test_the_noise_in_training_is_chosen_on_validation_chips(model, clouds, plan):
    trained = choose_scale(model, clouds(), clouds(200, seed=1), plan(steps=60, lr=0.05), scales=(0.5, 1.0, 2.0))
    record = trained.levers["sigma_scale_search"]
    last = max(one["round"] for one in record["tried"])
    scores = {one["name"]: one["score"] for one in record["tried"] if one["round"] == last}
    assert {one["name"] for one in record["tried"]} == {"0.5", "1", "2"}
    assert scores[record["chosen"]] == max(scores.values())
    assert trained.levers["train_sigma_scale"] == float(record["chosen"])


def test_a_recipe_chooses_the_noise_by_itself(model, clouds, recipe):
    with pytest.raises(SettingsError, match="by itself"):
        choose_scale(model, clouds(), clouds(99, seed=1), recipe(), scales=(1.0, 2.0))
