"""What profiles say about themselves, and what the check finds in a user's file."""

from __future__ import annotations

import pytest
import torch

from harden.errors import ProfileError, UnknownNameError
from harden.noise.check import check
from harden.noise.describe import curve, describe, listing, plot, text
from harden.noise.profile import Profile
from harden.registry import DEVICES


def test_the_list_has_every_device():
    entries = listing()
    assert [entry["name"] for entry in entries] == DEVICES.names()
    assert all(entry["summary"] and entry["source"] for entry in entries)
    assert {entry["kind"] for entry in entries} == {"direct", "pair", "single"}


def test_the_curve_is_the_spread_of_the_devices():
    points = curve(Profile.load("rram_milo"))
    assert (points[0]["value"], points[-1]["value"]) == (50.0, 225.0)
    assert points[0]["sigma"] == pytest.approx(4.326971, rel=0.05)
    assert points[-1]["sigma"] == pytest.approx(2.733246, rel=0.05)
    banded = {round(point["value"], 3): point["sigma"] for point in curve(Profile.load("fefet6", sigma_d=1.0))}
    assert banded[0.5] == pytest.approx(1.2047, rel=0.05)
    assert banded[0.125] == pytest.approx(0.2008, rel=0.05)
    relative = {round(point["value"], 3): point["sigma"] for point in curve(Profile.load("mismatch"))}
    assert relative[0.5] == pytest.approx(0.05, rel=0.05)


def test_drift_shows_as_a_shift():
    later = curve(Profile.load("pcm"), at_s=2592000.0)[-1]
    assert later["shift"] == pytest.approx(25 * (129601**-0.0495) - 25, rel=0.1)


def test_the_record_and_its_text():
    weights = {"conv1.weight": torch.linspace(-1, 1, 1000), "fc.weight": torch.ones(3, 3)}
    document = describe(Profile.parse("gaussian:sigma=0.2"), weights)
    assert document["equivalent_noise"] == pytest.approx(0.2, rel=0.02)
    assert document["model"]["tensors"]["conv1.weight"]["relative_to_max"] == pytest.approx(0.2, rel=0.1)
    shown = text(document)
    for expected in ("source:", "Joshi", "sigma", "conv1.weight", "of max|w|", "valid times", "0 <= x"):
        assert expected in shown
    assert max(map(len, plot(document["curve"], "µS").splitlines())) <= 80


@pytest.mark.parametrize("name", DEVICES.names())
def test_every_device_can_be_shown_and_is_fine(name):
    document = describe(Profile.load(name))
    assert 0.001 < document["equivalent_noise"] < 1
    assert name in text(document)
    assert check(name) == []


class TestCheck:
    head = 'summary = "x"\ncitation = "y"\n'

    def problems(self, folder, body):
        file = folder / "mine.toml"
        file.write_text(body)
        return check(file)

    def test_a_good_file(self, tmp_path):
        assert self.problems(tmp_path, self.head + '[[program]]\nlaw = "gaussian"\nsigma = 0.1\n') == []

    def test_every_problem_of_the_stages_at_once(self, tmp_path):
        body = self.head + (
            '[knobs.idle]\ndefault = 0.1\n[mapping]\nkind = "pair"\n'
            '[[program]]\nlaw = "gausian"\n[[drift]]\nlaw = "uniform"\nbound = -1\nextra = 2\n[[read]]\nsigma = 1\n'
        )
        found = "\n".join(self.problems(tmp_path, body))
        for expected in (
            "g_max_us",
            "Did you mean gaussian",
            "drift.bound",
            "drift.extra: no such key",
            'read: needs law = "..."',
            "knobs.idle: nothing uses it",
            "knobs.idle: has no description",
        ):
            assert expected in found

    def test_every_problem_of_the_schema_at_once(self, tmp_path):
        body = 'summary = ""\n[knobs.a]\ndefault = "x"\n[knobs.b]\ndefault = 5\nmax = 2\n[time]\nvalid_s = [2, 1]\n'
        found = "\n".join(self.problems(tmp_path, body))
        for expected in ("summary", "citation", "knobs.a", "knobs.b", "time"):
            assert expected in found

    def test_a_curve_beyond_its_measurement(self, tmp_path):
        law = '[[program]]\nlaw = "state"\nsigma = [{ at_s = 1, poly = [0.1] }, { at_s = 9, poly = [0.2] }]\n'
        mapping = '[mapping]\nkind = "pair"\ng_max_us = 25\n'
        assert "measured from 1 s to 9 s only" in self.problems(tmp_path, self.head + mapping + law)[0]
        assert self.problems(tmp_path, self.head + "[time]\nfrom_s = 1\nto_s = 9\n" + mapping + law) == []

    def test_a_profile_without_noise(self, tmp_path):
        found = self.problems(tmp_path, self.head + '[[program]]\nlaw = "gaussian"\nsigma = 0\n')
        assert found == ["a chip at 0 s has no noise at all"]

    @pytest.mark.parametrize(
        ("curve", "said"),
        [
            ("[]", "at least one piece"),
            ("[{ poly = [1], log = [1, 2] }]", "exactly one of"),
            ("[{ until = 1, poly = [1] }]", "last piece has none"),
            ("[{ poly = [1] }, { poly = [2] }]", "until must ascend"),
            ("[{ at_s = 1, poly = [1] }, { poly = [2] }]", "every piece has at_s"),
            ("[{ at_s = 1, poly = [1] }, { at_s = 2, poly = [1, 2] }]", "same kinds and sizes"),
            ("[{ table = [[1, 2], [1, 3]] }]", "must ascend"),
            ("[{ saturating = [1, 0] }]", "B > 0"),
            ("[{ poly = [1], clip = [2, 1] }]", "low <= high"),
        ],
    )
    def test_curves_that_make_no_sense(self, tmp_path, curve, said):
        body = self.head + f'[mapping]\nkind = "pair"\ng_max_us = 25\n[[program]]\nlaw = "state"\nsigma = {curve}\n'
        assert said in "\n".join(self.problems(tmp_path, body))

    def test_no_such_file(self):
        with pytest.raises(ProfileError):
            check("absent.toml")
        with pytest.raises(UnknownNameError):
            check("gausian")
