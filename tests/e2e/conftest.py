"""A prepared folder: the embedded network and digits, and one finished run that several tests read."""

from __future__ import annotations

import pytest
from forked import Fresh

from harden.data.embedded import FILES, content

SETTINGS = """\
model = "digits_cnn.onnx"
data = "train.npz"
test = "test.npz"
profile = "gaussian:sigma=0.2"
method = "noise"
epochs = 3
chips = 6
threads = 1
"""


def prepare(folder):
    """Put the embedded network, its data and a harden.toml into ``folder``."""
    for name in FILES:
        (folder / name).write_bytes(content(name))
    (folder / "harden.toml").write_text(SETTINGS)
    return folder


@pytest.fixture
def prepared(tmp_path):
    return prepare(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder whose run ``a`` is finished, and what its command printed. Tests only read it."""
    folder = prepare(tmp_path_factory.mktemp("finished"))
    done = Fresh().run(folder, "fit", "digits_cnn.onnx", "--out", "a", "--json")
    assert done.code == 0, done.err
    return folder, done


@pytest.fixture
def short_severity(pace):
    """Two points of the curve over severities, for fits in this process whose test asks nothing of it."""
    pace(severity_scales=(0.0, 1.0))
