"""The four devices of the negative-feedback paper, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from harden.noise.laws.banded import combined
from harden.noise.profile import Profile

# sigma over M per unit of sigma_d, outside and inside the band, for 8-bit weights of 2-bit devices:
# c = sqrt(1 + 16 + 256 + 4096) / (1 + 4 + 16 + 64) = sqrt(4369) / 85, over sqrt(0.4 s^2 + 0.6).
TABLE = {"rram1": (0.7776, 0.7776), "fefet2": (0.5243, 1.0486), "rram4": (0.2939, 1.1757), "fefet6": (0.2008, 1.2047)}


@pytest.mark.parametrize(
    ("bits", "value"),
    [((8, 2), 0.77763), ((8, 1), 0.57961), ((8, 4), 0.94301), ((8, 8), 1.0), ((6, 2), 0.78680), ((4, 2), 0.82462)],
)
def test_devices_of_a_weight_average_out(bits, value):
    assert combined(*bits) == pytest.approx(value, abs=5e-6)
    weight_bits, device_bits = bits
    significances = [2 ** (i * device_bits) for i in range(weight_bits // device_bits)]
    assert combined(*bits) == pytest.approx(math.hypot(*significances) / sum(significances))


@pytest.mark.parametrize("name", TABLE)
def test_a_million_draws_have_the_spread_of_the_table(name):
    maximum, sigma_d = 2.5, 0.2
    profile = Profile.load(name, sigma_d=sigma_d)
    for share, expected in [(0.1, TABLE[name][0]), (0.5, TABLE[name][1]), (0.9, TABLE[name][0])]:
        weight = torch.full((1000, 1000), -share * maximum)
        weight[0, 0] = maximum
        noise = (profile.chip({"w": weight}, seed=1, index=0)["w"] - weight)[1:]
        assert noise.std().item() == pytest.approx(expected * sigma_d * maximum, rel=3e-3)
        assert abs(noise.mean().item()) < 5 * expected * sigma_d * maximum / 1000


@pytest.mark.parametrize("name", ["fefet2", "rram4", "fefet6"])
def test_the_band_is_open_at_both_ends(name):
    below, above = math.nextafter(0.25, 0), 0.25 + 1e-6
    weight = torch.tensor([1.0, 0.25, -0.25, 0.75, -0.75, 0.0, above, -above, 0.75 - 1e-6, 0.5, below, 0.75 + 1e-6])
    law = Profile.load(name, sigma_d=1.0).circuit.stages[0].law
    from harden.noise.laws.base import Cells

    spread = law.spread(Cells(weight, full=weight.abs().max(), signed=True), 0.0)
    assert spread is not None
    outside, inside = TABLE[name]
    expected = [outside] * 6 + [inside] * 4 + [outside] * 2
    torch.testing.assert_close(spread, torch.tensor(expected), rtol=0, atol=5e-5)


def test_the_draws_of_all_four_are_the_same_numbers():
    weight = torch.linspace(-1, 1, 41).reshape(1, -1)
    chips = {name: Profile.load(name).chip({"w": weight}, seed=0, index=0)["w"] - weight for name in TABLE}
    share = weight.abs()
    inside = (share > 0.25) & (share < 0.75)
    for name, (outside, middle) in TABLE.items():
        factor = torch.where(inside, middle / TABLE["rram1"][1], outside / TABLE["rram1"][0])
        torch.testing.assert_close(chips[name], chips["rram1"] * factor, rtol=2e-3, atol=1e-6)


def test_no_noise_means_the_weights_themselves():
    weight = torch.tensor([[-0.0, 0.3], [1e-30, -2.0]])
    for name in TABLE:
        drawn = Profile.load(name, sigma_d=0.0).chip({"w": weight}, seed=0, index=0)["w"]
        assert torch.equal(drawn.view(torch.int32), weight.view(torch.int32))


def test_bits_set_the_scale_and_quantise_nothing():
    weight = torch.linspace(-1, 1, 1001)
    coarse = Profile.load("rram1", weight_bits=4, device_bits=2).chip({"w": weight}, seed=0, index=0)["w"] - weight
    fine = Profile.load("rram1").chip({"w": weight}, seed=0, index=0)["w"] - weight
    torch.testing.assert_close(coarse * 0.77763 / 0.82462, fine, rtol=1e-3, atol=1e-6)
