"""Where the chips of an evaluation run, and how many at a time."""

from __future__ import annotations

from dataclasses import dataclass

from harden.engines import Engine
from harden.evaluation.layout import Layout, available_cores


@dataclass(frozen=True)
class Where:
    """Where chips run, and on what.

    Attributes:
        threads: Processor threads that may be busy at a time; None takes all.
        engine: The machines that trials run on; None is the threads of this process.
        device: What ONNX Runtime runs on: ``cpu``, ``cuda``, or ``auto``.
        batch_size: Images per batch; None chooses by the input's size.
        digital: Globs of weights that are not on a crossbar.
        layout: Sessions side by side and threads within each; None measures which is fastest.
    """

    threads: int | None = None
    engine: Engine | None = None
    device: str = "cpu"
    batch_size: int | None = None
    digital: tuple[str, ...] = ()
    layout: Layout | None = None

    @property
    def cores(self) -> int:
        """The threads, resolved."""
        return self.threads or available_cores()
