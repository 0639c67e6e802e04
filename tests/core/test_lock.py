"""The lock of the dependencies: by hash, one version a package on each Python, and up to date with pyproject.toml."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10.13", "3.11.7", "3.12.1", "3.13.0")
UNLOCKED = {"trackio", "fuzz"}  # see the Makefile


@cache
def entries():
    """Each requirement of the lock with its hashes."""
    text = re.sub(r" *\\\n *", " ", (ROOT / "requirements.lock").read_text())
    lines = [line.split(" --hash=") for line in text.splitlines() if line and not line.startswith("#")]
    return [(Requirement(line[0]), line[1:]) for line in lines]


def here(marker, python):
    release = ".".join(python.split(".")[:2])
    environment = {"python_full_version": python, "python_version": release, "sys_platform": "linux", "extra": ""}
    return marker is None or marker.evaluate(environment)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_is_locked_to_one_version_in_its_range(python):
    locked = {}
    for requirement, _ in entries():
        if here(requirement.marker, python):
            name = canonicalize_name(requirement.name)
            assert name not in locked, f"{name} is there twice"
            locked[name] = str(requirement.specifier).removeprefix("==")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    wanted += [line for extra, lines in extras.items() if extra not in UNLOCKED for line in lines]
    for requirement in map(Requirement, wanted):
        if here(requirement.marker, python):
            version = locked.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement} is not locked: make lock"
            assert requirement.specifier.contains(version), f"{requirement}, but {version} is locked: make lock"


def test_every_entry_is_pinned_and_has_hashes():
    assert len(entries()) > 100
    for requirement, hashes in entries():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), requirement
