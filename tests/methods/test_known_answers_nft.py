"""none, noise, nft_ovf and nft_irs against their formulas in plain torch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from harden import methods


def plain(net, x, a, b):
    """The two-layer network, written out again."""
    h = x @ a.T
    h = (h - h.mean(0)) / torch.sqrt(h.var(0, unbiased=False) + 1e-5)
    return torch.tanh(h) @ b.T + net.bias


def test_none_is_cross_entropy_at_the_clean_weights(net, batch, noise_of):
    result = methods.load("none").step(net, batch, noise_of(net))
    z = plain(net, batch.inputs[0], net.a, net.b)
    expected = (torch.logsumexp(z, 1) - z.gather(1, batch.targets[:, None])[:, 0]).mean()
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_noise_is_cross_entropy_at_the_noisy_weights_with_the_gradient_at_the_weights(net, batch, noise_of):
    noise = noise_of(net)
    result = methods.load("noise").step(net, batch, noise)
    result.loss.backward()
    a = (net.a + 0.1 * noise.standard("noise", "a", net.a)).detach().requires_grad_()
    b = (net.b + 0.1 * noise.standard("noise", "b", net.b)).detach().requires_grad_()
    expected = functional.cross_entropy(plain(net, batch.inputs[0], a, b), batch.targets)
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    grad_a, grad_b = torch.autograd.grad(expected, (a, b))
    torch.testing.assert_close(net.a.grad, grad_a)
    torch.testing.assert_close(net.b.grad, grad_b)


@pytest.mark.parametrize(("scale", "divisor"), [("paper", 4.0), ("none", 1.0)])
def test_ovf_subtracts_outputs_under_more_noise(net, batch, noise_of, scale, divisor):
    noise = noise_of(net, sigma=0.2)
    result = methods.load("nft_ovf", {"beta": 0.3, "scale": scale}).step(net, batch, noise)
    z = 0
    for stream, sigma, weight in [
        ("noise", 0.2, 1.0),
        ("feedback0", 0.35, -0.3),
        ("feedback1", 0.30, -0.03),
        ("feedback2", 0.25, -0.003),
    ]:
        a = net.a + sigma * noise.standard(stream, "a", net.a)
        b = net.b + sigma * noise.standard(stream, "b", net.b)
        z = z + weight * plain(net, batch.inputs[0], a, b)
    expected = functional.cross_entropy(z / divisor, batch.targets)
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(
        torch.autograd.grad(result.loss, net.a)[0], torch.autograd.grad(expected, net.a)[0], rtol=1e-4, atol=1e-6
    )


def test_ovf_scales_a_profile_without_a_level(net, batch, noise_of):
    noise = noise_of(net, sigma=None)
    methods.load("nft_ovf").step(net, batch, noise)
    assert [(severity, sigma) for _, severity, sigma in noise.drawn] == [
        (1.0, None),
        (2.5, None),
        (2.0, None),
        (1.5, None),
    ]


def test_only_the_first_pass_of_ovf_moves_the_running_statistics(make_net, batch, noise_of):
    fed, single = make_net().train(), make_net().train()
    methods.load("nft_ovf").step(fed, batch, noise_of(fed))
    methods.load("noise").step(single, batch, noise_of(single))
    assert torch.equal(fed.mean, single.mean)
    assert torch.equal(fed.var, single.var)


@pytest.fixture
def tapped(monkeypatch):
    """The toy's one tap, in place of a choice from a graph."""
    from collections import namedtuple

    tap = namedtuple("Tap", "name shape")
    taps = pytest.importorskip("harden.graph.taps")
    monkeypatch.setattr(taps, "choose_taps", lambda net, x, count, names=(): (tap("hidden", (24, 8)),) * 1)


def test_irs_subtracts_noisy_heads_on_features(net, batch, noise_of, tapped):
    method = methods.load("nft_irs", {"beta": 0.4, "scale": "paper", "hidden": 5})
    method.prepare(net, batch)
    noise = noise_of(net, method)
    result = method.step(net, batch, noise)
    noisy = noise.draw("noise")
    head = {name.rsplit("head0.")[1]: value for name, value in method.parameters().items()}
    h = batch.inputs[0] @ noisy["a"].T
    h = torch.tanh((h - h.mean(0)) / torch.sqrt(h.var(0, unbiased=False) + 1e-5))
    z = h @ noisy["b"].T + net.bias
    first = torch.relu(h @ noisy["nft_irs.head0.hidden.weight"].T + head["hidden.bias"])
    out = first @ noisy["nft_irs.head0.out.weight"].T + head["out.bias"]
    expected = functional.cross_entropy((z - 0.4 * out) / 2, batch.targets)
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_irs_heads_are_trained_noisy_and_taken_off(net, batch, noise_of, tapped):
    method = methods.load("nft_irs", {"hidden": 5})
    method.prepare(net, batch)
    assert {tuple(w.shape) for w in method.analog_weights().values()} == {(5, 8), (3, 5)}
    method.step(net, batch, noise_of(net, method)).loss.backward()
    assert all(p.grad is not None for p in method.parameters().values())
    method.finish(net)
    assert method.parameters() == {}
