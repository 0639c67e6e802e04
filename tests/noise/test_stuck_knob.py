"""Any profile may have stuck cells: a share of them, nested as the rate rises, and none by default."""

from __future__ import annotations

import pytest
import torch

from harden.noise.profile import Profile


def stuck(rate):
    """Which of 100,000 weights of 0.5 (the largest is 1) do not stay where they are, without any other noise."""
    weights = torch.full((100, 1000), 0.5)
    weights[0, 0] = 1.0
    chip = Profile.load("gaussian", sigma=0.0, stuck_at=rate).chip({"w": weights}, seed=0, index=0)["w"]
    return chip != weights


def test_the_rate_is_the_share():
    assert not stuck(0.0).any()
    assert float(stuck(0.05).float().mean()) == pytest.approx(0.05, abs=0.003)


def test_cells_stuck_at_a_low_rate_are_stuck_at_a_higher_one():
    low, high = stuck(0.01), stuck(0.03)
    assert bool((low <= high).all())
    assert int(high.sum()) > int(low.sum())


def test_stuck_cells_sit_at_either_end():
    weights = torch.full((100, 1000), 0.5)
    weights[0, 0] = 1.0
    chip = Profile.load("gaussian", sigma=0.0, stuck_at=1.0).chip({"w": weights}, seed=0, index=0)["w"]
    assert set(chip.unique().tolist()) == {-1.0, 1.0}
    assert float((chip > 0).float().mean()) == pytest.approx(0.5, abs=0.01)
