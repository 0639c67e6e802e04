"""Calibration: known parameters come back from synthetic measurements, and bad data are refused with reasons."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cell_tables import saved, write

from harden.cli import profiles_command
from harden.errors import DataError, SettingsError
from harden.noise.calibrate import calibrate
from harden.noise.calibration_plot import svg
from harden.noise.check import check
from harden.noise.circuit import Draw
from harden.noise.fitting import Values, fit
from harden.noise.goodness import goodness
from harden.noise.laws.base import Cells
from harden.noise.profile import Profile
from harden.streams import numpy_generator

CELLS = 10_000


def shown(calibration):
    return profiles_command._calibrate_text({"profile": "a.toml", "plot": "a.svg", "fit": calibration.fit})


def targets(rng, count=CELLS, low=5.0, high=25.0):
    return rng.choice(np.linspace(low, high, 16), count)


def pcm_sigma(target):
    return 0.26348 + 1.9650 * target / 25 - 1.1731 * (target / 25) ** 2


class TestRecovery:
    def test_programming_error_within_five_percent(self, tmp_path):
        rng = numpy_generator(0, "lab")
        target = targets(rng, low=0.0)
        measured = np.maximum(target + pcm_sigma(target) * rng.standard_normal(CELLS), 0)
        found = calibrate(write(tmp_path / "pcm_lab.csv", {"target_us": target, "measured_us": measured}))
        file = saved(found, tmp_path)
        law = Profile.load(file).circuit.stages[-1].law
        at = torch.linspace(0.5, 25, 30, dtype=torch.float64)
        spread = law.spread(Cells(at, full=25.0), 0.0)
        assert spread is not None
        np.testing.assert_allclose(spread.numpy(), pcm_sigma(at.numpy()), rtol=0.05)
        assert len(Profile.load(file).circuit.stages) == 1  # no shift where there is none
        assert check(file) == []

    def test_coefficients_of_a_line_within_five_percent(self, tmp_path):
        rng = numpy_generator(1, "lab")
        target = targets(rng, low=50.0, high=225.0)
        measured = target + (4.782321 - 0.009107 * target) * rng.standard_normal(CELLS)
        found = calibrate(write(tmp_path / "milo.csv", {"target_us": target, "measured_us": measured}))
        sigma = found.fit["fits"]["programming error"]["sigma"]
        assert sigma == pytest.approx([4.782321, -0.009107 * 225], rel=0.05)

    def test_a_shift_of_the_mean_is_found(self, tmp_path):
        rng = numpy_generator(2, "lab")
        target = targets(rng)
        measured = target * 0.97 + 0.4 + 0.5 * rng.standard_normal(CELLS)
        found = calibrate(write(tmp_path / "shift.csv", {"target_us": target, "measured_us": measured}))
        mean = found.fit["fits"]["programming error"]["mean"]
        assert mean == pytest.approx([0.4, -0.03 * 25], rel=0.05)
        profile = Profile.load(saved(found, tmp_path))
        drawn = profile.chip({"w": torch.full((300, 300), 1.0)}, seed=0, index=0)["w"]
        # The device at g_min = 5 µS gains 0.25 µS, the one at 25 µS loses 0.35 µS: −0.6 µS of 20.
        assert drawn.mean().item() == pytest.approx(1 - 0.6 / 20, abs=3e-3)

    def test_drift_and_read_noise_of_followed_cells(self, tmp_path):
        rng = numpy_generator(3, "lab")
        times = np.array([20.0, 200.0, 2e3, 2e4, 2e5])
        target = targets(rng)
        share = target / 25
        exponent = (0.08 - 0.03 * share) + (0.012 - 0.004 * share) * rng.standard_normal(CELLS)
        start = target + pcm_sigma(target) * rng.standard_normal(CELLS)
        readings = start[:, None] * (times / 20) ** -exponent[:, None]
        readings = np.maximum(readings * (1 + 0.01 * rng.standard_normal(readings.shape)), 0)
        columns = {
            "cell": np.repeat(np.arange(CELLS), 5),
            "target_us": np.repeat(target, 5),
            "measured_us": readings.ravel(),
            "time_s": np.tile(times, CELLS),
        }
        found = calibrate(write(tmp_path / "drift.csv", columns))
        profile = Profile.load(saved(found, tmp_path))
        at = np.linspace(0.2, 1, 20)
        drift = next(stage.law for stage in profile.circuit.stages if stage.name == "drift")
        read = next(stage.law for stage in profile.circuit.stages if stage.name == "read")
        mean = drift.mean(torch.from_numpy(at)).numpy()
        sigma = drift.sigma(torch.from_numpy(at)).numpy()
        np.testing.assert_allclose(mean, 0.08 - 0.03 * at, rtol=0.05)
        np.testing.assert_allclose(sigma, 0.012 - 0.004 * at, rtol=0.05)
        assert read.sigma == pytest.approx(0.01, rel=0.05)
        program = next(stage.law for stage in profile.circuit.stages if stage.name.startswith("program"))
        spread = program.spread(Cells(torch.from_numpy(at * 25), full=25.0), 0.0)
        np.testing.assert_allclose(spread.numpy(), pcm_sigma(at * 25), rtol=0.05)
        assert profile.default_at_s == 0
        assert profile.definition.time.last == 2e5 - 20

    def test_times_without_cells_are_fitted_one_by_one(self, tmp_path):
        rng = numpy_generator(4, "lab")
        target = np.concatenate([targets(rng, CELLS), targets(rng, CELLS)])
        time_h = np.repeat([1.0, 24.0], CELLS)
        measured = target + np.where(time_h == 1, 0.5, 1.5) * rng.standard_normal(2 * CELLS)
        found = calibrate(
            write(tmp_path / "days.csv", {"time_h": time_h, "target_us": target, "measured_us": measured})
        )
        profile = Profile.load(saved(found, tmp_path))
        assert profile.definition.time.valid_s == (3600.0, 86400.0)
        law = profile.circuit.stages[-1].law
        for time, sigma in ((3600.0, 0.5), (86400.0, 1.5)):
            spread = law.spread(Cells(torch.tensor([10.0, 20.0]), full=25.0), time)
            assert spread.tolist() == pytest.approx([sigma, sigma], rel=0.05)

    def test_devices_give_die_to_die_variation(self, tmp_path):
        rng = numpy_generator(5, "lab")
        device = np.repeat(np.arange(200), 50)
        target = targets(rng)
        gain = (1 + 0.05 * rng.standard_normal(200))[device]
        measured = np.maximum(gain * target + 0.5 * rng.standard_normal(CELLS), 0)
        columns = {"device": device, "target_us": target, "measured_us": measured}
        found = calibrate(write(tmp_path / "dies.csv", columns))
        profile = Profile.load(saved(found, tmp_path))
        assert profile.parameters["d2d"] == pytest.approx(0.05, rel=0.12)  # 200 devices tell a spread to 5% at best
        sigma = found.fit["fits"]["programming error"]["sigma"]
        assert sum(sigma) == pytest.approx(0.5, rel=0.05)

    def test_units_are_converted(self, tmp_path):
        rng = numpy_generator(6, "lab")
        target = targets(rng, 2000)
        measured = target + 0.5 * rng.standard_normal(2000)
        one = calibrate(write(tmp_path / "one.csv", {"target_us": target, "measured_us": measured}), name="x")
        two = calibrate(
            write(tmp_path / "two.csv", {"target_s": target * 1e-6, "measured_ns": measured * 1e3}), name="x"
        )
        assert two.fit["fits"]["programming error"]["sigma"] == pytest.approx(
            one.fit["fits"]["programming error"]["sigma"]
        )
        assert two.g_max_us == pytest.approx(25.0)

    def test_resampled_cells_are_drawn_as_they_were_measured(self, tmp_path):
        rng = numpy_generator(12, "lab")
        target = np.repeat(np.linspace(5, 25, 6), 60)
        early = np.round(rng.uniform(-1, 1, 360), 3)
        columns = {
            "cell": np.repeat(np.arange(360), 2),
            "target_us": np.repeat(target, 2),
            "measured_us": np.stack([target + early, target + 3 * early], axis=1).ravel(),
            "time_s": np.tile([1.0, 100.0], 360),
        }
        file = write(tmp_path / "cells.csv", columns)
        profile = Profile.load(saved(calibrate(file, drift="resampled"), tmp_path))
        assert (profile.definition.time.first, profile.definition.time.last) == (1.0, 100.0)
        wanted = torch.full((500,), 9.0, dtype=torch.float64)
        for time, factor in ((1.0, 1), (10.0, 2), (100.0, 3)):
            drawn = profile.circuit.read_devices(wanted, Draw(0, ("a",), "b", time, 1.0)) - 9
            measured = factor * early[target == 9.0]
            assert np.abs(drawn.numpy()[:, None] - measured).min(axis=1).max() < 1e-5
            assert len(np.unique(drawn.numpy().round(4))) > 50


class TestGoodness:
    def test_a_true_model_fits_well_and_a_wrong_one_does_not(self):
        rng = numpy_generator(7, "lab")
        x = rng.uniform(0, 1, CELLS)
        normal = (0.2 + x) * rng.standard_normal(CELLS)
        good = goodness(fit(Values(x, normal)), Values(x, normal))
        assert good["ks_p"] > 0.01
        assert good["within_1"] == pytest.approx(0.683, abs=0.015)
        assert good["within_2"] == pytest.approx(0.954, abs=0.008)
        assert good["r2_sigma"] > 0.98
        heavy = (0.2 + x) * rng.standard_t(2, CELLS)
        assert goodness(fit(Values(x, heavy)), Values(x, heavy))["ks_p"] < 1e-6

    def test_text_and_plot(self, tmp_path):
        rng = numpy_generator(8, "lab")
        target = targets(rng, 1000)
        file = write(tmp_path / "a.csv", {"target_us": target, "measured_us": target + rng.standard_normal(1000)})
        found = calibrate(file)
        assert "Kolmogorov-Smirnov" in shown(found)
        assert svg(found).startswith("<?xml")
        assert svg(found) == svg(calibrate(file))
        assert "programming error" in svg(found)

    def test_a_few_cells_far_off_do_not_widen_sigma_and_two_populations_are_refused(self, tmp_path):
        rng = numpy_generator(10, "lab")
        target = targets(rng)
        measured = target + 0.2 * rng.standard_normal(CELLS)
        for share, name in ((0.01, "few"), (0.3, "many")):
            off = measured.copy()
            off[: int(share * CELLS)] += 4.0
            file = write(tmp_path / f"{name}.csv", {"target_us": target, "measured_us": off})
            if name == "few":
                found = calibrate(file)
                assert found.fit["fits"]["programming error"]["sigma_off"] < 0.1
                assert found.fit["stuck"]["share"] == pytest.approx(share, rel=0.1)
            else:
                with pytest.raises(DataError, match="far from the others"):
                    calibrate(file)


class TestRefusals:
    def columns(self, count=1000):
        rng = numpy_generator(9, "lab")
        target = targets(rng, count)
        return {"target_us": target, "measured_us": target + 0.5 * rng.standard_normal(count)}

    def refused(self, path, columns):
        with pytest.raises(DataError) as caught:
            calibrate(write(path / "bad.csv", columns))
        assert caught.value.exit_code == 3
        return str(caught.value)

    def test_too_few_rows_and_levels(self, tmp_path):
        few = {key: column[:50] for key, column in self.columns().items()}
        few["target_us"] = np.full(50, 10.0)
        message = self.refused(tmp_path, few)
        assert "only 50 rows" in message
        assert "only 1 target levels" in message

    def test_no_columns_or_no_units(self, tmp_path):
        columns = self.columns()
        message = self.refused(tmp_path, {"target": columns["target_us"], "value": columns["measured_us"]})
        assert "target has no unit" in message
        assert "no column measured_us" in message

    def test_two_columns_for_one_thing(self, tmp_path):
        assert "two columns" in self.refused(tmp_path, {**self.columns(), "target_s": self.columns()["target_us"]})

    def test_units_that_do_not_match(self, tmp_path):
        columns = self.columns()
        assert "units" in self.refused(tmp_path, {**columns, "measured_us": columns["measured_us"] * 1000})

    def test_measured_that_ignores_target(self, tmp_path):
        columns = self.columns()
        shuffled = numpy_generator(0).permutation(columns["measured_us"])
        assert "does not follow" in self.refused(tmp_path, {**columns, "measured_us": shuffled})

    def test_nothing_measured(self, tmp_path):
        columns = self.columns()
        assert "nothing was measured" in self.refused(tmp_path, {**columns, "measured_us": columns["target_us"]})

    def test_negative_conductances(self, tmp_path):
        columns = self.columns()
        columns["measured_us"][:3] = -10.0
        assert "3 rows have a negative" in self.refused(tmp_path, columns)
        columns["measured_us"] -= columns["measured_us"].mean()
        assert "rows have a negative" in self.refused(tmp_path, columns)

    def test_numbers_that_are_none(self, tmp_path):
        columns = {key: column.astype(object) for key, column in self.columns().items()}
        columns["measured_us"][4] = "n/a"
        assert "row 6, column measured_us: 'n/a' is not a number" in self.refused(tmp_path, columns)
        columns["measured_us"][4] = "nan"
        assert "row 6" in self.refused(tmp_path, columns)

    def test_times_and_cells_that_contradict(self, tmp_path):
        columns = self.columns()
        cell = np.zeros(1000, dtype=int)
        message = self.refused(tmp_path, {**columns, "cell": cell, "time_s": np.repeat([0.0, -1.0], 500)})
        assert "repeat a cell" in message
        assert "negative time" in message
        assert "several targets" in message

    def test_times_with_too_few_rows(self, tmp_path):
        time = np.where(np.arange(1000) < 990, 1.0, 2.0)
        assert "fewer than 100 rows at 2 s" in self.refused(tmp_path, {**self.columns(), "time_s": time})

    @pytest.mark.parametrize(
        ("low", "high", "said"),
        [(5.0, 40.0, "up to 25"), (0.0, 25.0, "from 5"), (20.0, 10.0, "needs 0"), (5.0, 0.0, "needs")],
    )
    def test_a_range_beyond_the_data(self, tmp_path, low, high, said):
        file = write(tmp_path / "a.csv", self.columns())
        with pytest.raises(SettingsError, match=said):
            calibrate(file, g_min_us=low, g_max_us=high)

    def test_a_smaller_range_is_fine(self, tmp_path):
        found = calibrate(write(tmp_path / "a.csv", self.columns()), g_min_us=8.0, g_max_us=20.0)
        assert Profile.load(saved(found, tmp_path)).circuit.mapping.high == 20.0

    def test_no_file_no_header_no_text(self, tmp_path):
        with pytest.raises(DataError, match="No such file"):
            calibrate(tmp_path / "absent.csv")
        (tmp_path / "empty.csv").write_text("")
        with pytest.raises(DataError, match="no header"):
            calibrate(tmp_path / "empty.csv")
        (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError):
            calibrate(tmp_path / "bytes.csv")
