"""Batch norms frozen for the last share of a run: trained as the chip computes, and resumed to the bit."""

from __future__ import annotations

import pytest
import torch

from harden.errors import SettingsError
from harden.training.listener import Listener
from harden.training.loop import train
from harden.training.problem import Problem


def modes(monkeypatch):
    """Record whether batch norms used the batch's statistics, step by step."""
    from harden.methods.noise import Method

    seen = []
    step = Method.step

    def recording(self, net, batch, noise):
        seen.append(net.training)
        return step(self, net, batch, noise)

    monkeypatch.setattr(Method, "step", recording)
    return seen


def test_the_last_share_of_the_steps_uses_running_statistics(model, clouds, plan, monkeypatch):
    seen = modes(monkeypatch)
    result = train(Problem(model, clouds(), clouds(96, 1)), plan(steps=20, freeze_batch_norms=0.25))
    assert seen == [True] * 15 + [False] * 5
    assert result.levers["freeze_batch_norms"] == 0.25


def test_statistics_are_those_under_noise_when_the_share_begins(model, clouds, plan):
    """With a learning rate of nothing, what frozen steps leave behind is the re-estimated statistics."""
    trained = train(
        Problem(model, clouds(), clouds(96, 1)),
        plan(steps=4, lr=1e-12, freeze_batch_norms=0.99, clip=None, column_scaling="off", batch_norm_reestimation="on"),
    )
    last = train(
        Problem(model, clouds(), clouds(96, 1)),
        plan(steps=4, lr=1e-12, freeze_batch_norms=0.0, clip=None, column_scaling="off", batch_norm_reestimation="on"),
    )
    # Both end with statistics re-estimated on the same batches and draws: freezing changed nothing else.
    torch.testing.assert_close(trained.weights["mean"], last.weights["mean"], rtol=1e-4, atol=1e-5)


def test_a_killed_run_ends_with_the_same_bits(model, clouds, plan, tmp_path, pace):
    wanted = plan(steps=120, freeze_batch_norms=0.5)
    whole = train(Problem(model, clouds(), clouds(96, 1)), wanted)

    class KilledError(Exception):
        pass

    def kill(step, total, left):
        if step == 101:
            raise KilledError

    file = tmp_path / "checkpoint.safetensors"
    pace(checkpoint_s=0.0)
    with pytest.raises(KilledError):
        train(Problem(model, clouds(), clouds(96, 1)), wanted, Listener(on_progress=kill), checkpoint=file)
    resumed = train(Problem(model, clouds(), clouds(96, 1)), wanted, checkpoint=file)
    for name, value in whole.weights.items():
        assert torch.equal(value, resumed.weights[name]), name


def test_frozen_from_the_first_step_they_stay_as_the_file_has_them(model, clouds, plan):
    result = train(
        Problem(model, clouds(), clouds(96, 1)), plan(steps=10, freeze_batch_norms=1.0, batch_norm_reestimation="off")
    )
    given = dict(model.module().named_buffers())
    for name in ("mean", "var"):
        assert torch.equal(result.weights[name], given[name])


def test_a_share_out_of_range_is_refused(plan):
    with pytest.raises(SettingsError, match="freeze_batch_norms"):
        plan(freeze_batch_norms=1.1)
