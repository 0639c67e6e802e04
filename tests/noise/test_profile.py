"""Profiles: loading, errors, severity, streams, gradients, the sampler."""

from __future__ import annotations

import contextlib
import pickle
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harden.errors import HardenError, ProfileError, SettingsError, UnknownNameError
from harden.noise.definition import read_definition
from harden.noise.knobs import resolve
from harden.noise.profile import Profile
from harden.noise.sampler import NoiseSampler
from harden.registry import DEVICES
from harden.streams import generator


class Use(NamedTuple):
    tensor: torch.Tensor
    output_axis: int = 0
    groups: int = 1


def some_weights():
    return {
        name: torch.empty(shape).normal_(generator=generator(9, name))
        for name, shape in [("a", (4, 3, 2, 2)), ("b", (5, 300)), ("c", (70_000,)), ("d", (1, 1))]
    }


def test_gaussian_is_relative_to_the_largest_weight():
    weight = torch.full((1000, 1000), 0.01)
    weight[0, 0] = -4.0
    noise = Profile.parse("gaussian:sigma=0.1").chip({"w": weight}, seed=0, index=0)["w"] - weight
    assert noise.std().item() == pytest.approx(0.4, rel=3e-3)
    relative = Profile.parse("gaussian:sigma=0.1,relative_to=weight").chip({"w": weight}, seed=0, index=0)["w"] - weight
    assert relative[1:].std().item() == pytest.approx(0.001, rel=3e-3)


def test_sigma_is_linear_and_draws_are_shared():
    weights = some_weights()
    one = Profile.load("gaussian", sigma=0.1).chip(weights, seed=3, index=5)
    two = Profile.load("gaussian", sigma=0.2).chip(weights, seed=3, index=5)
    for key, weight in weights.items():
        torch.testing.assert_close(two[key] - weight, 2 * (one[key] - weight), rtol=1e-5, atol=1e-6)


