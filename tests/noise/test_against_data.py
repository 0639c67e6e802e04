"""A profile held against measurements: the true one passes, a wrong one is found, level by level."""

from __future__ import annotations

import numpy as np
import pytest
from cell_tables import write
from click.testing import CliRunner

from harden.cli.profiles_command import command
from harden.errors import DataError, SettingsError
from harden.noise.against_data import against, holm
from harden.noise.profile import Profile
from harden.streams import numpy_generator

WAN = [0.348, 16.030, -43.853, 45.393, -16.815]  # σ at 1 s over g/40, µS: Wan et al., as in the device's file


def cells(seed, widen=1.0, time_s=1.0):
    rng = numpy_generator(seed, "check")
    target = np.repeat(np.linspace(4, 40, 10), 200)
    sigma = np.polynomial.polynomial.polyval(target / 40, WAN) * np.where(target == 20, widen, 1.0)
    measured = np.maximum(target + sigma * rng.standard_normal(2000), 0)
    return {"target_us": target, "measured_us": measured, "time_s": np.full(2000, time_s)}


def test_adjusted_p_values_are_those_of_holms_paper():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_the_true_profile_differs_anywhere_in_about_one_check_of_twenty(tmp_path):
    wan = Profile.load("rram_wan")
    differing = [against(wan, write(tmp_path / "a.csv", cells(seed)))["differing"] > 0 for seed in range(40)]
    assert sum(differing) <= 6  # of 40 at 5%: more than 6 in 1.4% of such series


def test_a_level_with_twice_the_spread_is_found_and_only_that(tmp_path):
    found = against(Profile.load("rram_wan"), write(tmp_path / "a.csv", cells(1, widen=2.0)))
    assert [test["target_us"] for test in found["tests"] if test["differs"]] == [pytest.approx(20.0)]
    wide = next(test for test in found["tests"] if test["differs"])
    assert wide["sigma_us"] / wide["sigma_drawn_us"] == pytest.approx(2.0, rel=0.2)


def test_the_command_shows_what_differs_and_what_was_not_tested(tmp_path):
    columns = cells(2, widen=2.0)
    columns["time_s"][::2] = 60.0
    file = write(tmp_path / "a.csv", columns)
    shown = CliRunner().invoke(command, ["check", "rram_wan", "--data", str(file)])
    assert shown.exit_code == 0, shown.output
    assert "differs from the data at 1 of 10 levels and times" in shown.output
    assert "not tested: 1000 rows at 60 s" in shown.output


def test_what_cannot_be_tested_is_refused(tmp_path):
    file = write(tmp_path / "a.csv", cells(3, time_s=60.0))
    with pytest.raises(DataError, match="nothing can be tested"):
        against(Profile.load("rram_wan"), file)
    with pytest.raises(SettingsError, match="no conductances"):
        against(Profile.load("gaussian"), file)
