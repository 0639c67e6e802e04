"""The teacher's features as a lever: the loss written out, with every method, for both teachers."""

from __future__ import annotations

import pytest
import torch
import toys

from harden.errors import ModelError, SettingsError
from harden.evaluation.plan import Condition
from harden.noise.profile import Profile
from harden.training.batches import Batches
from harden.training.loop import train

PROFILE = Profile.parse("gaussian:sigma=0.1")
ONE = {
    "steps": 1, "column_scaling": "off", "freeze_batch_norms": 0.0,
    "lr": 0.1, "warmup": 0.0, "weight_decay": 0.0, "gradient_clip": 1e9, "clip": None, "selections": 1,
    "batch_norm_reestimation": "off", "conditions": (Condition(PROFILE),), "teacher_taps": ("n", "r"),
}  # fmt: skip


def first_step(problem, plan, **values):
    """The record of one step."""
    return train(problem, plan(**{**ONE, **values})).history[0]


@pytest.mark.parametrize("teacher", ["clean", "self"])
def test_the_loss_is_the_mean_relative_distance_at_the_taps(problem, model, clouds, plan, teacher):
    record = first_step(problem, plan, teacher=teacher, teacher_match="features", teacher_weight=1.0)
    net = model.module().train()
    x = torch.from_numpy(clouds().inputs(Batches(clouds(), plan(**ONE, teacher="clean"), toys.labels()).index(0)))
    asked = net if teacher == "self" else model.module().eval()
    weights = PROFILE.perturb(net.analog_weights(), seed=0, path=("train", 0, 0, "noise"))
    with torch.no_grad():
        right = asked(x, taps=("n", "r"))[1]
        found = net(x, weights=weights, taps=("n", "r"))[1]
    distances = [((found[t] - right[t]) ** 2).sum() / (right[t] ** 2).sum() for t in ("n", "r")]
    assert record["teacher_features"] == pytest.approx(float(sum(distances)) / 2, rel=1e-4)
    assert record["loss"] == pytest.approx(record["teacher_features"])


def test_the_share_of_the_labels_is_what_is_left(problem, plan):
    plain = first_step(problem, plan, teacher_taps=())
    record = first_step(problem, plan, teacher="clean", teacher_match="features", teacher_weight=0.25)
    assert record["loss"] == pytest.approx(0.75 * plain["loss"] + record["teacher_features"], rel=1e-5)
    both = first_step(problem, plan, teacher="clean", teacher_match="both", teacher_weight=0.25)
    logits = first_step(problem, plan, teacher="clean", teacher_weight=0.25, teacher_taps=())
    assert both["loss"] == pytest.approx(logits["loss"] + record["teacher_features"], rel=1e-5)


@pytest.mark.parametrize("method", ["noise", "entropy_sgd", "sam", "nft_ovf"])
def test_it_goes_with_every_method_and_draws_features_near(problem, plan, method):
    values = {"method": method, "teacher": "clean", "teacher_match": "features", "teacher_weight": 1.0}
    more = {"steps": 40, "lr": 0.02, "teacher_taps": ("n", "r")}
    trained = train(problem, plan(**values, **more))
    first, last = ([r["teacher_features"] for r in part] for part in (trained.history[:8], trained.history[-8:]))
    assert sum(last) < sum(first)
    assert trained.levers["teacher"]["match"] == "features"
    assert trained.levers["teacher"]["taps"] == "n, r"


def test_without_a_teacher_there_is_nothing_to_match(plan):
    with pytest.raises(SettingsError, match="no teacher"):
        plan(teacher_match="both")


def test_a_graph_without_places_says_what_to_name(problem, plan):
    with pytest.raises(ModelError) as found:
        train(problem, plan(teacher="clean", teacher_match="both"))
    assert "--teacher-taps" in str(found.value)
