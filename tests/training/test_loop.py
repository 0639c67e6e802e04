"""The training loop: it learns, repeats itself bit for bit, resumes, selects, and notices divergence."""

from __future__ import annotations

import math

import pytest
import torch

from harden.errors import DataError, DivergedError, RunFolderError, SettingsError
from harden.evaluation.plan import Condition
from harden.noise.profile import Profile
from harden.training import loop, selection
from harden.training.listener import Listener
from harden.training.loop import train
from harden.training.problem import Problem


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_training_under_noise_beats_the_network_as_given(model, clouds, plan):
    trained = train(Problem(model, clouds(), clouds(200, seed=1)), plan())
    first, last = trained.validation[0].score, trained.validation[-1].score
    assert last > 0.75 > first + 0.1
    assert [selection.step for selection in trained.validation] == [0, 15, 30, 45, 60]
    assert trained.selected_step == max(trained.validation, key=lambda s: (s.score, s.step)).step
    assert trained.model.module()(torch.zeros(2, 6)).shape == (2, 3)


def test_equal_seeds_give_equal_bits_and_others_do_not(problem, plan):
    one, two, other = (train(problem, plan(seed=seed)) for seed in (0, 0, 1))
    assert same(one.weights, two.weights)
    assert one.history == two.history
    assert not same(one.weights, other.weights)


def test_a_step_is_logged_with_the_parts_of_its_loss(problem, plan):
    records = []
    trained = train(problem, plan(steps=5, method="nft_ovf"), Listener(on_step=records.append))
    assert records == trained.history
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5]
    assert all({"loss", "lr", "task"} <= record.keys() for record in records)