@given(st.sampled_from(["gaussian", "rram1", "fefet6"]), st.floats(0, 3), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_severity_scales_the_noise(name, severity, index):
    weight = {"w": torch.linspace(-1, 1, 50)}
    profile = Profile.load(name)
    whole = profile.chip(weight, seed=0, index=index)["w"] - weight["w"]
    part = profile.scaled(severity).chip(weight, seed=0, index=index)["w"] - weight["w"]
    torch.testing.assert_close(part, severity * whole, rtol=1e-4, atol=1e-6)


def test_a_chip_is_the_same_alone_in_company_and_after_others():
    weights = some_weights()
    profile = Profile.load("fefet2")
    chips = [profile.chip(weights, seed=0, index=i) for i in range(3)]
    for key in weights:
        alone = profile.chip({key: weights[key]}, seed=0, index=2)[key]
        assert torch.equal(alone, chips[2][key])
        assert not torch.equal(chips[1][key], chips[2][key])


def test_the_stream_of_a_tensor_is_named_by_path_stage_and_key():
    weight = torch.linspace(-1, 1, 30)
    drawn = Profile.load("gaussian", sigma=0.5).chip({"fc": weight}, seed=4, index=7)["fc"]
    normal = torch.empty(30).normal_(generator=generator(4, "chip", 7, "program", "fc"))
    torch.testing.assert_close(drawn, weight + 0.5 * normal)


def test_gradients_pass_straight_through_and_scale_is_a_constant():
    weight = torch.tensor([[1.0, -2.0], [0.5, 0.1]], requires_grad=True)
    for text in ["gaussian", "rram4", "gaussian:relative_to=weight"]:
        noisy = Profile.parse(text).perturb({"w": weight * 1}, seed=0, path=("t",))["w"]
        (gradient,) = torch.autograd.grad((noisy * torch.arange(4.0).reshape(2, 2)).sum(), weight)
        torch.testing.assert_close(gradient, torch.arange(4.0).reshape(2, 2))


def test_noise_that_follows_the_weight_can_pass_its_own_gradient():
    weight = torch.tensor([[1.0, -2.0], [0.5, 0.0]], requires_grad=True)
    straight, own = (Profile.load("mismatch", zeta=0.3, gradient=kind) for kind in ("straight", "own"))
    drawn = own.perturb({"w": weight}, seed=0, path=("t",))["w"]
    (gradient,) = torch.autograd.grad(drawn.sum(), weight)
    normal = torch.empty(2, 2).normal_(generator=generator(0, "t", "program", "w"))
    # w' = w + ζ |w| ξ, so dw'/dw = 1 + ζ sign(w) ξ
    torch.testing.assert_close(gradient, 1 + 0.3 * weight.detach().sign() * normal)
    assert torch.equal(drawn, straight.perturb({"w": weight}, seed=0, path=("t",))["w"])
    assert own.digest == straight.digest
    fixed = Profile.load("gaussian", gradient="own").perturb({"w": weight}, seed=0, path=("t",))["w"]
    torch.testing.assert_close(torch.autograd.grad(fixed.sum(), weight)[0], torch.ones(2, 2))


def test_training_and_chips_draw_the_same_bits():
    weight = torch.empty(500).normal_(generator=generator(0))
    profile = Profile.load("rram4")
    chip = profile.chip({"w": weight}, seed=0, index=3)["w"]
    trained = profile.perturb({"w": weight.clone().requires_grad_()}, seed=0, path=("chip", 3))["w"]
    assert torch.equal(chip, trained.detach())
    assert not chip.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_and_shape_stay(dtype):
    weight = torch.linspace(-1, 1, 12, dtype=dtype).reshape(3, 4).t()
    noisy = Profile.load("gaussian").chip({"w": weight}, seed=0, index=0)["w"]
    assert (noisy.dtype, noisy.shape) == (dtype, weight.shape)
    assert not torch.equal(noisy, weight)


def test_zero_tensors_and_empty_tensors_survive():
    weights = {"zero": torch.zeros(3, 3), "empty": torch.zeros(0, 4), "scalar": torch.tensor(2.0)}
    for name in ["gaussian", "fefet6"]:
        noisy = Profile.load(name).chip(weights, seed=0, index=0)
        assert torch.equal(noisy["zero"], weights["zero"])
        assert noisy["empty"].shape == (0, 4)
        assert noisy["scalar"].isfinite()


class TestErrors:
    def test_unknown_name_proposes_the_nearest(self):
        with pytest.raises(UnknownNameError, match="Did you mean gaussian"):
            Profile.parse("gausian:sigma=0.1")

    def test_all_problems_at_once(self):
        with pytest.raises(SettingsError) as caught:
            Profile.parse("gaussian:sigm=1,relative_to=foo,sigma=-0.1")
        assert len(caught.value.problems) == 3
        assert "did you mean sigma" in str(caught.value)
        assert "sigma = -0.1: must be >= 0" in str(caught.value)
        assert caught.value.exit_code == 2

    @pytest.mark.parametrize("text", ["gaussian:sigma", "gaussian:=1", "gaussian:sigma=1,sigma=2", "gaussian:sigma="])
    def test_text_that_is_not_key_value(self, text):
        with pytest.raises(SettingsError):
            Profile.parse(text)

    @pytest.mark.parametrize("value", ["nan", "inf", "-1", "x", "1e400", "lognormal(0,1)", "normal(1)", "uniform(2,1)"])
    def test_values_that_are_no_noise_level(self, value):
        with pytest.raises(SettingsError):
            Profile.parse(f"gaussian:sigma={value}")

    @pytest.mark.parametrize("knob", ["name", "cls", "self", "knobs", "severity"])
    def test_names_that_python_itself_uses(self, knob):
        with pytest.raises(SettingsError, match="no such parameter"):
            Profile.parse(f"gaussian:{knob}=1")

    @given(
        st.sampled_from(["gaussian", "pcm", "rram1", "", "x", "a.toml", "os:getcwd", "./"]),
        st.text(st.sampled_from(list("sigma:=,()1.e-+ \n\x00ü/$")), max_size=20),
    )
    @settings(max_examples=150, deadline=None)
    def test_any_text_is_a_profile_or_an_error_of_ours(self, name, rest):
        with contextlib.suppress(HardenError):
            Profile.parse(name + rest)

    @given(st.sampled_from(DEVICES.names()), st.data())
    @settings(max_examples=60, deadline=None)
    def test_any_damaged_file_is_a_profile_or_an_error_of_ours(self, name, data):
        lines = DEVICES.text(name).splitlines()
        index = data.draw(st.integers(0, len(lines) - 1))
        damage = [
            "",
            'kind = "x"',
            "default = []",
            "sigma = -1",
            "[time]",
            'level = "q"',
            "[knobs.d2d]",
            "valid_s = [3]",
        ]
        lines[index] = data.draw(st.sampled_from(damage))
        with contextlib.suppress(HardenError):
            definition = read_definition("\n".join(lines), "damaged")
            profile = Profile("damaged", definition, resolve(definition.all_knobs(), {})[0])
            assert profile.chip({"w": torch.ones(2, 2)}, seed=0, index=0)["w"].isfinite().all()

    @pytest.mark.parametrize(
        "knob",
        [
            '[knobs.d2d]\ndefault = "a"\nchoices = ["a"]',
            "[knobs.reference]\ndefault = 1.0",
            "[knobs.tile_rows]\ndefault = 1.5",
        ],
    )
    def test_common_knobs_keep_their_kind(self, tmp_path, knob):
        file = tmp_path / "mine.toml"
        file.write_text(f'summary = "x"\ncitation = "y"\n{knob}\n[[program]]\nlaw = "gaussian"\nsigma = 1\n')
        with pytest.raises(ProfileError, match="every profile has this knob"):
            Profile.load(file)

    def test_values_that_only_the_law_refuses(self):
        with pytest.raises(SettingsError, match="multiple of device_bits"):
            Profile.parse("rram1:device_bits=3")

    @pytest.mark.parametrize("severity", [-1, float("nan"), float("inf")])
    def test_severity(self, severity):
        with pytest.raises(SettingsError):
            Profile.load("gaussian").scaled(severity)
        with pytest.raises(SettingsError):
            Profile.load("gaussian").perturb({}, seed=0, path=(), severity=severity)

    def test_malformed_file_lists_everything(self, tmp_path):
        file = tmp_path / "mine.toml"
        file.write_text('summary = "x"\nsurprise = 1\n[[program]]\nlaw = "gaussian"\nsigma = 1\n')
        with pytest.raises(ProfileError) as caught:
            Profile.load(file)
        assert caught.value.exit_code == 3
        assert "citation" in str(caught.value)
        assert "surprise" in str(caught.value)

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ("summary = [", "not valid TOML"),
            ('summary = "x"\ncitation = "y"\n', "no noise"),
            ('summary = "x"\ncitation = "y"\n[[program]]\nlaw = "gausian"\n', "Did you mean gaussian"),
            ('summary = "x"\ncitation = "y"\n[[program]]\nlaw = "gaussian"\nsigma = -1\n', "greater than or equal"),
            ('summary = "x"\ncitation = "y"\n[[program]]\nlaw = "gaussian"\nsigma = "$s"\n', "no knob 's'"),
            (
                'summary = "x"\ncitation = "y"\n[mapping]\nkind="pair"\n[[program]]\nlaw="gaussian"\nsigma=1\n',
                "g_max_us",
            ),
            ('summary = "x"\ncitation = "y"\nlevel="q"\n[[program]]\nlaw="gaussian"\nsigma=1\n', "level"),
        ],
    )
    def test_malformed_file_says_what(self, tmp_path, body, said):
        file = tmp_path / "mine.toml"
        file.write_text(body)
        with pytest.raises(ProfileError, match=said):
            Profile.load(file)

    def test_absent_file(self):
        with pytest.raises(ProfileError, match="No such file"):
            Profile.load("absent.toml")

    @pytest.mark.parametrize("at_s", [-1.0, float("nan"), float("inf")])
    def test_times(self, at_s):
        with pytest.raises(ProfileError, match="valid times"):
            Profile.load("gaussian").check_time(at_s)
        assert Profile.load("gaussian").check_time(None) == 0
        assert Profile.load("gaussian").check_time(3600) == 3600


