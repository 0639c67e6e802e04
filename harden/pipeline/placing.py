"""Where the parts of ``harden fit`` are carried out: in this process, several processes, or on a Ray cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from harden.engines import opened
from harden.errors import SettingsError
from harden.pipeline.prepare import Prepared
from harden.training.lead import leading


@contextlib.contextmanager
def placed(prepared: Prepared) -> Iterator[Prepared]:
    """The run with the trainer and the engine that its settings ask for, open for the length of a block.

    Raises:
        SettingsError: ``--workers`` without a cluster.
    """
    settings = prepared.settings
    if settings.engine == "local" and settings.workers:
        raise SettingsError(
            "--workers is for --engine ray", fix="To train in several processes: torchrun -m harden fit"
        )
    with opened(settings.engine, settings.workers) as engine, leading() as trainer:
        yield replace(prepared, trainer=trainer, engine=engine)
