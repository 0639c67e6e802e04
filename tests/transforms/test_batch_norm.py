"""Re-estimated batch norms against torch's own cumulative averages."""

from __future__ import annotations

import pytest
import torch

from harden.noise.profile import Profile
from harden.streams import generator
from harden.transforms.batch_norm import reestimate, statistics


def images(count, batch=16):
    source = generator(0, "images")
    return [(torch.empty(batch, 3, 8, 8).normal_(generator=source),) for _ in range(count)]


@pytest.mark.parametrize("momentum", [0.9, 0.5])
def test_it_is_the_mean_over_batches_whatever_the_momentum(convolution, momentum):
    net = convolution(momentum).module()
    batches = images(4)
    new = reestimate(net, batches)
    weight = dict(net.named_parameters())["c1"]
    outputs = [torch.nn.functional.conv2d(x, weight, padding=1) for (x,) in batches]
    torch.testing.assert_close(new["n1.mean"], torch.stack([h.mean((0, 2, 3)) for h in outputs]).mean(0))
    torch.testing.assert_close(new["n1.var"], torch.stack([h.var((0, 2, 3)) for h in outputs]).mean(0))
    assert new.keys() == statistics(net).keys()


def test_the_network_is_as_before(convolution):
    net = convolution().module().eval()
    before = {name: value.clone() for name, value in net.named_buffers()}
    reestimate(net, images(2))
    assert all(torch.equal(before[name], value) for name, value in net.named_buffers())
    assert not net.training


def test_every_batch_may_see_other_weights(convolution):
    net = convolution().module()
    c1 = dict(net.named_parameters())["c1"].detach()
    batches = images(2)
    new = reestimate(net, batches, lambda i: {"c1": c1 * (i + 1)})
    means = [torch.nn.functional.conv2d(x, c1 * (i + 1), padding=1).mean((0, 2, 3)) for i, (x,) in enumerate(batches)]
    torch.testing.assert_close(new["n1.mean"], (means[0] + means[1]) / 2)


def test_a_chips_own_batch_norms_standardise_its_features(convolution):
    net = convolution().module().eval()
    chip = Profile.parse("gaussian:sigma=0.3").chip(net.analog_weights(), seed=0, index=0)
    batches = images(1, 64)
    calibrated = {**chip, **reestimate(net, batches, lambda _: chip)}
    assert set(chip) < set(calibrated)
    gamma, beta = (dict(net.named_parameters())[f"n1.{part}"].view(-1, 1, 1) for part in ("gamma", "beta"))
    with torch.no_grad():
        _, taps = net(*batches[0], weights=calibrated, taps=("b1",))
    standard = ((taps["b1"] - beta) / gamma).transpose(0, 1).flatten(1)
    torch.testing.assert_close(standard.mean(1), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.std(1), torch.ones(8), atol=1e-3, rtol=0)


def test_a_graph_without_batch_norms_has_nothing_to_re_estimate():
    assert reestimate(torch.nn.Linear(2, 2), [(torch.zeros(1, 2),)]) == {}