class TestLevel:
    def test_sigma_is_the_level_times_severity(self):
        profile = Profile.parse("rram1:sigma_d=0.2")
        assert profile.sigma == 0.2
        assert profile.scaled(1.5).sigma == pytest.approx(0.3)
        assert profile.with_sigma(0.35).sigma == 0.35
        assert profile.scaled(2).with_sigma(0.35).sigma == 0.35

    def test_digest_tells_numbers_apart_and_ignores_prose(self, tmp_path):
        body = 'summary = "x"\ncitation = "y"\n[[program]]\nlaw = "gaussian"\nsigma = 0.1\n'
        files = [tmp_path / f"{i}.toml" for i in range(3)]
        for file, text in zip(files, [body, body.replace('"x"', '"z"'), body.replace("0.1", "0.2")], strict=True):
            file.write_text(text)
        one, other_words, other_noise = [Profile.load(file).digest for file in files]
        assert one == other_words != other_noise
        assert Profile.load("gaussian").digest != Profile.load("gaussian", sigma=0.2).digest
        assert Profile.load("gaussian").digest != Profile.load("gaussian").scaled(2).digest

    def test_text_round_trips(self):
        for text in ["gaussian", "rram1:sigma_d=0.25", "gaussian:sigma=lognormal(0.1,0.3),relative_to=weight"]:
            assert str(Profile.parse(text)) == text
            assert Profile.parse(str(Profile.parse(text))).digest == Profile.parse(text).digest

    def test_profiles_travel_to_workers_and_serve_as_keys(self):
        for text in ("pcm", "rram1:sigma_d=lognormal(0.1,0.2)"):
            profile = Profile.parse(text).scaled(1.5)
            weights = some_weights()
            before = profile.chip(weights, seed=0, index=1)
            copy = pickle.loads(pickle.dumps(profile))
            assert copy == profile
            assert {copy: 1}[profile] == 1
            assert torch.equal(copy.chip(weights, seed=0, index=1)["b"], before["b"])

    def test_noise_grows_with_the_range_or_not(self):
        assert Profile.load("gaussian").scales_with_range
        assert Profile.load("rram1").scales_with_range
        assert not Profile.parse("gaussian:relative_to=weight").scales_with_range
        assert not Profile.parse("gaussian:reference=cell").scales_with_range


