"""Families of chips: die to die, cell to cell, distributions; black-box samplers; bits; the realised RMS noise."""

from __future__ import annotations

import math
import sys
import types

import pytest
import torch

from harden.errors import ProfileError, SettingsError
from harden.noise.bits import Store
from harden.noise.knobs import Distribution
from harden.noise.profile import Profile
from harden.noise.rms import pooled, rms_noise
from harden.noise.sampler import NoiseSampler
from harden.streams import generator, numpy_generator

ONES = {"a": torch.ones(50, 50), "b": torch.ones(50, 50)}


def gains(text, chips=40):
    profile = Profile.parse(text)
    return torch.stack([torch.stack(list(profile.chip(ONES, seed=0, index=i).values())) for i in range(chips)]) - 1


def test_die_to_die_is_one_gain_a_chip():
    values = gains("gaussian:sigma=0,d2d=0.1", 400)
    assert values.flatten(1).std(dim=1).max() < 1e-6
    assert values[:, 0, 0, 0].std().item() == pytest.approx(0.1, rel=0.15)


def test_cell_to_cell_is_a_gain_for_each_cell():
    values = gains("gaussian:sigma=0,c2c=0.1")
    assert values.std().item() == pytest.approx(0.1, rel=0.02)
    assert values.flatten(1).mean(dim=1).abs().max() < 0.01


def test_both_are_separate_and_share_no_draws():
    both, die, cell = (gains(f"gaussian:sigma=0,{text}", 5) for text in ("d2d=0.1,c2c=0.05", "d2d=0.1", "c2c=0.05"))
    torch.testing.assert_close(1 + both, (1 + die) * (1 + cell))


def test_variation_scales_with_severity():
    profile = Profile.parse("gaussian:sigma=0,d2d=0.1,c2c=0.1").scaled(0)
    assert torch.equal(profile.chip(ONES, seed=0, index=0)["a"], ONES["a"])


def test_pairs_vary_device_by_device():
    # Both devices of a pair stand at g_min when the weight is zero: their own gains differ, so the weight does not
    # stay zero.
    profile = Profile.parse("lognormal:sigma=0,on_off_ratio=10,c2c=0.1")
    drawn = profile.chip({"w": torch.tensor([[1.0] + [0.0] * 9999])}, seed=0, index=0)["w"][0, 1:]
    assert drawn.std().item() == pytest.approx(math.sqrt(2) * 0.1 * 10 / 90, rel=0.03)


