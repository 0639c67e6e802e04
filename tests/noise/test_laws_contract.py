"""What every noise law promises; laws are found by the registry."""

from __future__ import annotations

import math

import pytest
import torch

from harden.noise.laws.base import Cells, Moment
from harden.registry import LAWS
from harden.streams import generator

# Only where the defaults do not show all that a law can do, or it has required parameters that are no numbers.
EXAMPLES = {
    "banded": [{"sigma": 0.1, "middle": 4.0}],
    "bitflip": [
        {"rate": 0.05},
        {"rate": 0.05, "scheme": "robust", "quantise": True},
        {"rate": 0.02, "storage": "float16"},
    ],
    "censored": [{"sigma": 0.1, "high": 0.3}, {"sigma": 0.2, "high": 1.0, "low": -0.5, "centred": True}],
    "corner": [{"bound": 0.1}],
    "flicker": [{"amplitude": [{"power": [0.01, -0.65], "clip": [0, 0.2]}], "read_s": 250e-9, "start_s": 20.0}],
    "gaussian": [{"sigma": 0.1}, {"sigma": 0.1, "relative_to": "weight"}],
    "lognormal": [{"sigma": 0.2}, {"sigma": 0.2, "keep": "mean"}],
    "power_drift": [{"mean": [{"poly": [0.05]}], "sigma": [{"poly": [0.01]}], "start_s": 20.0}],
    "relaxation": [
        {"mean_per_e": -0.01, "sigma_per_e": 0.01, "sigma": 0.2},
        {"mean_per_e": [{"poly": [-0.01, 0.02]}], "sigma_per_e": 0.01, "sigma": [{"poly": [0.1, 0.1]}], "df": 8},
        {
            "mean_per_e": 0.0,
            "sigma_per_e": [{"poly": [0.01]}],
            "sigma": 0.1,
            "start_s": 0.01,
            "fitted_full": 4.0,
            "parts": {"weights": [0.9, 0.1], "factors": [1, 4]},
        },
    ],
    "resampled": [
        {
            "levels": [
                {"share": 0.1, "deviations": [[-0.1, -0.2], [0.1, 0.3], [0.0, 0.1]]},
                {"share": 0.8, "deviations": [[-0.3, -0.5], [0.2, 0.5]]},
            ],
            "times_s": [1, 86400],
        }
    ],
    "scale_mixture": [
        {"sigma": [{"poly": [0.05, 0.1]}], "parts": [{"weights": [0.9, 0.1], "factors": [1, 5], "offsets": [0, -2]}]}
    ],
    "shift": [{"mean": [{"poly": [0.1, -0.3]}]}],
    "state": [{"sigma": [{"poly": [0.05, 0.1]}], "fitted_full": 1.0}],
    "stuck_at": [{"rate": 0.2, "low_share": 0.25}, {"rate": 0.2, "random_share": 0.5, "low_at": 0.1, "high_at": 1.5}],
    "student_t": [
        {"sigma": [{"poly": [0.05, 0.1]}], "df": 8},
        {"sigma": [{"poly": [0.05]}], "df": [[1, 6], [86400, 12]], "time": "log"},
    ],
    "uniform": [{"bound": 0.1}],
    "window": [{"sigma": [{"poly": [0.1]}]}, {"sigma": [{"poly": [0.05, 0.1]}], "edge": 0.2}],
}


def examples(name):
    """Parameters to test a law with: those above, or else its defaults, and 0.1 for what has none."""
    fields = LAWS.module(name).Law.model_fields
    return EXAMPLES.get(name, [{key: 0.1 for key, field in fields.items() if field.is_required()}])


CASES = [(name, index) for name in LAWS for index in range(len(examples(name)))]


def law(name, index=0):
    return LAWS.module(name).Law.model_validate(examples(name)[index])


def test_a_law_without_a_row_here_is_tested_with_its_defaults(monkeypatch):
    monkeypatch.delitem(EXAMPLES, "uniform")
    assert law("uniform").bound == 0.1


