"""Learning rates and decay."""

from __future__ import annotations

import math

import pytest
import torch

from harden.training.optimizer import build, clip_gradient, factor


def test_the_rate_rises_linearly_and_falls_as_a_half_cosine():
    rates = [factor(step, 100, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:] == pytest.approx([0.5 * (1 + math.cos(math.pi * i / 90)) for i in range(90)])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_only_tensors_of_several_axes_decay(plan, optimizer):
    w, b = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    step = build({"w": w, "b": b}, plan(optimizer=optimizer, weight_decay=0.5, lr=0.1))
    w.grad, b.grad = torch.zeros_like(w), torch.zeros_like(b)
    step.step()
    assert w.max() < 1
    assert torch.equal(b, torch.ones(2))


def test_sgd_has_nesterov_momentum(plan):
    w = torch.nn.Parameter(torch.zeros(1))
    optimizer = build({"w": w}, plan(lr=1.0, weight_decay=0.0))
    for _ in range(2):
        w.grad = torch.ones(1)
        optimizer.step()
    # v1 = 1, step 1 + 0.9; v2 = 1.9, step 1 + 0.9 * 1.9.
    assert w.item() == pytest.approx(-(1.9 + 2.71))


def test_the_gradient_is_clipped_to_its_norm():
    w = torch.nn.Parameter(torch.zeros(2))
    w.grad = torch.tensor([3.0, 4.0])
    assert clip_gradient({"w": w}, 1.0) == pytest.approx(5.0)
    torch.testing.assert_close(w.grad, torch.tensor([0.6, 0.8]), atol=1e-4, rtol=0)
