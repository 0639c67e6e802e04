"""Where the parts of ``harden fit`` are carried out: in this process, several processes, or on a Ray cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from harden.engines import Engine, opened
from harden.errors import SettingsError
from harden.pipeline.machine import trained_on
from harden.pipeline.prepare import Prepared
from harden.training.plan import BATCH_SIZE
from harden.training.process_group import leading
from harden.training.trainer import Trainer


@dataclass(frozen=True)
class Placement:
    """Where a run is carried out.

    Attributes:
        trainer: What carries a training run out.
        engine: Where trials and candidates run; None is this machine.
        processes: How many workers of a cluster train together; 1 where this process trains.
        machines: On how many machines they are.
        device: What is trained on.
    """

    trainer: Trainer
    engine: Engine | None = None
    processes: int = 1
    machines: int = 1
    device: Literal["cpu", "cuda"] = "cpu"


@contextlib.contextmanager
def placement(engine: str, workers: int | None, batch: int, device: str = "cpu") -> Iterator[Placement]:
    """The trainer and the engine for the length of a block.

    Args:
        engine: ``local``, ``ray`` or ``ray://HOST:PORT``.
        workers: How many workers of the cluster train together; None is one per GPU, or else one per machine, or as
            many of them as divide a batch equally.
        batch: Examples per step.
        device: What to train on: ``cpu``, ``cuda``, or ``auto`` for GPUs where there are some.

    Raises:
        SettingsError: ``workers`` without a cluster, or more than it has; no GPU where one is asked for.
        MissingExtraError: Ray is not installed.
    """
    if engine == "local" and workers:
        raise SettingsError(
            "--workers is for --engine ray", fix="To train in several processes: torchrun -m harden fit"
        )
    with opened(engine, workers) as cluster:
        if cluster is None:
            with leading() as trainer:
                yield Placement(trainer, device=trained_on(device))
            return
        # Imported here: not before Ray is known to be there.
        from harden.engines.ray import RayEngine
        from harden.training.ray_trainer import ClusterTrainer

        assert isinstance(cluster, RayEngine)
        if device == "cuda" and not cluster.gpus:
            raise SettingsError("the cluster has no GPU", where="--device cuda", fix="Leave --device out")
        with_gpus = device != "cpu" and cluster.gpus > 0
        most = cluster.gpus if with_gpus else cluster.processors
        if workers and workers > most:
            raise SettingsError(
                f"the cluster has {most} {'GPUs' if with_gpus else 'processors'}, too few for {workers} workers",
                where="--workers",
            )
        if workers and batch % workers:
            raise SettingsError(
                f"a batch of {batch} examples cannot be divided equally among {workers} workers",
                where="--workers",
                fix="Give a --batch-size that is a multiple of it",
            )
        count = workers or shares(batch, cluster.gpus if with_gpus else cluster.machines)
        on = "cuda" if with_gpus else "cpu"
        if count == 1 and not with_gpus:
            with leading() as trainer:
                yield Placement(trainer, cluster)
            return
        yield Placement(
            ClusterTrainer(cluster.ray, count, gpus=with_gpus), cluster, count, min(count, cluster.machines), on
        )


def shares(batch: int, most: int) -> int:
    """The largest number of workers, of so many, that divides a batch equally.

    Example:
        >>> shares(128, 4), shares(128, 5), shares(7, 3)
        (4, 4, 1)
    """
    return next(count for count in range(max(most, 1), 0, -1) if batch % count == 0)


@contextlib.contextmanager
def placed(prepared: Prepared) -> Iterator[Prepared]:
    """The run with the trainer and the engine that its settings ask for, open for the length of a block.

    Raises:
        SettingsError: ``--workers`` without a cluster.
    """
    settings = prepared.settings
    examples = len(prepared.training) if prepared.training else 1
    batch = min(settings.batch_size or BATCH_SIZE, examples)
    with placement(settings.engine, settings.workers, batch, settings.device) as where:
        beside = -(-where.processes // where.machines)
        threads = prepared.threads if settings.threads else max(1, prepared.threads // beside)
        yield replace(prepared, trainer=where.trainer, engine=where.engine, threads=threads, workers=where.processes)
