"""From weights to devices and back: pairs, significances, slices, single devices, rounding, saturation, references."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harden.errors import ProfileError
from harden.noise.mapping import Mapping
from harden.noise.profile import Profile
from harden.noise.reference import extremes, largest
from harden.streams import generator

WEIGHT = torch.tensor([-2.0, -0.5, 0.0, 0.25, 1.0])


def devices(mapping, weight=WEIGHT):
    return list(mapping.devices(weight, weight.abs().max(), (weight.min(), weight.max())))


def restored(mapping, weight=WEIGHT):
    """The weight that the devices' targets stand for, from the targets alone."""
    total = torch.zeros_like(weight)
    for device in devices(mapping, weight):
        total = total + (device.target - mapping.low) * device.weight_per_unit
    return total


def test_a_pair_holds_the_sign_in_one_of_two_devices():
    plus, minus = devices(Mapping(kind="pair", g_min_us=1, g_max_us=25))
    torch.testing.assert_close(plus.target, torch.tensor([1.0, 1.0, 1.0, 4.0, 13.0]))
    torch.testing.assert_close(minus.target, torch.tensor([25.0, 7.0, 1.0, 1.0, 1.0]))


def test_a_single_device_spans_the_range_of_the_tensor():
    (device,) = devices(Mapping(kind="single", g_min_us=10, g_max_us=40))
    torch.testing.assert_close(device.target, torch.tensor([10.0, 25.0, 30.0, 32.5, 40.0]))
    torch.testing.assert_close(torch.as_tensor(device.weight_per_unit), torch.tensor(0.1))


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "pair", "g_max_us": 25.0},
        {"kind": "pair", "g_min_us": 2.0, "g_max_us": 25.0},
        {"kind": "pair", "g_max_us": 25.0, "significance": (1.0, 4.0, 16.0)},
        {"kind": "pair", "i_min_na": 1.0, "i_max_na": 1800.0},
    ],
)
def test_the_targets_stand_for_the_weight(options):
    torch.testing.assert_close(restored(Mapping(**options)), WEIGHT)


