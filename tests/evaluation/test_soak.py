"""Many chips in a row: memory stays flat, and no file handle, thread or temporary file is left."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest

from harden.data.dataset import Dataset
from harden.data.embedded import content
from harden.evaluation.evaluate import evaluate
from harden.graph.file import Model
from harden.noise.profile import Profile

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc (Linux)")
MEGABYTES = (
    40  # of growth after the first tenth: what allocators and caches do; a leaked session is 1 MB a chip or more
)


def resident():
    """Megabytes of this process that are in memory."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def handles_open():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def soak(folder, chips):
    """Growth in MB after the first tenth of the chips, and handles, threads and temporary files that are left."""
    for name in ("digits_cnn.onnx", "test.npz"):
        (folder / name).write_bytes(content(name))
    model = Model.load(folder / "digits_cnn.onnx")
    data = Dataset.open(folder / "test.npz", preprocess=model.preprocess, limit=32)
    profile = Profile.parse("gaussian:sigma=0.2")
    evaluate(model, profile, data, chips=2, threads=2)  # whatever is made once
    temporary = Path(tempfile.gettempdir())
    handles, threads, files = (
        handles_open(),
        threading.active_count(),
        set(temporary.glob("harden-*")),
    )
    marks = []

    def watch(done, total):
        if done in (total // 10, total):
            marks.append(resident())

    found = evaluate(model, profile, data, chips=chips, threads=2, trials=folder / "trials.jsonl", progress=watch)
    assert len(found.accuracies()) == chips
    return (
        marks[1] - marks[0],
        handles_open() - handles,
        threading.active_count() - threads,
        len(set(temporary.glob("harden-*")) - files),
    )


@pytest.mark.parametrize("chips", [20, pytest.param(2000, marks=pytest.mark.slow)])
def test_nothing_grows_with_the_number_of_chips(tmp_path, monkeypatch, capsys, chips):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    growth, handles, threads, files = soak(tmp_path, chips)
    with capsys.disabled():
        if chips > 1000:
            print(f"\n{chips} chips: {growth:+.1f} MB, {handles:+d} handles, {threads:+d} threads, {files} files")
    assert growth < MEGABYTES
    assert (handles, threads, files) == (0, 0, 0)
