"""``profiles check``: every fault of a profile in one go, each with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.errors import HardenError
from harden.noise.check import check
from harden.noise.profile_text import find_definition
from harden.registry import DEVICES

WRONG = """\
summary = "ours"
citation = ""
colour = 3

[knobs.sigma]
default = 0.1
minn = 0

[mapping]
kind = "pairs"

[[program]]
law = "gaussian"
sigma = "$sigm"

[[program]]
law = "gaussian"
sigma = -1
"""


def test_faults_of_the_schema_and_of_the_laws_come_together_in_the_order_of_lines(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(WRONG)
    found = check(file)
    places = [problem.partition(": ")[0] for problem in found]
    assert places == [f"line {line}" for line in (2, 3, 5, 5, 7, 10, 12, 18)]
    text = "\n".join(found)
    for said in ("must not be empty", "colour: no such key. Known: citation", "Did you mean min?", "no knob 'sigm'"):
        assert said in text


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_devices_that_are_shipped_are_fine(name):
    assert check(name) == []


@given(st.data())
def test_a_damaged_profile_is_told_of_and_never_asked_about_for_ever(tmp_path_factory, data):
    lines = find_definition(data.draw(st.sampled_from(["gaussian", "rram1", "pcm"])))[1].splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = data.draw(st.sampled_from(["", "x = 1", 'kind = "no"', "default = false", "[knobs.reference]"]))
    file = tmp_path_factory.mktemp("damaged") / "mine.toml"
    file.write_text("\n".join(lines))
    try:
        found = check(file)
    except HardenError as error:
        found = [str(error)]
    assert all(problem and "\n" not in problem for problem in found)