def some_cells(count=1000, dtype=torch.float32):
    target = torch.linspace(0.05, 1.9, count, dtype=dtype)
    return Cells(target, full=2.0, low=0.0, ends=(target.min(), target.max()))


def moment(severity=1.0, at_s=3600.0, seed=0):
    return Moment(at_s, severity, generator(seed, "law"))


@pytest.mark.parametrize(("name", "index"), CASES)
class TestEveryLaw:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_shape_dtype_and_purity(self, name, index, dtype):
        cells = some_cells(dtype=dtype)
        before = cells.target.clone()
        change = law(name, index).deviation(cells.target, cells, moment())
        assert change is not None
        assert (change.shape, change.dtype, change.device) == (before.shape, dtype, before.device)
        assert change.data_ptr() != cells.target.data_ptr()
        assert torch.equal(cells.target, before)
        assert change.isfinite().all()
        assert change.abs().sum() > 0

    def test_equal_streams_give_equal_bits(self, name, index):
        cells = some_cells()
        one, two = (law(name, index).deviation(cells.target, cells, moment()) for _ in range(2))
        assert one is not None
        assert two is not None
        assert torch.equal(one, two)

    def test_no_severity_is_no_deviation(self, name, index):
        cells = some_cells()
        change = law(name, index).deviation(cells.target, cells, moment(severity=0.0))
        assert change is None or not change.any() or examples(name)[index].get("quantise")

    def test_draws_do_not_depend_on_values(self, name, index):
        # After a law has drawn, its stream stands at the same place whatever the cells hold.
        follow = []
        for target in (torch.linspace(0.05, 1.9, 999), torch.full((999,), 1.0), torch.zeros(999)):
            at = moment()
            law(name, index).deviation(target, Cells(target, full=2.0, ends=(torch.tensor(0.0), torch.tensor(2.0))), at)
            follow.append(torch.empty(4).normal_(generator=at.generator))
        assert torch.equal(follow[0], follow[1])
        assert torch.equal(follow[0], follow[2])

    def test_the_first_time_is_ordinary(self, name, index):
        cells = some_cells()
        change = law(name, index).deviation(cells.target, cells, moment(at_s=0.0))
        assert change is None or change.isfinite().all()

    def test_a_million_draws_have_the_stated_spread(self, name, index):
        for value in (0.1, 1.0, 1.8):
            cells = Cells(torch.full((1_000_000,), value), full=2.0, ends=(torch.tensor(0.0), torch.tensor(2.0)))
            member = law(name, index)
            spread = member.spread(Cells(cells.target[:1], full=2.0), 3600.0)
            change = member.deviation(cells.target, cells, moment(seed=int(10 * value)))
            assert change is not None
            if spread is not None:
                assert change.double().std().item() == pytest.approx(spread.item(), rel=4e-3, abs=1e-9)

    def test_parameters_that_do_not_exist_are_refused(self, name, index):
        with pytest.raises(ValueError, match="surprise"):
            LAWS.module(name).Law.model_validate({**examples(name)[index], "surprise": 1})

    @pytest.mark.gpu
    def test_on_the_gpu_the_same_numbers(self, name, index):
        cells = some_cells()
        moved = Cells(cells.target.cuda(), full=2.0, ends=tuple(end.cuda() for end in cells.ends or ()))
        here = law(name, index).deviation(cells.target, cells, moment())
        there = law(name, index).deviation(moved.target, moved, moment())
        assert here is not None
        assert there is not None
        torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=1e-6)


def mean_of(name, parameters, value=1.0):
    cells = Cells(torch.full((1_000_000,), value, dtype=torch.float64), full=2.0)
    change = LAWS.module(name).Law.model_validate(parameters).deviation(cells.target, cells, moment())
    return change.mean().item()


