"""``harden demo``: the main job on a network and data that the package ships, in a folder to go on from."""

from __future__ import annotations

from pathlib import Path

from harden.data.embedded import FILES, content
from harden.errors import RunFolderError
from harden.pipeline.fit import fit
from harden.progress import Notify, silent
from harden.records import FitRecord
from harden.settings import FILE, FitSettings, resolve
from harden.store import write_atomic

SETTINGS = """\
# What harden fit and harden eval use here when no flag says otherwise.
model = "digits_cnn.onnx"
data = "train.npz"
test = "test.npz"
profile = "gaussian:sigma=0.2"
method = "distill"
epochs = 20
lr = 0.05
controls = true      # fine-tuning without noise, for comparison
threads = 1          # the network is so small that a second thread only waits
"""


def demo(folder: Path, notify: Notify = silent) -> FitRecord | None:
    """Put the embedded network, its data and a harden.toml into a folder, and run ``harden fit`` there.

    Args:
        folder: Created when absent. What the demo wrote there before is kept, so a finished demo is shown again.
        notify: Called with stage, done and total.

    Returns:
        The record of the run, which is in ``folder/run``.

    Raises:
        RunFolderError: The folder holds other files of the same names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: content(name) for name in FILES} | {FILE: SETTINGS.encode()}
    for name, data in files.items():
        path = folder / name
        if path.exists() and path.read_bytes() != data:
            raise RunFolderError(f"holds another {name}", where=str(folder), fix="Name another --out")
        write_atomic(path, data)
    return fit(resolve(FitSettings, {"out": str(folder / "run")}, folder / FILE), notify)
