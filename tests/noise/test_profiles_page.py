"""docs/profiles.md names every device, law and common knob, and its files load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harden.noise.check import check
from harden.noise.definition import COMMON
from harden.noise.periphery import KNOBS as PERIPHERY
from harden.registry import DEVICES, LAWS

PAGE = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*DEVICES, *LAWS, *COMMON, *PERIPHERY])
def test_the_page_names_it(name):
    assert f"`{name}`" in PAGE, f"docs/profiles.md has no row for {name}"


def test_the_example_is_a_good_profile(tmp_path):
    example = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
    file = tmp_path / "example.toml"
    file.write_text(example, encoding="utf-8")
    assert check(file) == []
