"""Training through converters and output noise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from harden.data.dataset import Dataset
from harden.evaluation.plan import Condition
from harden.noise.profile import Profile
from harden.training.listener import Listener
from harden.training.loop import train
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem
from harden.transforms.batch_norm import statistics

Plan = Callable[..., TrainingPlan]
Clouds = Callable[..., Dataset]


def profiles(text):
    return (Condition(Profile.parse(text)),)


def trained(model, clouds, plan, **options):
    return train(Problem(model, clouds(), clouds(128, seed=1)), plan, **options)


def test_a_network_learns_through_coarse_converters(model, clouds, plan):
    noise = profiles("gaussian:sigma=0.1,adc_bits=3,dac_bits=4,output_noise=0.05")
    done = trained(model, clouds, plan(conditions=noise))
    assert done.validation[-1].score > done.validation[0].score + 0.2
    assert done.history[-1]["loss"] < done.history[0]["loss"]
    record = done.levers["periphery"][0]
    assert record["adc_bits"] == 3
    assert set(record["ranges"]) == {"a", "b"}
    assert record["ranges"]["b"]["input"][0] == 0.0  # behind a Relu


def test_off_trains_the_same_bits(model, clouds, plan):
    one = trained(model, clouds, plan(steps=5))
    two = trained(
        model, clouds, plan(steps=5, conditions=profiles("gaussian:sigma=0.1,adc_bits=0,range_percentile=95"))
    )
    assert [record["loss"] for record in one.history] == [record["loss"] for record in two.history]
    assert all(torch.equal(one.weights[name], two.weights[name]) for name in one.weights)
    assert "periphery" not in one.levers


@pytest.mark.parametrize("knob", ["adc_bits=3", "dac_bits=2", "output_noise=0.1", "input_range=0.5"])
def test_each_knob_reaches_the_training(knob, model, clouds, plan):
    plain = trained(model, clouds, plan(steps=2))
    turned = trained(model, clouds, plan(steps=2, conditions=profiles(f"gaussian:sigma=0.1,{knob}")))
    assert plain.history[0]["loss"] != turned.history[0]["loss"]
    assert plain.validation != turned.validation or knob != "dac_bits=2"


class KilledError(Exception):
    pass


def test_a_resumed_run_repeats_the_bits(model, clouds, plan, tmp_path, pace):
    pace(snapshot_steps=4, checkpoint_s=0.0)
    noise = profiles("gaussian:sigma=0.1,adc_bits=4,output_noise=0.05")
    settings = plan(steps=12, conditions=noise, teacher="self")

    def kill(record):
        if record["step"] == 7:
            raise KilledError

    with pytest.raises(KilledError):
        trained(model, clouds, settings, listener=Listener(on_step=kill), checkpoint=tmp_path / "c.safetensors")
    resumed = trained(model, clouds, settings, checkpoint=tmp_path / "c.safetensors")
    whole = trained(model, clouds, settings)
    assert [r["loss"] for r in resumed.history] == [r["loss"] for r in whole.history]
    assert all(torch.equal(resumed.weights[name], whole.weights[name]) for name in whole.weights)


def test_batch_norms_are_estimated_behind_converters(model, clouds, plan):
    on = plan(steps=1, batch_norm_reestimation="on")
    coarse = plan(steps=1, batch_norm_reestimation="on", conditions=profiles("gaussian:sigma=0.1,adc_bits=2"))
    names = set(statistics(model.module()))
    one, two = trained(model, clouds, on).weights, trained(model, clouds, coarse).weights
    assert names
    assert any(not torch.allclose(one[name], two[name], rtol=1e-3) for name in names)
