"""Clipping to standard deviations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harden.levers.clip import resolve
from harden.noise.profile import Profile
from harden.streams import generator
from harden.transforms.clip import Clip, clip_


def normal(*shape):
    return torch.empty(shape).normal_(generator=generator(0, "clip", *shape))


@given(st.floats(0.5, 4), st.integers(2, 200))
def test_nothing_is_beyond_the_bound_and_the_rest_is_untouched(k, size):
    before = normal(size)
    bound = k * before.std()
    after = before.clone()
    clip_([after], k)
    assert after.abs().max() <= bound * (1 + 1e-6)
    inside = before.abs() <= bound
    assert torch.equal(after[inside], before[inside])


def test_each_tensor_has_its_own_bound():
    small, large = normal(100), 10 * normal(100)
    clip_([small, large], 1.0)
    assert large.abs().max() > 5 * small.abs().max()


def test_a_single_weight_is_left_alone():
    one = torch.tensor([3.0])
    clip_([one], 1.0)
    assert one.item() == 3.0


def test_annealing_starts_at_the_own_range_and_ends_at_k():
    parameter = torch.nn.Parameter(normal(1000))
    original = parameter.detach().clone()
    clip = Clip({"w": parameter}, 1.0, anneal=0.5)
    clip.apply(0.0)
    assert torch.equal(parameter, original)
    peak = original.abs().max() / original.std()
    clip.apply(0.25)
    assert parameter.abs().max().item() == pytest.approx(((peak + 1.0) / 2 * original.std()).item(), rel=1e-5)
    spread = parameter.std().item()
    clip.apply(0.5)
    assert parameter.abs().max().item() == pytest.approx(spread, rel=1e-5)


def test_the_record_counts_what_was_beyond_the_bound():
    clip = Clip({"w": torch.nn.Parameter(torch.tensor([0.0, 0.0, 0.0, 10.0]))}, 1.5)
    assert clip.record == {"k": 1.5, "anneal": 0.0, "tensors": 1, "beyond_at_start": 0.25}


def test_auto_is_one_and_a_half_where_noise_grows_with_the_range():
    grows, stays = Profile.parse("gaussian:sigma=0.1"), Profile.parse("gaussian:sigma=0.1,relative_to=weight")
    assert resolve("auto", [grows]) == 1.5
    assert resolve("auto", [stays]) is None
    assert resolve("auto", [stays, grows]) == 1.5
    assert resolve(None, [grows]) is None
