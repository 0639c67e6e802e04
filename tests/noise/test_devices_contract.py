"""What every shipped device promises; the devices are found by the registry."""

from __future__ import annotations

import itertools
import math
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from harden.errors import ProfileError
from harden.noise.laws.base import Cells
from harden.noise.periphery import KNOBS as PERIPHERY
from harden.noise.profile import Profile
from harden.registry import DEVICES
from harden.streams import generator


def weights(rows=40):
    big = torch.empty(rows, 600).normal_(generator=generator(1, "w"))
    return {
        "a": big * torch.linspace(0.1, 1.0, rows)[:, None],
        "b": torch.empty(3, 2, 5, 5).normal_(generator=generator(2)),
    }


def times(profile):
    return [at_s for at_s in (0.0, 1.0, 3600.0, 86400.0, 172800.0) if valid(profile, at_s)]


def valid(profile, at_s):
    try:
        profile.check_time(at_s)
    except ProfileError:
        return False
    return True


@pytest.mark.parametrize("name", DEVICES.names())
class TestEveryDevice:
    def test_loads_without_arguments_and_says_what_it_is(self, name):
        profile = Profile.load(name)
        assert profile.name == name
        assert len(profile.summary) > 10
        assert len(profile.citation) > 20
        assert re.fullmatch(r"[0-9a-f]{64}", profile.digest)
        assert Profile.parse(name).digest == profile.digest
        assert all(knob.about for knob in profile.definition.all_knobs().values())

    def test_noise_is_there_and_finite_at_every_time(self, name):
        profile = Profile.load(name)
        assert profile.default_at_s in [*times(profile)]
        for at_s in times(profile):
            for key, drawn in profile.chip(weights(), seed=0, index=0, at_s=at_s).items():
                original = weights()[key]
                assert (drawn.shape, drawn.dtype) == (original.shape, original.dtype)
                assert drawn.isfinite().all()
                assert not torch.equal(drawn, original)

    def test_zero_severity_is_bit_exact(self, name):
        originals = {**weights(), "odd": torch.tensor([-0.0, 1e-40, 3.0])}
        for at_s in times(Profile.load(name)):
            for key, drawn in Profile.load(name).scaled(0).chip(originals, seed=0, index=0, at_s=at_s).items():
                assert torch.equal(drawn.view(torch.int32), originals[key].view(torch.int32))
                assert drawn.data_ptr() != originals[key].data_ptr()

    def test_a_chip_is_the_same_alone_in_parallel_and_in_company(self, name):
        profile = Profile.load(name)
        at_s = times(profile)[-1]
        with ThreadPoolExecutor(4) as pool:
            chips = list(pool.map(lambda i: profile.chip(weights(), seed=3, index=i, at_s=at_s), range(4)))
        for index in (3, 0):
            alone = profile.chip({"b": weights()["b"]}, seed=3, index=index, at_s=at_s)
            assert torch.equal(alone["b"], chips[index]["b"])
        assert not torch.equal(chips[0]["a"], chips[1]["a"])

    def test_weights_stay_and_gradients_pass(self, name):
        original = weights()["b"].requires_grad_()
        before = original.detach().clone()
        noisy = Profile.load(name).perturb({"b": original}, seed=0, path=("train", 1))["b"]
        noisy.sum().backward()
        assert original.grad is not None
        torch.testing.assert_close(original.grad, torch.ones_like(original))
        assert torch.equal(original.detach(), before)

    def test_more_severity_is_more_noise(self, name):
        profile = Profile.load(name)
        noise = []
        for severity in (0.25, 1.0, 2.0):
            chips = [profile.scaled(severity).chip(weights(), seed=0, index=i)["a"] - weights()["a"] for i in range(3)]
            noise.append(torch.stack(chips).square().mean().item())
        if name != "stutz_sram":  # the rounding to 8 bits is there at every severity
            assert noise[0] < noise[1]
        assert noise[1] < noise[2]

    def test_noise_follows_the_scale_of_the_weights(self, name):
        profile = Profile.load(name)
        if profile.parameters.get("storage", "int8") != "int8":
            return
        one = profile.chip(weights(), seed=0, index=0)["a"] - weights()["a"]
        four = profile.chip({"a": 4 * weights()["a"]}, seed=0, index=0)["a"] - 4 * weights()["a"]
        torch.testing.assert_close(four, 4 * one, rtol=1e-3, atol=1e-4)

    def test_grows_with_range_is_what_the_noise_does(self, name):
        # One outlier: if the noise follows the range, every other weight gets noisier.
        profile = Profile.load(name)
        calm = {"w": torch.linspace(-1, 1, 4000).reshape(1, -1)}
        wild = {"w": torch.cat([calm["w"], torch.tensor([[20.0]])], dim=1)}
        one = (profile.chip(calm, seed=0, index=0)["w"] - calm["w"]).square().mean()
        two = (profile.chip(wild, seed=0, index=0)["w"] - wild["w"])[:, :-1].square().mean()
        assert bool(two > 2 * one) is profile.scales_with_range

    def test_every_dead_tensor_survives(self, name):
        originals = {"zero": torch.zeros(4, 4), "empty": torch.zeros(0, 3), "one": torch.ones(1)}
        for at_s in times(Profile.load(name)):
            drawn = Profile.load(name).chip(originals, seed=0, index=0, at_s=at_s)
            assert torch.equal(drawn["zero"], originals["zero"])
            assert drawn["one"].isfinite().all()

    def test_times_outside_the_measurement_are_refused(self, name):
        profile = Profile.load(name)
        for at_s in (-1.0, math.nan, math.inf):
            assert not valid(profile, at_s)
        assert (profile.definition.time.last == math.inf) is valid(profile, 1e9)