class TestDistributions:
    def test_each_chip_draws_its_own_value(self):
        values = gains("gaussian:sigma=lognormal(0.1,0.5)", 60).flatten(1)
        spread = values.std(dim=1)
        assert spread.log().std().item() == pytest.approx(0.5, rel=0.3)
        assert spread.median().item() == pytest.approx(0.1, rel=0.3)

    def test_the_value_belongs_to_the_chip_not_to_the_tensor(self):
        values = gains("gaussian:sigma=uniform(0.05,0.2)", 6)
        ratio = values[:, 0].flatten(1).std(dim=1) / values[:, 1].flatten(1).std(dim=1)
        torch.testing.assert_close(ratio, torch.ones(6), rtol=0.06, atol=0.0)

    def test_training_draws_a_value_each_step(self):
        sampler = NoiseSampler(Profile.parse("gaussian:sigma=uniform(0.01,1)"), lambda: ONES, seed=0, path=("t",))
        spreads = {round((sampler.at(i).draw("s")["a"] - 1).std().item(), 3) for i in range(5)}
        assert len(spreads) == 5
        fixed = {round((sampler.at(i).draw("s", sigma=0.3)["a"] - 1).std().item(), 1) for i in range(5)}
        assert fixed == {0.3}

    def test_values_stay_within_the_limits_of_the_knob(self):
        assert gains("stuck_at:rate=normal(0.0,0.5)", 5).isfinite().all()

    @pytest.mark.parametrize(
        ("text", "mean", "std"),
        [("normal(2,0.5)", 2.0, 0.5), ("uniform(1,3)", 2.0, 2 / math.sqrt(12)), ("lognormal(1,0.1)", 1.00501, 0.1008)],
    )
    def test_moments(self, text, mean, std):
        rng = numpy_generator(0, text)
        values = torch.tensor([Distribution.parse(text).draw(rng) for _ in range(20_000)], dtype=torch.float64)
        assert values.mean().item() == pytest.approx(mean, rel=0.01)
        assert values.std().item() == pytest.approx(std, rel=0.02)

    @pytest.mark.parametrize(
        "text", ["gauss(1,2)", "normal(1)", "normal(a,b)", "normal(1,-1)", "lognormal(-1,1)", "2x"]
    )
    def test_what_is_no_distribution(self, text):
        with pytest.raises(ValueError, match=r"."):
            Distribution.parse(text)
        with pytest.raises(SettingsError):
            Profile.parse(f"gaussian:sigma={text}")

    def test_a_file_can_ship_one(self, tmp_path):
        file = tmp_path / "family.toml"
        file.write_text(
            'summary = "x"\ncitation = "y"\nlevel = "s"\n[knobs.s]\ndefault = "lognormal(0.1, 0.5)"\nmin = 0\n'
            '[[program]]\nlaw = "gaussian"\nsigma = "$s"\n'
        )
        profile = Profile.load(file)
        spreads = [(profile.chip(ONES, seed=0, index=i)["a"] - 1).std().item() for i in range(4)]
        assert max(spreads) > 1.2 * min(spreads)
        assert profile.sigma == pytest.approx(0.1)
        assert (Profile.load(file, s=0.2).chip(ONES, seed=0, index=0)["a"] - 1).std().item() == pytest.approx(
            0.2, rel=0.1
        )

    def test_a_uniform_is_held_to_the_limits(self):
        with pytest.raises(SettingsError, match=">= 0"):
            Profile.parse("gaussian:sigma=uniform(-1,1)")


@pytest.fixture
def lab(monkeypatch):
    module = types.ModuleType("my_lab")

    def double(weights, *, at_s, generator, factor=2.0):
        return weights * factor + at_s + 0 * torch.empty(1).normal_(generator=generator)

    def noisy(weights, *, at_s, generator):
        return weights + torch.empty_like(weights).normal_(generator=generator)

    def wrong(weights, **_):
        return weights[:1]

    def broken(weights, **_):
        return weights / 0

    for member in (double, noisy, wrong, broken):
        setattr(module, member.__name__, member)
    monkeypatch.setitem(sys.modules, "my_lab", module)
    return module