class TestMeans:
    """Laws whose mean is not zero, against the closed form."""

    def test_lognormal_keeps_the_median_or_the_mean(self):
        assert mean_of("lognormal", {"sigma": 0.5}) == pytest.approx(math.exp(0.125) - 1, abs=3e-3)
        assert mean_of("lognormal", {"sigma": 0.5, "keep": "mean"}) == pytest.approx(0, abs=3e-3)

    def test_right_censoring_leaves_a_negative_mean(self):
        # E[min(ξ, 1)] = −φ(1) + 1·(1 − Φ(1)) = −0.24197 + 0.15866 = −0.08332
        assert mean_of("censored", {"sigma": 0.5, "high": 1.0}) == pytest.approx(-0.08332 * 0.5 * 2, abs=3e-3)
        assert mean_of("censored", {"sigma": 0.5, "high": 1.0, "centred": True}) == pytest.approx(0, abs=3e-3)

    def test_stuck_cells_go_to_their_ends(self):
        # From 1: a share of 0.2·0.75 gains 1 (to 2), a share of 0.2·0.25 loses 1 (to 0).
        assert mean_of("stuck_at", {"rate": 0.2, "low_share": 0.25}) == pytest.approx(0.1, abs=2e-3)

    def test_relaxation_shifts_by_the_logarithm(self):
        expected = -0.01 * math.log(3600)
        assert mean_of("relaxation", EXAMPLES["relaxation"][0]) == pytest.approx(expected, abs=2e-3)

    def test_drift_loses_the_expected_share(self):
        # E[exp(−L ν)] for ν ~ N(0.05, 0.01²), L = ln(3620/20): exp(−0.05 L + 0.01² L²/2) − 1
        length = math.log(181)
        expected = math.exp(-0.05 * length + 0.5 * (0.01 * length) ** 2) - 1
        assert mean_of("power_drift", EXAMPLES["power_drift"][0]) == pytest.approx(expected, abs=1e-3)

    @pytest.mark.parametrize("name", ["gaussian", "banded", "uniform", "corner", "state", "flicker"])
    def test_the_others_are_centred(self, name):
        assert mean_of(name, EXAMPLES[name][0]) == pytest.approx(0, abs=2e-3)


class TestResampled:
    """The bootstrap: only measured deviations, of the nearest level, and the same cell at every time."""

    def test_a_device_takes_over_one_cell_of_its_level(self):
        member = law("resampled")
        target = torch.tensor([0.2] * 3000 + [1.6] * 3000)
        cells = Cells(target, full=2.0)
        early, late = (member.deviation(target, cells, moment(at_s=time)) for time in (1.0, 86400.0))
        pairs = {(round(a, 6), round(b, 6)) for a, b in zip(early[:3000].tolist(), late[:3000].tolist(), strict=True)}
        assert pairs == {(-0.1, -0.2), (0.1, 0.3), (0.0, 0.1)}
        assert {round(value, 6) for value in early[3000:].tolist()} == {-0.3, 0.2}
        assert (early[3000:] > 0).float().mean().item() == pytest.approx(0.5, abs=0.04)

    def test_between_two_times_along_the_logarithm(self):
        target = torch.full((100,), 1.6)
        change = law("resampled").deviation(target, Cells(target, full=2.0), moment(at_s=86400**0.5))
        assert {round(value, 5) for value in change.tolist()} == {-0.4, 0.35}


class TestEvents:
    """Faults nest: what happens at a low rate happens at every higher one."""

    def test_stuck_cells_nest(self):
        cells = some_cells()
        few = law("stuck_at").deviation(cells.target, cells, moment(severity=0.5))
        many = law("stuck_at").deviation(cells.target, cells, moment(severity=2.0))
        assert few is not None
        assert many is not None
        assert torch.equal(few[few != 0], many[few != 0])
        assert (many != 0).sum() > (few != 0).sum()

    def test_corners_point_where_they_should(self):
        target = torch.tensor([1.0, -1.0, 0.05, -0.05])
        cells = Cells(target, full=2.0, signed=True)
        expected = {
            "grow": [0.2, -0.2, 0.2, -0.2],
            "shrink": [-0.2, 0.2, -0.05, 0.05],
            "up": [0.2] * 4,
            "down": [-0.2] * 4,
        }
        for direction, signs in expected.items():
            member = LAWS.module("corner").Law(bound=0.1, direction=direction)
            torch.testing.assert_close(member.deviation(target, cells, moment()), torch.tensor(signs))
