"""Converters and output noise around a crossbar: hand-worked values, gradients, streams, knobs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harden.errors import HardenError, SettingsError
from harden.noise.check import check
from harden.noise.periphery import KNOBS, ChipPeriphery, Converter, Periphery, convert
from harden.noise.profile import Profile
from harden.streams import generator

RANGES = {"a": ((0.0, 2.0), (-8.0, 8.0)), "dead": ((0.0, 0.0), (0.0, 0.0))}


class TestConvert:
    def test_unsigned_by_hand(self):
        # 2 bits on [0, 3]: codes 0, 1, 2, 3, a step of 1; 0.5 and 1.5 are ties and go to the even code.
        x = torch.tensor([-1.0, 0.0, 0.49, 0.5, 1.5, 1.51, 2.9, 3.0, 7.0])
        assert convert(x, 0.0, 3.0, 2).tolist() == [0, 0, 0, 0, 2, 2, 3, 3, 3]

    def test_signed_by_hand(self):
        # 3 bits on [-6, 6]: codes -3 to 3, a step of 2.
        x = torch.tensor([-100.0, -6.0, -3.1, -2.9, -1.0, 0.9, 1.1, 5.1, 6.0, 100.0])
        assert convert(x, -6.0, 6.0, 3).tolist() == [-6, -6, -4, -2, 0, 0, 2, 6, 6, 6]

    def test_without_bits_it_only_clips(self):
        assert convert(torch.tensor([-9.0, 0.3, 9.0]), -1.0, 1.0, 0).tolist() == pytest.approx([-1, 0.3, 1])

    @given(
        st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20),
        st.floats(0.125, 20, width=32),
        st.integers(2, 10),
        st.booleans(),
    )
    def test_no_value_moves_by_more_than_half_a_step(self, x, high, bits, signed):
        converter = Converter(-high if signed else 0.0, high, bits)
        out = converter(torch.tensor(x, dtype=torch.float64))
        inside = torch.tensor(x, dtype=torch.float64).clamp(converter.low, high)
        assert float((out - inside).abs().max()) <= converter.step / 2 * (1 + 1e-6) + 1e-6 * high
        first, last = converter.codes
        assert last - first + 1 == (2**bits - 1 if signed else 2**bits)
        assert torch.equal(converter(out), out)

    @pytest.mark.parametrize("bits", [0, 4])
    def test_gradients_pass_within_the_range_only(self, bits):
        x = torch.tensor([-2.01, -2.0, -0.3, 0.0, 1.9, 2.0, 2.01, 50.0], requires_grad=True)
        (convert(x, -2.0, 2.0, bits) * torch.arange(1.0, 9.0)).sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [0, 2, 3, 4, 5, 6, 0, 0]


class TestChipPeriphery:
    def test_each_side_has_its_range(self):
        convert_ = ChipPeriphery(Periphery(dac_bits=2, adc_bits=3), RANGES, 0, ())
        x = torch.tensor([-1.0, 0.7, 3.0])
        assert torch.allclose(convert_("a", "input", x), torch.tensor([0.0, 2 / 3, 2.0]))
        assert torch.allclose(convert_("a", "output", x), torch.tensor([0.0, 0.0, 8 / 3]))

    def test_layers_without_a_range_or_signal_are_left_alone(self):
        convert_ = ChipPeriphery(Periphery(dac_bits=2, adc_bits=3, output_noise=1.0), RANGES, 0, ())
        x = torch.tensor([0.123])
        for key in ("other", "dead"):
            assert convert_(key, "input", x) is x
            assert convert_(key, "output", x) is x

    def test_output_noise_is_its_stream_over_the_range_and_anew_each_pass(self):
        x = torch.zeros(200_000)
        convert_ = ChipPeriphery(Periphery(output_noise=0.01), RANGES, 7, ("chip", 3))
        first, second = convert_("a", "output", x), convert_("a", "output", x)
        assert float(first.std()) == pytest.approx(0.01 * 8.0, rel=0.01)
        for number, found in enumerate((first, second)):
            stream = generator(7, "chip", 3, "output", "a", number)
            assert torch.equal(found, torch.empty(200_000).normal_(0, 0.08, generator=stream))
        again = ChipPeriphery(Periphery(output_noise=0.01), RANGES, 7, ("chip", 3))
        assert torch.equal(again("a", "output", x), first)

    def test_noise_comes_before_the_adc(self):
        convert_ = ChipPeriphery(Periphery(adc_bits=3, output_noise=0.1), RANGES, 0, ())
        out = convert_("a", "output", torch.zeros(1000))
        assert set((out / (8 / 3)).round(decimals=4).tolist()) <= {-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0}
        assert len(out.unique()) > 1


class TestRanges:
    def test_fixed_widths_take_the_place_of_those_seen_and_keep_the_sign(self):
        periphery = Periphery(input_range=1.5, output_range=20.0)
        assert periphery.ranges({"a": ((0.0, 2.0), (-8.0, 8.0))}) == {"a": ((0.0, 1.5), (-20.0, 20.0))}

    def test_a_fixed_range_clips_without_bits(self):
        periphery = Periphery(input_range=1.5)
        assert periphery.on
        assert periphery.input_converter((0.0, 1.5)) == Converter(0.0, 1.5, 0)
        assert periphery.output_converter((-8.0, 8.0)) is None


class TestKnobs:
    def test_off_they_change_nothing(self):
        plain = Profile.load("gaussian")
        off = Profile.load("gaussian", dac_bits=0, adc_bits=0, output_noise=0.0, range_percentile=95)
        assert not plain.periphery.on
        assert off.digest == plain.digest
        assert off.parameters == plain.parameters
        assert not set(KNOBS) & set(plain.parameters)

    def test_a_digest_names_the_device_and_nothing_that_is_off(self):
        known = "82ec2091f427a9915f84b266aa73bd2872581647842e7bed974e635db2f8f1aa"
        assert Profile.load("gaussian").digest == known

    @pytest.mark.parametrize(
        "knobs",
        [
            {"adc_bits": 6},
            {"dac_bits": 8},
            {"input_range": 1.0},
            {"output_range": 1.0},
            {"output_noise": 0.01},
            {"adc_bits": 6, "range_percentile": 99.0},
        ],
    )
    def test_each_is_part_of_the_digest_and_leaves_the_weights(self, knobs):
        weights = {"w": torch.empty(20, 20).normal_(generator=generator(0, "w"))}
        plain, profile = Profile.load("rram1"), Profile.load("rram1", **knobs)
        others = {plain.digest, Profile.load("rram1", adc_bits=6).digest if len(knobs) > 1 else ""}
        assert profile.digest not in others
        assert set(KNOBS) <= set(profile.parameters)
        assert Profile.parse(str(profile)).digest == profile.digest
        assert torch.equal(profile.chip(weights, seed=0, index=0)["w"], plain.chip(weights, seed=0, index=0)["w"])

    def test_a_file_sets_their_defaults(self, tmp_path):
        file = tmp_path / "lab.toml"
        law = '[[program]]\nlaw = "gaussian"\nsigma = 0.1\n'
        file.write_text(f'summary = "s"\ncitation = "c"\n[periphery]\nadc_bits = 5\noutput_noise = 0.02\n{law}')
        assert check(file) == []
        assert Profile.load(file).periphery == Periphery(adc_bits=5, output_noise=0.02)
        assert Profile.load(file, adc_bits=7).periphery.adc_bits == 7
        assert Profile.load(file, adc_bits=0, output_noise=0).periphery.on is False

    @pytest.mark.parametrize("table", ["adc_bitz = 5", "adc_bits = 5.5", "adc_bits = 1", "output_noise = -1"])
    def test_a_wrong_table_is_refused(self, table, tmp_path):
        file = tmp_path / "lab.toml"
        law = '[[program]]\nlaw = "gaussian"\nsigma = 0.1\n'
        file.write_text(f'summary = "s"\ncitation = "c"\n[periphery]\n{table}\n{law}')
        assert any("periphery" in problem for problem in check(file))

    @pytest.mark.parametrize("text", ["adc_bits=1", "dac_bits=17", "output_noise=normal(0,1)", "range_percentile=101"])
    def test_wrong_values_are_refused(self, text):
        with pytest.raises(SettingsError) as raised:
            Profile.parse(f"gaussian:{text}")
        assert isinstance(raised.value, HardenError)
        assert text.partition("=")[0] in str(raised.value)

    def test_severity_scales_the_noise_and_not_the_converters(self):
        profile = Profile.load("gaussian", adc_bits=6, output_noise=0.02)
        assert profile.scaled(0.5).periphery == Periphery(adc_bits=6, output_noise=0.01)
        assert profile.scaled(0).periphery == Periphery(adc_bits=6)

    def test_a_sampler_has_them_too(self):
        assert Profile.parse("math:sqrt:adc_bits=4").periphery.adc_bits == 4
