"""A prepared folder: the embedded network and digits, and one finished run that several tests read."""

from __future__ import annotations

import functools

import pytest
import small_digits
from forked import Fresh

SETTINGS = """\
model = "small.onnx"
data = "train.npz"
test = "test.npz"
profile = "gaussian:sigma=0.2"
method = "noise"
epochs = 3
chips = 6
threads = 1
"""
# Less of what a fit measures beside the chips: two points of the curve over severities, and a ranking of layers by few
# passes and chips. No test here asks what these measure; that they are there, and equal in two runs, they still show.
BRIEF = {"severity_scales": (0.0, 1.0), "ranking_passes": 8, "ranking_chips": 3}


def prepare(folder):
    """Put the embedded network, its data and a harden.toml into ``folder``."""
    small_digits.write(folder)
    (folder / "harden.toml").write_text(SETTINGS)
    return folder


@pytest.fixture
def prepared(tmp_path):
    return prepare(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder whose run ``a`` is finished, and what its command printed. Tests only read it."""
    folder = prepare(tmp_path_factory.mktemp("finished"))
    done = Fresh().run(folder, "fit", "small.onnx", "--out", "a", "--json", pacing=BRIEF)
    assert done.code == 0, done.err
    return folder, done


@pytest.fixture(scope="session")
def command(processes):
    """The command line, measuring less beside the chips."""
    return functools.partial(processes.run, pacing=BRIEF)


@pytest.fixture(scope="session")
def without_page(processes):
    """The same without report.html: for runs of which only the numbers are asked."""
    return functools.partial(processes.run, pacing={**BRIEF, "page": False})


@pytest.fixture
def brief(pace):
    """The same for fits in this process."""
    pace(**BRIEF)
