"""Fixtures that every area shares, and helpers: whatever lies beside this file can be imported."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import hypothesis
import pytest

from harden import pacing

sys.path.insert(0, str(Path(__file__).parent))
# How long an example takes tells of the machine, not of the code.
hypothesis.settings.register_profile("harden", deadline=None)
hypothesis.settings.load_profile("harden")


def pytest_collection_finish():
    """What was imported stays, so it need not be looked through for garbage again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data and checkpoints; tests that need it are skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HARDEN_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"shared data absent: {folder} (set HARDEN_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def processes():
    """Runs programs in processes of their own; see :class:`forked.Zygote`."""
    import forked

    made = forked.Zygote() if forked.AVAILABLE else forked.Fresh()
    yield made
    made.close()


@pytest.fixture(scope="session")
def command(processes):
    """The command line: ``command(folder, "eval", ...)`` gives a :class:`forked.Done`."""
    return processes.run


@pytest.fixture
def pace():
    """Sets the pacing for the rest of a test, by the fields that differ from the default."""
    before = pacing.current()
    yield lambda **values: pacing.use(pacing.Pacing(**values))
    pacing.use(before)