def test_progress_tells_the_steps_done_the_total_and_the_seconds_left(problem, plan):
    calls = []
    train(problem, plan(steps=4), Listener(on_progress=lambda *call: calls.append(call)))
    assert [call[:2] for call in calls] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert calls[-1][2] == 0
    assert all(left >= 0 for _, _, left in calls)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("method", ["noise", "nft_irs"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_that_was_killed_ends_with_the_bits_of_one_that_was_not(problem, plan, tmp_path, pace, method, optimizer):
    if method == "nft_irs":
        pytest.importorskip("harden.graph.taps")
    pace(snapshot_steps=20, snapshots=1, checkpoint_s=0.0, patience=0.0)
    options = {"taps": "r", "heads": 1, "hidden": 8} if method == "nft_irs" else {}
    this = plan(method=method, options=options, optimizer=optimizer, lr=0.01)
    unbroken = train(problem, this)

    def kill(record):
        if record["step"] == 47:
            raise KilledError

    file = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KilledError):
        train(problem, this, Listener(on_step=kill), checkpoint=file)
    steps = []
    resumed = train(problem, this, Listener(on_step=steps.append), checkpoint=file)
    assert steps[0]["step"] == 46  # a selection at step 45
    assert same(resumed.weights, unbroken.weights)
    assert resumed.history == unbroken.history
    assert resumed.validation == unbroken.validation
    assert resumed.selected_step == unbroken.selected_step


def test_a_checkpoint_of_another_plan_is_refused(problem, plan, tmp_path, pace):
    pace(checkpoint_s=0.0)
    file = tmp_path / "checkpoint.safetensors"
    train(problem, plan(steps=3), checkpoint=file)
    with pytest.raises(RunFolderError, match="other settings"):
        train(problem, plan(steps=4), checkpoint=file)


class Exploding:
    """A method whose loss is infinite at given calls."""

    kind = "objective"

    def __init__(self, at):
        self.at, self.calls = at, 0

    def prepare(self, net, batch): ...

    def finish(self, net): ...

    def parameters(self):
        return {}

    analog_weights = parameters

    def step(self, net, batch, noise):
        from harden.methods.base import StepResult

        self.calls += 1
        loss = batch.loss(net(*batch.inputs, update_statistics=True))
        return StepResult(loss * (math.inf if self.calls in self.at else 1))


def test_an_exploding_loss_is_rolled_back_once_at_a_tenth_of_the_rate(problem, plan, monkeypatch, pace):
    pace(snapshot_steps=10, snapshots=1)
    monkeypatch.setattr(loop.methods, "load", lambda name, options: Exploding({26}))
    trained = train(problem, plan(steps=30, warmup=0.0, selections=1))
    (event,) = trained.levers["rollbacks"]
    assert (event["step"], event["to"]) == (26, 20)
    assert [record["step"] for record in trained.history] == list(range(1, 31))
    assert trained.history[20]["lr"] / trained.history[19]["lr"] < 0.11


def test_a_second_explosion_ends_the_run(problem, plan, monkeypatch):
    monkeypatch.setattr(loop.methods, "load", lambda name, options: Exploding({6, 9}))
    with pytest.raises(DivergedError, match=r"at step 7, after a return to step 4.*Lower --lr") as caught:
        train(problem, plan(steps=30))
    assert caught.value.exit_code == 4


def test_weights_end_within_the_clip(problem, plan):
    trained = train(problem, plan(clip=1.2, steps=20))
    assert trained.selected_step > 0
    for name in ("a", "b"):
        weight = trained.weights[name]
        # Clamping lowers the deviation it was measured with, so the bound is met up to that.
        assert weight.abs().max() <= 1.2 * 1.15 * weight.std()
    assert trained.levers["clip"]["k"] == 1.2


def test_clip_auto_follows_the_profile(problem, plan):
    to_weight = (Condition(Profile.parse("gaussian:sigma=0.1,relative_to=weight")),)
    assert train(problem, plan(steps=1)).levers["clip"]["k"] == 1.5
    assert train(problem, plan(steps=1, conditions=to_weight)).levers["clip"] is None


@pytest.mark.parametrize(
    ("scores", "best"),
    [([0.2, 0.5, 0.9, 0.4, 0.3], 2), ([0.2, 0.9, 0.9, 0.4, 0.3], 2), ([0.9, 0.1, 0.2, 0.3, 0.4], 0)],
    ids=["best", "later of two equal", "as given"],
)
def test_the_weights_are_those_of_the_best_selection(model, clouds, plan, monkeypatch, scores, best):
    seen = []

    def score(self):
        seen.append({name: value.detach().clone() for name, value in self._net.named_parameters()})
        return scores[len(seen) - 1]

    monkeypatch.setattr(selection.Selector, "score", score)
    trained = train(Problem(model, clouds(), clouds(99, seed=1)), plan(clip=None, batch_norm_reestimation="off"))
    assert [judged.step for judged in trained.validation] == [0, 15, 30, 45, 60]
    assert [judged.score for judged in trained.validation] == scores
    assert trained.selected_step == 15 * best
    for name in ("a", "b"):
        equal = [torch.equal(trained.weights[name], weights[name]) for weights in seen]
        assert equal == [index == best for index in range(5)]


def test_unlabelled_data_are_refused_with_the_way_out(model, clouds, plan):
    with pytest.raises(DataError, match="--objective match"):
        train(Problem(model, clouds(labelled=False), clouds(99, seed=1)), plan())


def test_matching_needs_no_labels_and_raises_concordance(model, clouds, plan):
    trained = train(
        Problem(model, clouds(labelled=False), clouds(200, seed=1, labelled=False)), plan(objective="match", lr=0.02)
    )
    assert {selection.measure for selection in trained.validation} == {"concordance"}
    assert trained.validation[-1].score > trained.validation[0].score


def test_every_wrong_value_of_a_plan_is_named_at_once(plan):
    with pytest.raises(SettingsError) as caught:
        plan(lr=-1.0, batch_size=0, warmup=1.0, threads=0)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["batch_size", "lr", "warmup", "threads"]


def test_the_threads_of_the_process_are_left_alone(problem, plan):
    before = torch.get_num_threads()
    train(problem, plan(steps=1, threads=before + 1))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("teacher", ["clean", "self"])
def test_a_teacher_goes_with_any_method(problem, plan, teacher):
    trained = train(problem, plan(steps=20, teacher=teacher, temperature=2.0))
    assert trained.levers["teacher"] == {"kind": teacher, "weight": 0.9, "temperature": 2.0}
    assert all(math.isfinite(record["loss"]) for record in trained.history)


def test_several_profiles_take_turns(problem, plan):
    two = tuple(Condition(Profile.parse(text)) for text in ("gaussian:sigma=0.1", "rram1:sigma_d=0.1"))
    trained = train(problem, plan(steps=20, conditions=two))
    assert trained.validation[-1].score > 0.4


def test_the_clip_of_each_tensor_can_be_searched(problem, plan):
    trained = train(problem, plan(steps=10, clip="search"))
    record = trained.levers["clip"]
    assert record["k"] is None
    assert sum(record["found"].values()) == 2
    assert trained.history == train(problem, plan(steps=10, clip="search")).history