@pytest.mark.usefixtures("lab")
class TestBlackBox:
    def test_a_function_is_a_profile(self):
        drawn = Profile.parse("my_lab:double").chip(ONES, seed=0, index=0, at_s=5.0)["a"]
        torch.testing.assert_close(drawn, torch.full((50, 50), 7.0))

    def test_it_draws_from_its_own_stream(self):
        profile = Profile.load("my_lab:noisy")
        drawn = profile.chip(ONES, seed=0, index=3)["a"] - 1
        expected = torch.empty(50, 50).normal_(generator=generator(0, "chip", 3, "sampler", "a"))
        torch.testing.assert_close(drawn, expected, rtol=1e-4, atol=1e-6)

    def test_gradients_pass_straight_through(self):
        weight = torch.ones(3, requires_grad=True)
        Profile.load("my_lab:double").perturb({"w": weight}, seed=0, path=())["w"].sum().backward()
        assert torch.equal(weight.grad, torch.ones(3))

    def test_severity_scales_the_deviation(self):
        drawn = Profile.load("my_lab:double").scaled(0.5).chip(ONES, seed=0, index=0)["a"]
        torch.testing.assert_close(drawn, torch.full((50, 50), 1.5))

    def test_a_file_gives_arguments_and_knobs(self, tmp_path):
        file = tmp_path / "lab.toml"
        file.write_text(
            'summary = "x"\ncitation = "y"\n[knobs.factor]\ndefault = 3.0\n'
            '[sampler]\nfunction = "my_lab:double"\ngrows_with_range = false\n[sampler.arguments]\nfactor = "$factor"\n'
        )
        assert Profile.load(file).chip(ONES, seed=0, index=0)["a"][0, 0] == 3
        assert Profile.load(file, factor=4).chip(ONES, seed=0, index=0)["a"][0, 0] == 4
        assert not Profile.load(file).scales_with_range

    def test_knobs_that_it_would_ignore_are_refused(self):
        for knob in ("d2d=0.1", "reference=column", "quantise=4"):
            with pytest.raises(SettingsError, match="no such parameter"):
                Profile.parse(f"my_lab:double:{knob}")

    def test_laws_beside_it_are_refused(self, tmp_path):
        file = tmp_path / "lab.toml"
        body = '[[program]]\nlaw = "uniform"\nbound = 0.1\n[sampler]\nfunction = "my_lab:double"\n'
        file.write_text(f'summary = "x"\ncitation = "y"\n{body}')
        with pytest.raises(ProfileError, match="not both"):
            Profile.load(file)

    @pytest.mark.parametrize("text", ["my_lab:absent", "no_such_lab:sample", "sys:path"])
    def test_what_cannot_be_called_is_refused_at_once(self, text):
        with pytest.raises(ProfileError, match="sampler"):
            Profile.parse(text)

    @pytest.mark.parametrize(("text", "said"), [("my_lab:wrong", "shape"), ("my_lab:broken", "finite")])
    def test_what_it_returns_is_checked(self, text, said):
        with pytest.raises(ProfileError, match=said):
            Profile.parse(text).chip(ONES, seed=0, index=0)


class TestBits:
    weight = torch.tensor([-1.0, -0.5, 0.0, 0.3, 1.0])
    ends = (torch.tensor(-1.0), torch.tensor(1.0))

    @pytest.mark.parametrize("storage", ["float16", "float32"])
    def test_floats_come_back(self, storage):
        store = Store(storage)
        back = store.decode(store.encode(self.weight, 1.0, None), 1.0, None)
        torch.testing.assert_close(back, self.weight, rtol=1e-3 if storage == "float16" else 0, atol=0)

    def test_integers_come_back_to_a_step(self):
        truncated, rounded = Store("int8"), Store("int8", "robust")
        back = truncated.decode(truncated.encode(self.weight, 1.0, None), 1.0, None)
        torch.testing.assert_close(back, torch.tensor([-127.0, -63, 0, 38, 127]) / 127)
        back = rounded.decode(rounded.encode(self.weight, 1.0, self.ends), 1.0, self.ends)
        torch.testing.assert_close(back, torch.tensor([-1.0, -0.5, 0.0, 0.3, 1.0]), atol=1 / 254, rtol=0)

    def test_the_sign_bit_of_each_scheme(self):
        # Two's complement: 127 (0111 1111) becomes −1 (1111 1111). Unsigned: 254 loses 128 steps of 2/254.
        store = Store("int8")
        pattern = store.encode(torch.tensor([1.0]), 1.0, None)
        torch.testing.assert_close(store.decode(pattern ^ 128, 1.0, None), torch.tensor([-1 / 127]))
        robust = Store("int8", "robust")
        pattern = robust.encode(torch.tensor([1.0]), 1.0, self.ends)
        torch.testing.assert_close(robust.decode(pattern ^ 128, 1.0, self.ends), torch.tensor([1 - 256 / 254]))

    @pytest.mark.parametrize("storage", ["int8", "float16", "float32"])
    def test_the_rate_is_the_share_of_flipped_bits(self, storage):
        rate, store = 0.01, Store(storage)
        weight = torch.empty(200_000).normal_(generator=generator(0))
        profile = Profile.parse(f"bitflip:rate={rate},storage={storage},non_finite=keep")
        read = profile.chip({"w": weight}, seed=0, index=0)["w"]
        changed = (read != weight).float().mean().item()
        untouched = (1 - rate) ** store.bits
        assert changed <= 1 - untouched + 0.005
        if storage != "int8":  # the lowest bits of a rounded or tiny number can flip without a trace
            assert changed == pytest.approx(1 - untouched, rel=0.1)

    def test_without_flips_nothing_changes_unless_rounding_counts(self):
        weight = {"w": self.weight.reshape(1, -1)}
        assert torch.equal(Profile.parse("bitflip:rate=0").chip(weight, seed=0, index=0)["w"], weight["w"])
        rounded = Profile.parse("stutz_sram:rate=0,quantisation=symmetric").chip(weight, seed=0, index=0)["w"]
        torch.testing.assert_close(rounded, torch.tensor([[-127.0, -63, 0, 38, 127]]) / 127)

    def test_infinities_become_zero_or_stay(self):
        weight = {"w": torch.empty(300, 300).normal_(generator=generator(0))}
        kept = Profile.parse("bitflip:rate=0.2,storage=float16,non_finite=keep").chip(weight, seed=0, index=0)["w"]
        zeroed = Profile.parse("bitflip:rate=0.2,storage=float16").chip(weight, seed=0, index=0)["w"]
        assert not kept.isfinite().all()
        assert zeroed.isfinite().all()
        lost = ~kept.isfinite()
        torch.testing.assert_close(zeroed[lost], torch.zeros(int(lost.sum())), atol=5e-3, rtol=0)

    def test_a_range_check_keeps_floats_in_bounds(self):
        weight = {"w": torch.empty(300, 300).normal_(generator=generator(0))}
        largest = weight["w"].abs().max()
        wild = Profile.parse("bitflip:rate=0.01,storage=float32").chip(weight, seed=0, index=0)["w"]
        checked = Profile.parse("bitflip:rate=0.01,storage=float32,limit=2").chip(weight, seed=0, index=0)["w"]
        assert wild.abs().max() > 1e30
        assert checked.abs().max() <= 2.001 * largest
        tame = wild.abs() <= 2 * largest
        torch.testing.assert_close(checked[tame], wild[tame])


