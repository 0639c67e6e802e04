"""The second, gentle training, and the start from a rescaled network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from harden.evaluation.plan import Condition
from harden.noise.profile import Profile
from harden.training.auto import auto
from harden.training.listener import SILENT
from harden.training.loop import train
from harden.training.problem import Problem
from harden.training.second_try import gentle, second_try
from harden.training.selection import noise_free_score
from harden.training.trained import Selection, Trained

OURS = (Condition(Profile.parse("gaussian:sigma=0.1")),)
OWN_SIZE = (Condition(Profile.parse("mismatch:zeta=0.1")),)


def trained(selected, plan, *scores, steps=20):
    validation = [Selection(i, score) for i, score in enumerate(scores)]
    history = [{"step": i + 1, "loss": 1.0} for i in range(steps)]
    return Trained(f"model of {scores}", {}, history, validation, selected, {"clip": None}, 1.5, plan)


class Recorder:
    """Stands in for the trainer: remembers the plan, gives what it was told to."""

    def __init__(self, result=None):
        self.plans: list[Any] = []
        self.result = result

    def __call__(self, problem, plan, listener=SILENT, checkpoint=None):
        self.plans.append(plan)
        assert self.result is not None, "nothing was to be trained"
        return replace(self.result, plan=plan)


@pytest.mark.parametrize(
    ("noise_free", "scores", "again"),
    [
        (0.9, (0.5, 0.8), False),
        (0.9, (0.5, 0.61), False),  # more than a quarter of what noise takes
        (0.9, (0.5, 0.59), True),
        (0.9, (0.1, 0.12, 0.29), True),
        (0.5, (0.5, 0.51), False),  # noise takes nothing
    ],
)
def test_a_training_that_helped_is_left_alone(problem, plan, monkeypatch, noise_free, scores, again):
    monkeypatch.setattr("harden.training.second_try.noise_free_score", lambda *_: noise_free)
    first, second = trained(20, plan(), *scores), trained(20, plan(), scores[0], 0.7)
    found = second_try(first, problem, Recorder(second if again else None))
    assert (found is first) is not again
    if again:
        lost = (scores[-1] - scores[0]) / (noise_free - scores[0])
        assert found.levers["second_try"]["recovered"] == pytest.approx(lost)


def test_the_noise_free_score_is_the_accuracy_without_noise(model, clouds, plan):
    data = clouds(99, seed=1)
    with torch.no_grad():
        answers = model.module().eval()(torch.from_numpy(data.inputs(slice(None)))).argmax(1).numpy()
    assert noise_free_score(model, data, plan()) == pytest.approx((answers == data.labels).mean())
    assert noise_free_score(model, data, plan(objective="match")) == 1


def test_a_control_is_not_helped(problem, plan):
    first = trained(0, plan(method="none"), 0.5, 0.4)
    assert second_try(first, problem, Recorder()) is first


@pytest.mark.parametrize(("after", "kept"), [(0.6, True), (0.5, False), (0.4, False)])
def test_the_better_of_two_trainings_is_taken(problem, plan, after, kept):
    this = plan(method="distill")
    first, second = trained(0, this, 0.5, 0.3), trained(20, this, 0.45, after)
    trainer = Recorder(second)
    found = second_try(first, problem, trainer)
    assert found.model == (second if kept else first).model
    assert found.levers["second_try"] == {
        "kept": kept,
        "before": 0.5,
        "after": max(0.45, after),
        "recovered": 0.0,
        "steps": 20,
        "rescaled": True,
    }
    assert found.seconds == 3.0
    (careful,) = trainer.plans
    assert (careful.method, careful.clip, careful.freeze_batch_norms, careful.steps) == ("distill", "none", 1.0, 20)
    assert careful.learning_rate == pytest.approx(plan().learning_rate / 20)
    assert found.plan == (gentle(this).replace(steps=20) if kept else this)  # what controls and ablation repeat


def test_rescaling_is_for_noise_that_follows_the_range(plan):
    assert gentle(plan(conditions=OURS)).rescale_first == "on"
    assert gentle(plan(conditions=OWN_SIZE)).rescale_first == "off"


def test_a_network_that_training_ruins_is_hardened_all_the_same(model, clouds, plan):
    data, validation = clouds(), clouds(200, seed=1)
    good = train(Problem(model, data, validation), plan(method="none", clip=None)).model
    uneven = good.with_weights({"b": good.module().export_weights()["b"] * torch.tensor([30.0] + [1.0] * 15)})
    problem = Problem(uneven, data, validation)
    step = train(problem, plan(method="noise", steps=1, conditions=OURS))
    first = replace(step, selected_step=0, validation=step.validation[:1], history=step.history * 30)
    found = second_try(first, problem, train)
    record = found.levers["second_try"]
    assert (record["kept"], record["rescaled"], record["steps"]) == (True, True, 30)
    assert record["after"] > record["before"]


def test_a_start_from_the_rescaled_network_computes_the_same(model, clouds, plan):
    data = clouds()
    still = plan(method="none", lr=1e-12, steps=1, rescale_first="on", clip=None, batch_norm_reestimation="off")
    run = train(Problem(model, data, clouds(99, seed=1)), still.replace(freeze_batch_norms=1.0))
    assert run.levers["rescale_first"]["noise_after"] <= run.levers["rescale_first"]["noise_before"]
    x = torch.from_numpy(data.inputs(np.arange(50)))
    with torch.no_grad():
        before, after = (one.module().eval()(x) for one in (model, run.model))
    assert torch.allclose(before, after, atol=1e-4 * float(before.abs().max()))
    assert any(not torch.equal(a, run.weights[name]) for name, a in model.module().export_weights().items())


def test_auto_may_choose_the_gentle_one(problem, plan):
    recipe = plan(method="auto", options={"candidates": ("distill_gentle",)}, steps=60)
    tried = auto(problem, recipe).levers["auto"]["tried"]
    assert "distill_gentle" in {one["name"] for one in tried}
