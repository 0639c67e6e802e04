"""How long a training is that nobody told the length of."""

from __future__ import annotations

import pytest

from harden.evaluation.plan import Condition
from harden.noise.profile import Profile
from harden.training.plan import TrainingPlan

NOISE = (Condition(Profile.parse("gaussian:sigma=0.1")),)


@pytest.mark.parametrize(
    ("told", "examples", "steps"),
    [
        ({}, 50_000, 1562),  # an epoch of batches of 32
        ({}, 1_000, 400),  # 12,800 examples
        ({"batch_size": 128}, 1_000, 100),
        ({"batch_size": 50_000}, 1_000, 1),  # a batch larger than all of them is still a step
        ({"epochs": 2}, 1_000, 62),
        ({"epochs": 0.001}, 1_000, 1),
        ({"epochs": 2, "steps": 7}, 1_000, 7),
    ],
)
def test_the_number_of_steps(told, examples, steps):
    assert TrainingPlan(conditions=NOISE, **told).total_steps(examples) == steps