class TestRms:
    def test_relative_to_the_maximum_and_to_the_weights(self):
        weights = {"w": torch.tensor([[2.0, 0.0, 0.0, 0.0]])}
        noise = rms_noise(Profile.parse("worst_case:bound=0.1"), weights)["w"]
        assert noise["relative_to_max"] == pytest.approx(0.1)
        assert noise["relative_to_rms"] == pytest.approx(0.2)

    def test_of_a_given_chip(self):
        chip = {"w": torch.tensor([1.0, 1.5])}
        noise = rms_noise(Profile.load("gaussian"), {"w": torch.ones(2)}, chip)["w"]
        assert noise["relative_to_max"] == pytest.approx(0.5 / math.sqrt(2))

    def test_zeros_stay_zero(self):
        assert rms_noise(Profile.load("gaussian"), {"w": torch.zeros(3)})["w"]["relative_to_max"] == 0

    def test_pooled_weighs_by_size(self):
        weights = {"a": torch.ones(30), "b": torch.ones(10)}
        noise = {"a": {"relative_to_max": 0.1}, "b": {"relative_to_max": 0.3}}
        assert pooled(noise, weights) == pytest.approx(math.sqrt((30 * 0.01 + 10 * 0.09) / 40))

    def test_equal_sigma_is_not_equal_stress(self):
        # methods.md of the paper's model: for Gaussian weights with max = 6 std, FeFET6 has about 0.62 of RRAM1's RMS.
        weight = torch.empty(300_000).normal_(generator=generator(0)).clamp_(-6, 6)
        weight[0] = 6.0
        one, six = (
            rms_noise(Profile.load(name), {"w": weight})["w"]["relative_to_max"] for name in ("rram1", "fefet6")
        )
        assert six / one == pytest.approx(0.62, abs=0.02)
