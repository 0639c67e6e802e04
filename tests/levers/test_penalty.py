"""Range and kurtosis penalties against numbers that are known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from harden.levers.penalty import kurtosis, penalty, range_in_deviations
from harden.streams import generator


def test_kurtosis_of_known_distributions():
    source = generator(0, "kurtosis")
    assert kurtosis(torch.empty(200_000).uniform_(-1, 1, generator=source)).item() == pytest.approx(1.8, abs=0.02)
    assert kurtosis(torch.empty(200_000).normal_(generator=source)).item() == pytest.approx(3.0, abs=0.05)


def test_spread_of_four_weights():
    assert range_in_deviations(torch.tensor([-1.0, 1.0, -1.0, 1.0])).item() == 1.0
    assert range_in_deviations(torch.tensor([0.0, 0.0, 0.0, 2.0])).item() == pytest.approx(2 / 0.75**0.5)


def test_the_penalty_is_the_mean_over_tensors_and_flattens_them():
    w = torch.empty(500).normal_(generator=generator(1, "penalty")).requires_grad_()
    weights = {"w": SimpleNamespace(tensor=w)}
    expected = 0.5 * range_in_deviations(w) + 2.0 * (kurtosis(w) - 1.8) ** 2
    value = penalty(weights, 0.5, 2.0)
    assert value.item() == pytest.approx(expected.item())
    value.backward()
    assert w.grad is not None
    stepped = (w - 0.1 * w.grad).detach()
    assert kurtosis(stepped) < kurtosis(w)
