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
    if settings.engine == "local":
        if settings.workers:
            raise SettingsError("--workers is for --engine ray", fix="Without Ray: torchrun -m harden fit ...")
        with leading() as trainer:
            yield replace(prepared, trainer=trainer)
        return
    with opened(settings.engine) as engine:
        if settings.workers and settings.workers > 1:
            from harden.training.on_ray import RayTrainer

            yield replace(prepared, trainer=RayTrainer(settings.workers), engine=engine)
        else:
            yield replace(prepared, engine=engine)