# Knobs that act only beside another one.
BESIDE = {
    "tile_rows": {"reference": "tile", "tile_columns": 4},
    "tile_columns": {"reference": "tile", "tile_rows": 4},
    "non_finite": {"storage": "float16", "rate": 0.2},
    "include_rounding": {"storage": "float16"},
    "limit": {"storage": "float32", "rate": 0.01},
}
KNOBS = [
    (name, knob)
    for name in DEVICES.names()
    for knob in Profile.load(name).definition.all_knobs()
    # gradient changes gradients, not weights: tested in test_profile.py; the periphery outputs: in test_periphery.py
    if knob != "gradient" and knob not in PERIPHERY
]


def another(knob):
    if knob.names:
        return [name for name in knob.names if name != knob.default]
    if isinstance(knob.default, bool):
        return [not knob.default]
    if isinstance(knob.default, int):
        return [4 if knob.default != 4 else 2]
    return [knob.default * 0.5 if knob.default else 0.2]


@pytest.mark.parametrize(("name", "knob"), KNOBS)
def test_every_knob_changes_the_weights(name, knob):
    beside = {key: value for key, value in BESIDE.get(knob, {}).items() if key in Profile.load(name).knobs}
    base = Profile.load(name, **beside)
    at_s = times(base)[-1]
    before = base.chip(weights(), seed=0, index=0, at_s=at_s)["a"]
    for value in another(base.definition.all_knobs()[knob]):
        if value == beside.get(knob):
            continue
        changed = Profile.load(name, **{**beside, knob: value})
        after = changed.chip(weights(), seed=0, index=0, at_s=at_s)["a"]
        assert not torch.equal(before, after), f"{knob}={value} does nothing"
        assert changed.digest != base.digest


