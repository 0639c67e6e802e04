"""A prepared folder: the embedded network and digits, and one finished run that several tests read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harden.data.embedded import FILES, content

SETTINGS = """\
model = "digits_cnn.onnx"
data = "train.npz"
test = "test.npz"
profile = "gaussian:sigma=0.2"
method = "noise"
epochs = 6
chips = 12
threads = 1
"""


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """What it printed, as JSON."""
        return json.loads(self.out)


def harden(folder: Path, *arguments: str) -> Done:
    """Run the command line in ``folder``, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "harden", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def prepare(folder: Path) -> Path:
    """Put the embedded network, its data and a harden.toml into ``folder``."""
    for name in FILES:
        (folder / name).write_bytes(content(name))
    (folder / "harden.toml").write_text(SETTINGS)
    return folder


@pytest.fixture(scope="session")
def command() -> Callable[..., Done]:
    return harden


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    return prepare(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A folder whose run ``a`` is finished, and what its command printed. Tests only read it."""
    folder = prepare(tmp_path_factory.mktemp("finished"))
    done = harden(folder, "fit", "digits_cnn.onnx", "--out", "a", "--json")
    assert done.code == 0, done.err
    return folder, done
