"""Training numbers for a dashboard, besides the run folder's own log: TensorBoard or trackio, each an extra."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from harden.errors import MissingExtraError
from harden.settings import FitSettings
from harden.training.listener import OnStep


def check_tracking(name: str) -> None:
    """Refuse a dashboard whose package is not installed, before the run.

    Raises:
        MissingExtraError: With the pip line.
    """
    if name != "none" and importlib.util.find_spec(name) is None:
        raise MissingExtraError(f"--track {name}", name)


@contextlib.contextmanager
def tracked(settings: FitSettings, folder: Path) -> Iterator[OnStep]:
    """Send each step's record to the dashboard that ``--track`` names; it decides no number.

    TensorBoard's files are in ``folder/tensorboard`` (``tensorboard --logdir FOLDER``), trackio's in its own place, as
    project ``harden`` (``trackio show``).
    """
    if settings.track == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(folder / "tensorboard")) as writer:

            def track(record: Mapping[str, float]) -> None:
                for name, value in _numbers(record):
                    writer.add_scalar(name, value, int(record["step"]))

            yield track
    elif settings.track == "trackio":
        import trackio

        # trackio prints to stdout, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            config = settings.model_dump(mode="json", exclude_none=True)
            trackio.init(project="harden", name=folder.name, config=config, resume="allow")
        try:
            yield lambda record: trackio.log(dict(_numbers(record)), step=int(record["step"]))
        finally:
            with contextlib.redirect_stdout(sys.stderr):
                trackio.finish()
    else:
        yield lambda _: None


def _numbers(record: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(key, float(v)) for key, v in record.items() if key != "step"]