class TestGolden:
    """Standard deviations by hand from the published constants, at three conductances a device."""

    @pytest.mark.parametrize(
        ("text", "stage", "full", "points"),
        [
            # pcm: 0.26348 + 1.9650 ĝ − 1.1731 ĝ²; at ĝ = 0.5: 0.26348 + 0.9825 − 0.293275 = 0.952705
            ("pcm", 0, 25.0, {0.0: 0.26348, 12.5: 0.952705, 25.0: 1.05538}),
            # hermes, two devices: at ĝ = 0.5: 0.16603222 + 2.35903234 − 2.12025313 + 0.58620177 = 0.9910132
            ("pcm_hermes", 0, 20.7, {0.0: 0.16603222, 10.35: 0.9910132, 20.7: 1.09269851}),
            ("pcm_hermes:devices=1", 0, 10.35, {0.0: 0.15781817, 5.175: 0.86531302, 10.35: 1.00756724}),
            # joshi, in µS: at 10: 0.28638599 + 0.7585724 − 0.178767 = 0.86619139
            ("pcm_joshi", 0, 25.0, {0.25: 0.30523857, 10.0: 0.86619139, 25.0: 1.06552324}),
            # wan at 40 µS after 1 s, ĝ = 0.5: 0.348 + 8.015 − 10.96325 + 5.674125 − 1.0509375 = 2.0229375
            ("rram_wan", 0, 40.0, {0.0: 0.348, 20.0: 2.0229375, 40.0: 1.103}),
            # cmo: 0.0112185391 + 0.01129027418 g; the finer range 0.00081107 + 0.00106879 g
            ("rram_cmo", 0, 88.199997, {9.0: 0.11283101, 50.0: 0.57573225, 88.0: 1.00476267}),
            ("rram_cmo:acceptance=0.2%", 0, 88.199997, {9.0: 0.01043018, 50.0: 0.05425057, 88.0: 0.09486459}),
            ("rram_milo", 0, 225.0, {50.0: 4.326971, 100.0: 3.871621, 225.0: 2.733246}),
            # sonos, nA, at once: 19.88665 (1 − exp(−I / 176.3115))
            ("sonos", 1, 1800.0, {0.0: 0.0, 176.3115: 12.57075, 1800.0: 19.885918}),
            ("sonos", 2, 1800.0, {0.0: 0.0, 215.36557: 7.9523105, 1800.0: 12.577419}),
        ],
    )
    def test_spread(self, text, stage, full, points):
        profile = Profile.parse(text)
        target = torch.tensor(list(points), dtype=torch.float64)
        law = profile.circuit.stages[stage].law
        spread = law.spread(Cells(target, full=full, low=profile.circuit.mapping.low), profile.default_at_s)
        assert spread is not None
        torch.testing.assert_close(
            spread, torch.tensor(list(points.values()), dtype=torch.float64), rtol=1e-6, atol=1e-7
        )

    def test_wan_after_a_day_and_two(self):
        law = Profile.load("rram_wan").circuit.stages[0].law
        half = Cells(torch.tensor([20.0], dtype=torch.float64), full=40.0)
        # 0.701 + 11.043 − 12.69325 + 5.886875 − 1.028625 = 3.909;  0.782 + 10.137 − 10.87675 + 4.63275 − 0.745875 =
        # 3.929125
        assert law.spread(half, 86400.0).item() == pytest.approx(3.909)
        assert law.spread(half, 172800.0).item() == pytest.approx(3.929125)

    @pytest.mark.parametrize(
        ("text", "share", "expected"),
        [
            # The pair of a weight at half range, σ over max|w|: the zero device is one-sided, c0·sqrt((1 − 1/π)/2) of
            # its σ c0.
            ("pcm:read_scale=0,compensation=none", 0.5, math.hypot(0.952705, 0.26348 * 0.583796) / 25),
            ("rram_wan", 0.5, math.hypot(2.0229375, 0.348 * 0.583796) / 40),
            ("rram_milo", 0.5, math.hypot(4.782321 - 0.009107 * 137.5, 4.326971) / 175),
            ("rram_cmo:acceptance=2%", 0.5, 0.0),
        ],
    )
    def test_a_million_weights_have_the_spread_of_their_pair(self, text, share, expected):
        weight = torch.full((1000, 1000), share)
        weight[0, 0] = 1.0
        weight[0, 1] = -1.0 if "cmo" in text else 0.0
        drawn = Profile.parse(text).chip({"w": weight}, seed=0, index=0)["w"][1:]
        if "cmo" in text:  # [−1, 1] onto [9, 88.2] µS: 0.5 stands at 68.4 µS, a weight is 2/79.2 per µS
            expected = (0.0112185391 + 0.01129027418 * (9 + 0.75 * 79.199997)) * 2 / 79.199997
        assert drawn.double().std().item() == pytest.approx(expected, rel=4e-3)

    def test_pcm_read_noise_at_once(self):
        # Q(0.5) = 0.0088·0.5^−0.65 = 0.013808 and sqrt(ln((20 + 250e-9)/500e-9)) = 4.18378, so σ = 12.5 µS·Q·4.18378
        # 0.72212 µS
        profile = Profile.parse("pcm:program_scale=0,compensation=none")
        weight = torch.full((1000, 1000), 0.5)
        weight[0, 0] = 1.0
        drawn = profile.chip({"w": weight}, seed=0, index=0)["w"][1:]
        assert drawn.double().std().item() == pytest.approx(0.72212 / 25, rel=4e-3)

    def test_pcm_drift_after_a_month(self):
        # μ(0.5) = clip(0.0155·ln 2 + 0.0244) = 0.049, σ(0.5) = clip(0.0125·ln 2 − 0.0059) = 0.008
        # and ln(2592020/20) = 11.7721
        profile = Profile.parse("pcm:program_scale=0,read_scale=0,compensation=none")
        weight = torch.full((1000, 1000), 0.5)
        weight[0, 0] = 1.0
        drawn = profile.chip({"w": weight}, seed=0, index=0, at_s=2592000.0)["w"][1:].double()
        assert drawn.log().mean().item() == pytest.approx(math.log(0.5) - 0.049 * 11.7721, abs=2e-4)
        assert drawn.log().std().item() == pytest.approx(0.008 * 11.7721, rel=4e-3)


