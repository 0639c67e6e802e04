"""Sweeps, corners and stress are lists of conditions; nonsense is refused with all its problems."""

from __future__ import annotations

import pytest

from harden.analyses.sweeps import corners, parse_sweep, stress, sweep
from harden.errors import ProfileError, SettingsError
from harden.evaluation.evaluate import evaluate
from harden.noise.profile import Profile

NOISE = Profile.parse("gaussian:sigma=0.1")


@pytest.mark.parametrize(
    ("text", "key", "points"),
    [
        ("sigma=0:0.4:0.1", "sigma", (0, 0.1, 0.2, 0.3, 0.4)),
        ("sigma=0.3:0:-0.1", "sigma", (0.3, 0.2, 0.1, 0)),
        ("sigma=0:0.25:0.1", "sigma", (0, 0.1, 0.2)),
        ("severity=0.5,1,2", "severity", (0.5, 1, 2)),
        ("sigma=0.1:0.1:1", "sigma", (0.1,)),
    ],
)
def test_reading(text, key, points):
    assert parse_sweep(text) == (key, points)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sigma=", "no points"),
        ("sigma=1:0:0.1", "no points"),
        ("=1,2", "no points"),
        ("sigma", "no points"),
        ("sigma=0:1:0", "step of 0"),
        ("sigma=a:b:c", "cannot read"),
        ("sigma=0:1", "cannot read"),
        ("sigma=0:1:1e-9", "points"),
        ("sigma=nan", "not finite"),
        ("sigma=0:inf:1", "step of 1"),
    ],
)
def test_a_sweep_without_points_is_refused(text, message):
    with pytest.raises(SettingsError, match=message):
        parse_sweep(text)


def test_all_problems_of_a_sweep_at_once():
    with pytest.raises(SettingsError) as caught:
        sweep(NOISE, {"sigma": (-1.0, 0.1, -2.0)})
    assert len(caught.value.problems) == 2
    with pytest.raises(SettingsError, match="no such parameter"):
        sweep(NOISE, {"sigmo": (0.1,)})
    with pytest.raises(SettingsError, match="no points"):
        sweep(NOISE, {"sigma": ()})


def test_corners_are_every_combination_on_the_same_chips(problem):
    model, data = problem
    cells = corners(NOISE, {"sigma": (0.05, 0.2), "severity": (0.0, 1.0)})

    found = evaluate(model, cells, data, chips=6, threads=1)

    assert [c.sweep for c in cells] == [{"sigma": s, "severity": v} for s in (0.05, 0.2) for v in (0.0, 1.0)]
    clean = found.document["clean"]["accuracy"]
    assert found.accuracies(0).tolist() == found.accuracies(2).tolist() == [clean] * 6
    assert found.accuracies(3).mean() < found.accuracies(1).mean() <= clean
    assert found.document["conditions"][3]["sweep"] == {"sigma": 0.2, "severity": 1.0}
    assert found.document["conditions"][3]["parameters"]["sigma"] == 0.2


def test_stress_multiplies_the_devices_noise():
    assert [c.profile.severity for c in stress(NOISE.scaled(2))] == pytest.approx([2, 2.2, 2.5, 2.8])


def test_times_outside_the_profile_are_refused():
    with pytest.raises(ProfileError, match="valid"):
        sweep(Profile.load("pcm"), {"at_s": (-1.0,)})
