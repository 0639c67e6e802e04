"""SAM, ASAM, AWP, AMP, ABCD and Entropy-SGD against their papers' updates on a quadratic."""

from __future__ import annotations

import math

import pytest
import torch

from harden import methods
from harden.methods.base import Batch


class Quadratic(torch.nn.Module):
    """Loss 0.5 (w - t)^T D (w - t) for a weight w [2, 2], as if it were a network's output."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 3.0]]))

    def forward(self, x, *, weights=None, taps=(), update_statistics=False):
        return (weights or {}).get("w", self.w)


DIAGONAL = torch.tensor([[1.0, 0.5], [2.0, 0.25]])
TARGET = torch.tensor([[0.0, 1.0], [1.0, 1.0]])


class QuadraticTask:
    def loss(self, outputs, targets):
        return 0.5 * (DIAGONAL * (outputs - TARGET).square()).sum()

    def divergence(self, reference, outputs, temperature=1.0):
        return (outputs - reference).square().mean()


def slope(w):
    return DIAGONAL * (w - TARGET)


class Silent:
    """No noise."""

    def __init__(self, net):
        self.profile = type("P", (), {"sigma": 0.1})()
        self.net = net

    def draw(self, stream, severity=1.0, sigma=None):
        return {"w": self.net.w.clone()}


@pytest.fixture
def quadratic():
    net = Quadratic()
    return net, Batch((torch.zeros(1),), None, QuadraticTask(), seed=0, step=0), Silent(net)


def gradient(name, options, quadratic):
    net, batch, noise = quadratic
    result = methods.load(name, options).step(net, batch, noise)
    result.loss.backward()
    return net.w.grad


def test_sam_takes_the_gradient_a_distance_rho_uphill(quadratic):
    w = quadratic[0].w.detach()
    g = slope(w)
    expected = slope(w + 0.3 * g / g.norm())
    torch.testing.assert_close(gradient("sam", {"rho": 0.3}, quadratic), expected)


def test_asam_goes_uphill_in_units_of_each_weight(quadratic):
    w = quadratic[0].w.detach()
    g = slope(w)
    expected = slope(w + 0.3 * w.square() * g / (w * g).norm())
    torch.testing.assert_close(gradient("asam", {"rho": 0.3}, quadratic), expected)


def test_awp_goes_uphill_by_a_share_of_the_tensors_norm(quadratic):
    w = quadratic[0].w.detach()
    g = slope(w)
    expected = slope(w + 0.1 * w.norm() * g / g.norm())
    torch.testing.assert_close(gradient("awp", {"gamma": 0.1}, quadratic), expected)


@pytest.mark.parametrize(("epsilon", "projected"), [(0.05, True), (10.0, False)])
def test_amp_goes_uphill_along_the_gradient_within_a_ball(quadratic, epsilon, projected):
    w = quadratic[0].w.detach()
    shift = 0.1 * slope(w)
    if projected:
        shift = epsilon * shift / shift.norm()
    torch.testing.assert_close(gradient("amp", {"epsilon": epsilon}, quadratic), slope(w + shift))


def test_abcd_moves_the_masked_weights_and_teaches_the_others(quadratic):
    net, batch, _ = quadratic
    w = net.w.detach()
    g = slope(w)
    expected = torch.zeros_like(w)
    for r in range(2):
        mask = torch.empty(2, 2).bernoulli_(0.5, generator=batch.generator("block", r, "w"))
        ascent = torch.minimum(torch.maximum(0.1 * g, -0.1 * w.abs()), 0.1 * w.abs())
        expected += (1 - mask) * slope(w + mask * ascent) / 2
    torch.testing.assert_close(gradient("abcd", {}, quadratic), expected)


def test_entropy_sgd_pulls_to_the_mean_of_the_walk(quadratic):
    """Without thermal noise the walk is a linear recursion."""
    w = quadratic[0].w.detach()
    place, mean = w.clone(), w.clone()
    unit_place = unit_mean = 0.0
    for _ in range(4):
        place = place - 0.1 * (slope(place) - 0.5 * (w - place))
        mean = 0.25 * mean + 0.75 * place
        unit_place += 0.1 * (1 - 0.5 * unit_place)
        unit_mean = 0.25 * unit_mean + 0.75 * unit_place
    found = gradient("entropy_sgd", {"rounds": 4, "gamma": 0.5, "temperature": 0.0}, quadratic)
    torch.testing.assert_close(found, (w - mean) / unit_mean)


def test_entropy_sgd_has_the_gradient_of_a_linear_loss(quadratic, monkeypatch):
    linear = torch.tensor([[1.0, -1.0], [2.0, 0.0]])
    monkeypatch.setattr(QuadraticTask, "loss", lambda self, outputs, targets: (linear * outputs).sum())
    found = gradient("entropy_sgd", {"temperature": 0.0}, quadratic)
    torch.testing.assert_close(found, linear)


def test_the_walk_of_entropy_sgd_is_as_hot_as_it_says(quadratic):
    net, batch, _ = quadratic
    w = net.w.detach()
    kick = torch.empty_like(w).normal_(generator=batch.generator("langevin", 0, "w"))
    options = {"rounds": 1, "average": 1.0, "gamma": 0.0, "temperature": 0.5}
    walked = w - 0.1 * slope(w) + math.sqrt(0.1) * 0.5 * kick
    torch.testing.assert_close(gradient("entropy_sgd", options, quadratic), (w - walked) / 0.1)
