"""The adversarial regulariser: its gradient is that of the unrolled attack."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from harden import methods


def outputs(net, x, a, b):
    h = x @ a.T
    h = (h - h.mean(0)) / torch.sqrt(h.var(0, unbiased=False) + 1e-5)
    return torch.tanh(h) @ b.T + net.bias


def divergence(z, attacked):
    return functional.kl_div(attacked.log_softmax(1), z.log_softmax(1), reduction="batchmean", log_target=True)


def unrolled(net, batch, zeta, steps, start):
    """L_rob written as one expression of the weights, differentiated by autograd through the whole attack."""
    (x,) = batch.inputs
    weights = [net.a, net.b]
    z = outputs(net, x, *weights)
    random = [
        torch.empty_like(w).normal_(generator=batch.generator("attack", key))
        for key, w in zip("ab", weights, strict=True)
    ]
    starred = [w + start * w.abs() * r for w, r in zip(weights, random, strict=True)]
    for _ in range(steps):
        inner = divergence(z.detach(), outputs(net, x, *starred))
        signs = [g.sign() for g in torch.autograd.grad(inner, starred, retain_graph=True)]
        starred = [
            torch.maximum(torch.minimum(s + zeta / steps * w.abs() * sign, w + zeta * w.abs()), w - zeta * w.abs())
            for s, w, sign in zip(starred, weights, signs, strict=True)
        ]
    return divergence(z, outputs(net, x, *starred))


@pytest.mark.parametrize("steps", [1, 3])
def test_loss_and_gradient_are_those_of_the_unrolled_attack(net, batch, no_noise_of, steps):
    options = {"beta": 0.7, "attack_size": 0.2, "attack_steps": steps, "start": 1e-3, "forward_noise": False}
    result = methods.load("adversarial", options).step(net, batch, no_noise_of(net))
    task = functional.cross_entropy(outputs(net, batch.inputs[0], net.a, net.b), batch.targets)
    robust = unrolled(net, batch, 0.2, steps, 1e-3)
    assert robust.item() > 0
    assert result.loss.item() == pytest.approx((task + 0.7 * robust).item(), rel=1e-5)
    for found, expected in zip(
        torch.autograd.grad(result.loss, (net.a, net.b)),
        torch.autograd.grad(task + 0.7 * robust, (net.a, net.b)),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_the_gradient_is_not_that_of_a_constant_perturbation(net, batch, no_noise_of):
    """dW*/dW = 1 + sign(W) D, not 1: leaving it out must be noticed."""
    options = {"beta": 1.0, "attack_size": 0.5, "attack_steps": 2, "forward_noise": False}
    result = methods.load("adversarial", options).step(net, batch, no_noise_of(net))
    (x,) = batch.inputs
    z = outputs(net, x, net.a, net.b)
    from harden.methods.adversarial import attack

    noise = no_noise_of(net)
    shares = attack(net, batch, noise.draw("clean"), z, methods.load("adversarial", options).config)
    shifts = {key: (w.abs() * shares[key]).detach() for key, w in net.analog().items()}
    constant = functional.cross_entropy(z, batch.targets) + divergence(
        z, outputs(net, x, net.a + shifts["a"], net.b + shifts["b"])
    )
    assert constant.item() == pytest.approx(result.loss.item(), rel=1e-5)
    exact, wrong = (torch.autograd.grad(loss, net.b)[0] for loss in (result.loss, constant))
    assert (exact - wrong).abs().max() > 1e-3


def test_the_attack_stays_in_its_box_hurts_and_spares_zeros(net, batch, no_noise_of):
    from harden.methods.adversarial import attack

    with torch.no_grad():
        net.a[0, 0] = 0.0
    config = methods.load("adversarial", {"attack_size": 0.1, "attack_steps": 5, "start": 0.1}).config
    weights = no_noise_of(net).draw("clean")
    z = net(*batch.inputs)
    shares = attack(net, batch, weights, z, config)
    assert all(share.abs().max() <= 0.1 for share in shares.values())
    attacked = {key: w + w.abs() * shares[key] for key, w in weights.items()}
    assert attacked["a"][0, 0] == 0
    source = batch.generator("other")
    random = {
        key: w + 0.1 * w.abs() * torch.empty_like(w).bernoulli_(generator=source).mul(2).sub(1)
        for key, w in weights.items()
    }
    assert batch.divergence(z, net(*batch.inputs, weights=attacked)) > 2 * batch.divergence(
        z, net(*batch.inputs, weights=random)
    )


def test_forward_noise_goes_into_the_task_loss_only(net, batch, noise_of, no_noise_of):
    noise = noise_of(net)
    noisy = methods.load("adversarial").step(net, batch, noise)
    clean = methods.load("adversarial").step(net, batch, no_noise_of(net))
    assert noisy.parts["robustness"] == pytest.approx(clean.parts["robustness"], rel=1e-4)
    weights = noise.draw("noise")
    expected = functional.cross_entropy(outputs(net, batch.inputs[0], weights["a"], weights["b"]), batch.targets)
    assert noisy.parts["task"] == pytest.approx(expected.item(), rel=1e-5)