class TestReference:
    weight = torch.tensor([[1.0, -4.0, 0.5], [0.2, 0.1, 0.25]])

    def spread(self, **knobs):
        profile = Profile.load("gaussian", sigma=1.0, **knobs)
        noise = profile.chip({"w": self.weight}, seed=0, index=0)["w"] - self.weight
        return noise / torch.empty(2, 3).normal_(generator=generator(0, "chip", 0, "program", "w"))

    def test_tensor_column_tile_and_cell(self):
        torch.testing.assert_close(self.spread(), torch.full((2, 3), 4.0))
        torch.testing.assert_close(self.spread(reference="column"), torch.tensor([[4.0] * 3, [0.25] * 3]))
        torch.testing.assert_close(self.spread(reference="cell"), self.weight.abs(), atol=1e-6, rtol=1e-4)
        tile = self.spread(reference="tile", tile_rows=2, tile_columns=1)
        torch.testing.assert_close(tile, torch.tensor([[4.0, 4.0, 0.5], [0.2, 0.2, 0.25]]))

    def test_column_follows_the_output_axis(self):
        profile = Profile.load("gaussian", sigma=1.0, reference="column")
        noisy = profile.chip({"w": Use(self.weight.t(), output_axis=1)}, seed=0, index=0)["w"]
        spread = (noisy - self.weight.t()) / torch.empty(3, 2).normal_(
            generator=generator(0, "chip", 0, "program", "w")
        )
        torch.testing.assert_close(spread, torch.tensor([[4.0, 0.25]]).expand(3, 2))

    def test_column_of_a_grouped_transposed_convolution(self):
        # [in, out/groups]: two groups of two inputs; a column belongs to one group and one output of it.
        weight = torch.tensor([[1.0, 2.0], [3.0, -4.0], [0.1, 0.2], [0.3, 0.4]])
        profile = Profile.load("gaussian", sigma=1.0, reference="column")
        noisy = profile.chip({"w": Use(weight, output_axis=1, groups=2)}, seed=0, index=0)["w"]
        spread = (noisy - weight) / torch.empty(4, 2).normal_(generator=generator(0, "chip", 0, "program", "w"))
        expected = torch.tensor([[3.0, 4.0], [3.0, 4.0], [0.3, 0.4], [0.3, 0.4]])
        torch.testing.assert_close(spread, expected, rtol=1e-4, atol=1e-5)


class TestSampler:
    def sampler(self, text="rram1"):
        weights = {"w": torch.linspace(-1, 1, 20).requires_grad_()}
        return NoiseSampler(Profile.parse(text), lambda: weights, seed=0, path=("train",))

    def test_streams_and_steps_differ_and_repeat(self):
        sampler = self.sampler()
        first = sampler.at(1).draw("main")["w"]
        assert torch.equal(first, sampler.at(1).draw("main")["w"])
        assert not torch.equal(first, sampler.at(1).draw("other")["w"])
        assert not torch.equal(first, sampler.at(2).draw("main")["w"])
        assert first.requires_grad

    def test_sigma_is_absolute_and_severity_relative(self):
        sampler = self.sampler("rram1:sigma_d=0.1")
        weight = sampler.draw("a", severity=0)["w"]
        torch.testing.assert_close(
            sampler.draw("a", sigma=0.25)["w"] - weight, 2.5 * (sampler.draw("a")["w"] - weight), rtol=1e-4, atol=1e-6
        )
        torch.testing.assert_close(sampler.draw("a", severity=2.5)["w"], sampler.draw("a", sigma=0.25)["w"])

    def test_follows_the_current_weights(self):
        weights = {"w": torch.ones(4)}
        sampler = NoiseSampler(Profile.load("gaussian"), lambda: weights, seed=0, path=())
        before = sampler.draw("a")["w"]
        weights["w"] = torch.full((4,), 3.0)
        torch.testing.assert_close(sampler.draw("a")["w"], 3 * before)