@given(st.integers(2, 12), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_slices_stand_for_the_rounded_weight(weight_bits, slice_bits):
    mapping = Mapping(kind="pair", g_min_us=1, g_max_us=25, weight_bits=weight_bits, slice_bits=slice_bits)
    weight = torch.empty(50, dtype=torch.float64).normal_(generator=generator(weight_bits, slice_bits))
    rounded = mapping.stored(weight, weight.abs().max())
    top = 2 ** (weight_bits - 1) - 1
    torch.testing.assert_close(rounded, (weight / weight.abs().max() * top).round() * weight.abs().max() / top)
    torch.testing.assert_close(restored(mapping, rounded), rounded)
    for device in devices(mapping, rounded):
        digits = (device.target - 1) / 24 * (2**slice_bits - 1)
        torch.testing.assert_close(digits, digits.round())
        assert device.target.min() >= 1 - 1e-9
        assert device.target.max() <= 25 + 1e-9


def test_slices_average_noise_as_the_paper_says():
    # Four 2-bit devices of 8 bits with σ of their own full range: c(2, 4) = 0.77763 of it on the weight, for each
    # half of the pair; the slices of a 7-bit magnitude go up to 255/127 of it.
    profile = definition(
        '[mapping]\nkind = "pair"\ng_max_us = 100\nweight_bits = 8\nslice_bits = 2\n', 'law = "gaussian"\nsigma = 0.01'
    )
    weight = {"w": torch.full((300, 300), 0.5)}
    weight["w"][0, 0] = 1.0
    equal = definition(
        '[mapping]\nkind = "pair"\ng_max_us = 100\nsignificance = [1, 4, 16, 64]\n', 'law = "gaussian"\nsigma = 0.01'
    )
    sliced, pairs = (p.chip(weight, seed=0, index=0)["w"][1:].std().item() for p in (profile, equal))
    # Conductances do not fall below zero: devices at g_min show half of their noise.
    assert pairs == pytest.approx(0.01 * 0.77763 * (1 + 0.583796**2) ** 0.5, rel=0.02)
    assert sliced < 0.01 * 0.77763 * 255 / 127 * 2**0.5


def definition(mapping, law, stage="program"):
    folder = Path(__file__).parent
    text = f'summary = "test"\ncitation = "test"\n{mapping}[[{stage}]]\n{law}\n'
    from harden.noise.definition import read_definition
    from harden.noise.knobs import resolve

    parsed = read_definition(text, str(folder))
    return Profile("test", parsed, resolve(parsed.all_knobs(), {})[0])


def test_significances_average_the_noise_of_equal_pairs():
    # Four equal pairs halve the noise of one.
    law = 'law = "gaussian"\nsigma = 0.01'
    weight = {"w": torch.full((300, 300), 0.5)}
    one = definition('[mapping]\nkind = "pair"\ng_min_us = 10\ng_max_us = 100\n', law)
    four = definition('[mapping]\nkind = "pair"\ng_min_us = 10\ng_max_us = 100\nsignificance = [1, 1, 1, 1]\n', law)
    ratio = four.chip(weight, seed=0, index=0)["w"].std() / one.chip(weight, seed=0, index=0)["w"].std()
    assert ratio.item() == pytest.approx(0.5, rel=0.02)


def test_weights_are_rounded_only_when_asked():
    weight = {"w": torch.linspace(-1, 1, 1001)}
    tiny = Profile.load("gaussian", sigma=1e-9)
    torch.testing.assert_close(tiny.chip(weight, seed=0, index=0)["w"], weight["w"], rtol=0, atol=1e-7)
    rounded = Profile.load("gaussian", sigma=1e-9, quantise=3).chip(weight, seed=0, index=0)["w"]
    assert set((rounded * 3).round(decimals=4).abs().tolist()) == {0.0, 1.0, 2.0, 3.0}


def test_device_bits_round_conductances():
    (plus, _) = devices(Mapping(kind="pair", g_min_us=1, g_max_us=25, device_bits=2))
    torch.testing.assert_close(plus.target, torch.tensor([1.0, 1.0, 1.0, 1.0, 17.0]))


def test_clip_saturates_and_shrinks_the_reference():
    weight = {"w": torch.tensor([[1.0, 0.6, -0.2, -1.0]])}
    whole = Profile.load("ibm_standard_2023", read_scale=0, program_scale=0)
    clipped = Profile.load("ibm_standard_2023", read_scale=0, program_scale=0, clip=0.5)
    torch.testing.assert_close(whole.chip(weight, seed=0, index=0)["w"], weight["w"])
    saturated = clipped.chip(weight, seed=0, index=0)["w"]
    torch.testing.assert_close(saturated, torch.tensor([[0.5, 0.5, -0.2, -0.5]]))


def test_a_transposed_weight_has_the_same_columns():
    weight = torch.empty(6, 5, 3).normal_(generator=generator(0))
    for reference in ("column", "tile"):
        plain = extremes(weight, reference=reference, tile=(4, 2))
        moved = extremes(weight.movedim(0, 2), output_axis=2, reference=reference, tile=(4, 2))
        for one, other in zip(plain, moved, strict=True):
            torch.testing.assert_close(other.expand(5, 3, 6).movedim(2, 0), one.expand(6, 5, 3))


def test_tiles_of_everything_and_of_one_weight():
    weight = torch.empty(6, 5).normal_(generator=generator(0))
    whole = largest(extremes(weight, reference="tile", tile=(100, 100)))
    torch.testing.assert_close(whole, weight.abs().max().expand(6, 5))
    torch.testing.assert_close(largest(extremes(weight, reference="tile", tile=(1, 1))), weight.abs())
    torch.testing.assert_close(
        largest(extremes(weight, reference="tile", tile=(5, 1))), weight.abs().amax(1, keepdim=True).expand(6, 5)
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('kind = "pair"', "g_max_us"),
        ('kind = "pair"\ng_max_us = 25\ni_max_na = 3', "g_max_us"),
        ('kind = "pair"\ng_min_us = 25\ng_max_us = 25', "below the largest"),
        ('kind = "direct"\ng_max_us = 25', "no conductance range"),
        ('kind = "single"\ng_max_us = 25\nsignificance = [1, 2]', "for kind = 'pair'"),
        ('kind = "pair"\ng_max_us = 25\nsignificance = []', "positive factors"),
        ('kind = "pair"\ng_max_us = 25\nslice_bits = 2', "needs weight_bits"),
        ('kind = "pair"\ng_max_us = 25\nweight_bits = 1', "weight_bits"),
        ('kind = "direct"\ndevice_bits = 2', "no devices to round"),
        ('kind = "spiral"', "kind"),
        ('kind = "direct"\nreference = "row"', "reference"),
        ('kind = "direct"\nsurprise = 1', "surprise"),
    ],
)
def test_mappings_that_make_no_sense(tmp_path, table, said):
    file = tmp_path / "mine.toml"
    file.write_text(f'summary = "x"\ncitation = "y"\n[mapping]\n{table}\n[[program]]\nlaw = "uniform"\nbound = 0.1\n')
    with pytest.raises(ProfileError, match=said):
        Profile.load(file)