class TestTime:
    def test_a_chip_is_followed_through_time(self):
        # Without read noise the same devices lose conductance steadily: their exponents are drawn once.
        profile = Profile.parse("pcm:read_scale=0,compensation=none")
        weight = {"w": torch.full((100, 100), 0.8)}
        chips = [profile.chip(weight, seed=0, index=0, at_s=at_s)["w"] for at_s in (0.0, 60.0, 3600.0, 2592000.0)]
        for earlier, later in itertools.pairwise(chips):
            assert (later <= earlier).all()
        early = (chips[1] / chips[0]).log() / math.log(80 / 20)
        late = (chips[3] / chips[0]).log() / math.log(2592020 / 20)
        torch.testing.assert_close(early, late, rtol=0.2, atol=0.02)

    def test_programming_is_the_same_at_every_time(self):
        profile = Profile.parse("pcm:read_scale=0,drift_scale=0,compensation=none")
        one, other = (profile.chip(weights(), seed=0, index=0, at_s=at_s) for at_s in (0.0, 1e6))
        assert torch.equal(one["a"], other["a"])

    def test_compensation_takes_the_common_loss_away(self):
        left, right = (
            Profile.parse(f"pcm:read_scale=0,compensation={kind}").chip(weights(), seed=0, index=0, at_s=2.6e6)["a"]
            for kind in ("none", "global")
        )
        programmed = Profile.parse("pcm:read_scale=0,compensation=none").chip(weights(), seed=0, index=0)["a"]
        assert left.abs().mean() < 0.65 * programmed.abs().mean()
        assert right.abs().mean().item() == pytest.approx(programmed.abs().mean().item(), rel=1e-5)
        torch.testing.assert_close(right / right.abs().mean(), left / left.abs().mean(), rtol=1e-4, atol=1e-5)

    def test_sonos_is_interpolated_between_days(self):
        profile = Profile.load("sonos")
        morning, noon, night = (
            profile.chip(weights(), seed=0, index=0, at_s=at_s)["a"] for at_s in (86400.0, 129600.0, 172800.0)
        )
        torch.testing.assert_close(noon, (morning + night) / 2, rtol=1e-2, atol=2e-3)

    def test_wan_knows_three_times(self):
        profile = Profile.load("rram_wan")
        assert profile.default_at_s == 1.0
        for at_s in (0.0, 2.0, 86399.0, 1e6):
            with pytest.raises(ProfileError, match="86400 s"):
                profile.check_time(at_s)

    def test_cmo_leaves_out_the_first_second(self):
        profile = Profile.load("rram_cmo")
        assert [valid(profile, at_s) for at_s in (0.0, 0.5, 1.0, 1e7)] == [True, False, True, True]
