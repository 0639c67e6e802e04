"""Distillation, consistency, R-Drop and the methods that change the noise, written out in plain torch."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.nn import functional

from harden import methods
from harden.graph import taps
from harden.methods.correctnet import orthogonality
from harden.methods.right_censored import mean_of_censored
from harden.streams import generator


def hidden_and_outputs(net, x, a, b, statistics=None):
    h = x @ a.T
    mean, var = (h.mean(0), h.var(0, unbiased=False)) if statistics is None else statistics
    h = torch.tanh((h - mean) / torch.sqrt(var + 1e-5))
    return h, h @ b.T + net.bias


def noisy(noise, net, stream="noise", factor=1.0):
    return [w + factor * 0.1 * noise.standard(stream, key, w) for key, w in net.analog().items()]


def kl(p, q, temperature=1.0):
    """T^2 sum p (log p - log q), by hand."""
    p, q = (p / temperature).softmax(1), (q / temperature).softmax(1)
    return temperature**2 * (p * (p.log() - q.log())).sum(1).mean()


def test_distillation(net, batch, noise_of):
    method = methods.load("distill", {"weight": 0.8, "temperature": 3.0})
    method.prepare(net, batch)
    teacher = copy.deepcopy(net)
    with torch.no_grad():
        net.b.add_(0.1)
    noise = noise_of(net)
    (x,) = batch.inputs
    _, z = hidden_and_outputs(net, x, *noisy(noise, net))
    _, right = hidden_and_outputs(teacher, x, teacher.a, teacher.b, (teacher.mean, teacher.var))
    expected = 0.2 * functional.cross_entropy(z, batch.targets) + 0.8 * kl(right, z, 3.0)
    assert method.step(net, batch, noise).loss.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("teacher", ["self", "frozen"])
def test_consistency(net, batch, noise_of, monkeypatch, teacher):
    monkeypatch.setattr(taps, "choose_taps", lambda net, x, count, names=(): [taps.Tap("hidden", ())])
    method = methods.load("consistency", {"features": 2.0, "outputs": 0.5, "temperature": 2.0, "teacher": teacher})
    method.prepare(net, batch)
    frozen = copy.deepcopy(net)
    with torch.no_grad():
        net.b.add_(0.1)
    noise = noise_of(net)
    (x,) = batch.inputs
    h, z = hidden_and_outputs(net, x, *noisy(noise, net))
    if teacher == "self":
        right_h, right = hidden_and_outputs(net, x, net.a, net.b)
    else:
        right_h, right = hidden_and_outputs(frozen, x, frozen.a, frozen.b, (frozen.mean, frozen.var))
    right_h, right = right_h.detach(), right.detach()
    features = ((h - right_h) ** 2).sum() / (right_h**2).sum()
    expected = functional.cross_entropy(z, batch.targets) + 2.0 * features + 0.5 * kl(right, z, 2.0)
    result = method.step(net, batch, noise)
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-4)
    found, wanted = (torch.autograd.grad(loss, net.a)[0] for loss in (result.loss, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-6)


def test_rdrop(net, batch, noise_of):
    noise = noise_of(net)
    (x,) = batch.inputs
    _, one = hidden_and_outputs(net, x, *noisy(noise, net))
    _, two = hidden_and_outputs(net, x, *noisy(noise, net, "second"))
    task = sum(functional.cross_entropy(z, batch.targets) for z in (one, two)) / 2
    expected = task + 0.6 * (kl(one, two) + kl(two, one)) / 2
    result = methods.load("rdrop", {"alpha": 0.6}).step(net, batch, noise)
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("distribution", ["uniform", "lognormal"])
def test_the_level_of_variance_aware_noise(net, batches, noise_of, distribution):
    method = methods.load("variance_aware", {"distribution": distribution, "low": 0.5, "high": 1.5, "spread": 0.3})
    noise = noise_of(net)
    levels = [method.step(net, batches(i), noise).parts["level"] for i in range(400)]
    assert [severity for _, severity, _ in noise.drawn] == levels
    if distribution == "uniform":
        assert 0.5 <= min(levels) < 0.52 < 1.48 < max(levels) <= 1.5
    else:
        logs = torch.tensor(levels).log()
        assert logs.mean().item() == pytest.approx(0, abs=4 * 0.3 / math.sqrt(400))
        assert logs.std().item() == pytest.approx(0.3, rel=0.15)


def test_variance_aware_noise_is_injection_at_the_level_that_was_drawn(net, batch, noise_of):
    noise = noise_of(net)
    result = methods.load("variance_aware", {"low": 0.5, "high": 3.0}).step(net, batch, noise)
    draw = torch.empty((), dtype=torch.float64).uniform_(0.5, 3.0, generator=batch.generator("level"))
    assert result.parts["level"] == draw.item()
    _, z = hidden_and_outputs(net, batch.inputs[0], *noisy(noise, net, factor=draw.item()))
    assert result.loss.item() == pytest.approx(functional.cross_entropy(z, batch.targets).item(), rel=1e-5)


@pytest.mark.parametrize("centred", [False, True])
def test_right_censored_noise(net, batch, noise_of, centred):
    noise = noise_of(net)
    deviations = {key: 0.1 * noise.standard("noise", key, w) for key, w in net.analog().items()}
    weights = []
    for key, w in net.analog().items():
        d = deviations[key]
        s = d.pow(2).mean().sqrt()
        cut = torch.where(d > 0.7 * s, 0.7 * s, d)
        weights.append(w + cut - (s * mean_of_censored(0.7) if centred else 0))
    _, z = hidden_and_outputs(net, batch.inputs[0], *weights)
    result = methods.load("right_censored", {"threshold": 0.7, "centred": centred}).step(net, batch, noise)
    assert result.loss.item() == pytest.approx(functional.cross_entropy(z, batch.targets).item(), rel=1e-5)


def test_the_mean_of_censored_normal_noise():
    draws = torch.empty(1_000_000, dtype=torch.float64).normal_(generator=generator(0, "censored"))
    for threshold in (0.0, 0.5, 1.5):
        assert mean_of_censored(threshold) == pytest.approx(draws.clamp(max=threshold).mean().item(), abs=3e-3)


def test_dropconnect_drops_weights_and_keeps_their_mean(net, batch, noise_of):
    noise = noise_of(net)
    weights = []
    for (key, w), value in zip(net.analog().items(), noisy(noise, net), strict=True):
        mask = torch.empty(w.shape).bernoulli_(0.8, generator=batch.generator("drop", key))
        weights.append(value * mask / 0.8)
    _, z = hidden_and_outputs(net, batch.inputs[0], *weights)
    result = methods.load("dropconnect", {"probability": 0.2}).step(net, batch, noise)
    assert result.loss.item() == pytest.approx(functional.cross_entropy(z, batch.targets).item(), rel=1e-5)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 3, 3), (4, 2, 1, 5)])
def test_orthogonality_is_the_frobenius_norm_of_each_slices_gram_matrix(shape):
    w = torch.empty(shape).normal_(generator=generator(0, "gram", *shape))
    slices = w.reshape(-1, *shape[-2:])
    expected = sum((m.T @ m - 2.0 * torch.eye(shape[-1])).pow(2).sum() for m in slices)
    assert orthogonality([w], 2.0).item() == pytest.approx(float(expected), rel=1e-4)


def test_correctnet_adds_the_regulariser_of_the_clean_weights(net, batch, noise_of):
    noise = noise_of(net)
    _, z = hidden_and_outputs(net, batch.inputs[0], *noisy(noise, net))
    regular = sum((w.T @ w - torch.eye(w.shape[1])).pow(2).sum() for w in (net.a, net.b))
    expected = functional.cross_entropy(z, batch.targets) + 0.01 * regular
    result = methods.load("correctnet", {"beta": 0.01}).step(net, batch, noise)
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-4)
