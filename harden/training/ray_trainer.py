"""Training on a Ray cluster: its workers are the processes that train together, started and restarted by Ray Train.

The run folder stays where the command runs. The first worker reports steps and checkpoints to a mailbox on that
machine; a worker that dies takes the others down with it, and all of them go on from the last checkpoint in it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from harden import distributed
from harden.engines.remote import check_versions, versions
from harden.errors import DivergedError, HardenError
from harden.training.checkpoint import kept, put
from harden.training.listener import SILENT, Listener
from harden.training.loop import train
from harden.training.mailbox import Mailbox
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem
from harden.training.trained import Trained

_DEATHS = 10  # of workers, that a run survives
_PATIENCE_S = 7 * 24 * 3600  # the others wait while the first one selects
_WAIT_S = 1.0
_CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class _Task:
    mailbox: Any
    box: list[Any]  # the problem's reference, in a box so that each worker fetches it itself, once
    plan: TrainingPlan
    versions: dict[str, str]


class ClusterTrainer:
    """Carries training runs out on the workers of the Ray cluster that this process has joined.

    Has the signature of :func:`harden.training.loop.train`, and its result up to rounding.

    Args:
        ray: The module.
        processes: How many workers train together; a step's batch is divided among them.
        gpus: Whether each of them has a GPU.
    """

    def __init__(self, ray: Any, processes: int, *, gpus: bool = False) -> None:
        self._ray, self._processes, self._gpus = ray, processes, gpus
        self._sent: tuple[Problem | None, Any] = (None, None)  # the last problem, and its reference

    def __call__(
        self,
        problem: Problem,
        plan: TrainingPlan,
        listener: Listener = SILENT,
        checkpoint: Path | None = None,
    ) -> Trained:
        """Train, and select the weights that are best on validation chips."""
        began = time.perf_counter()
        mailbox = self._mailbox({} if checkpoint is None else kept(checkpoint))
        task = _Task(mailbox, [self._sent_once(problem)], plan, versions())
        run = _Run(self._ray, mailbox, listener, checkpoint)
        trained = run.follow(lambda folder: self._trainer(task, folder))
        seconds = time.perf_counter() - began
        return replace(trained, model=problem.model.with_weights(trained.weights), seconds=seconds)

    def _sent_once(self, problem: Problem) -> Any:
        """The problem's reference on the cluster."""
        before, reference = self._sent
        if before is None or any(
            getattr(before, part.name) is not getattr(problem, part.name) for part in fields(problem)
        ):
            reference = self._ray.put(problem)
            self._sent = (problem, reference)
        return reference

    def _mailbox(self, files: Mapping[str, bytes]) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        return self._ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote(files)

    def _trainer(self, task: _Task, folder: str) -> Any:
        # Read by Ray Train: workers stay in the folder they are in, so that relative paths hold.
        os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
        from ray import train as ray_train
        from ray.train.torch import TorchConfig, TorchTrainer

        return TorchTrainer(
            _work,
            train_loop_config={"task": task},
            torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if self._gpus else "gloo", timeout_s=_PATIENCE_S),
            scaling_config=ray_train.ScalingConfig(
                num_workers=self._processes, use_gpu=self._gpus, placement_strategy="SPREAD"
            ),
            run_config=ray_train.RunConfig(
                name="harden",
                storage_path=folder,  # Ray Train insists on one, and keeps nothing in it here
                failure_config=ray_train.FailureConfig(max_failures=_DEATHS),
            ),
        )


class _Run:
    """One training run, as the process sees it that asked for it."""

    def __init__(self, ray: Any, mailbox: Any, listener: Listener, checkpoint: Path | None) -> None:
        self._ray, self._mailbox, self._listener, self._checkpoint = ray, mailbox, listener, checkpoint
        self._trained: Trained | None = None
        self._error: Exception | None = None

    def follow(self, build: Callable[[str], Any]) -> Trained:
        """Start the workers, and pass on what they tell until they are done."""
        broken: list[Exception] = []
        with tempfile.TemporaryDirectory(prefix="harden-") as folder:
            thread = threading.Thread(target=_fit, args=(build(folder), broken), name="harden-ray", daemon=True)
            thread.start()
            try:
                while thread.is_alive():
                    self._read(_WAIT_S)
                self._read(0.0)
            except BaseException:  # interrupted, or a listener failed: the workers leave their last checkpoint
                self._ray.get(self._mailbox.stop.remote())
                thread.join()
                self._listener = SILENT
                self._read(0.0)
                raise
        if self._error is not None:
            raise self._error
        if self._trained is None:
            raise HardenError(
                f"the Ray cluster cannot train ({_last_line(broken[0]) if broken else 'it ended without a result'})",
                where="--engine ray",
                fix="See ray status and the workers' logs; too little memory is the usual cause",
            )
        return self._trained

    def _read(self, wait_s: float) -> None:
        for kind, content in self._ray.get(self._mailbox.collect.remote(wait_s)):
            if kind == "step":
                self._listener.on_step(content)
            elif kind == "progress":
                self._listener.on_progress(*content)
            elif kind == "checkpoint" and self._checkpoint is not None:
                put(self._checkpoint, content)
            elif kind == "trained":
                self._trained = content
            elif kind == "failed":
                self._error = self._error or content


def _fit(trainer: Any, broken: list[Exception]) -> None:
    try:
        trainer.fit()
    except Exception as error:  # Ray's own, and what the workers raised; told by the thread that waits
        broken.append(error)


def _work(config: dict[str, _Task]) -> None:
    """What each worker does; Ray Train has introduced them to each other."""
    import ray

    task = config["task"]
    mailbox = task.mailbox
    if ray.get(mailbox.failed.remote()):
        return  # in an earlier attempt, by what another attempt does not mend
    try:
        check_versions(task.versions)
        problem: Problem = ray.get(task.box[0])
        with _folder(mailbox) as file:
            reporter = _Reporter(mailbox, file)
            try:
                trained = train(problem, task.plan, Listener(reporter.step, reporter.progress), file)
            finally:
                reporter.checkpoint()
        reporter.tell("trained", replace(trained, model=None))
    except KeyboardInterrupt:
        return  # all of them, at the same step
    except DivergedError as error:
        _fail(mailbox, error)  # so do all of them
    except Exception as error:  # another attempt does not mend it, unless it is another worker's death
        if not _lost_touch(error):
            _fail(mailbox, error)
        raise


def _fail(mailbox: Any, error: Exception) -> None:
    import ray

    ray.get(mailbox.fail.remote(error))


def _lost_touch(error: Exception) -> bool:
    """Whether an error says that another process is gone."""
    from torch.distributed import DistError

    text = str(error).lower()
    return isinstance(error, DistError) or (
        isinstance(error, RuntimeError) and any(word in text for word in ("gloo", "nccl", "connection closed"))
    )


@contextlib.contextmanager
def _folder(mailbox: Any) -> Iterator[Path]:
    """The place of the checkpoint, with the last one there is."""
    import ray

    with tempfile.TemporaryDirectory(prefix="harden-") as folder:
        if distributed.is_leader():
            files: Any = ray.get(mailbox.files.remote())
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
        yield Path(folder) / _CHECKPOINT


class _Reporter:
    """What the first worker tells the mailbox, and how all of them learn that they are to stop."""

    def __init__(self, mailbox: Any, file: Path) -> None:
        self._mailbox, self._file = mailbox, file
        self._seen = self._time()

    def tell(self, kind: str, content: Any) -> None:
        import ray

        if distributed.is_leader():
            ray.get(self._mailbox.post.remote(kind, content))

    def step(self, record: Mapping[str, float]) -> None:
        self.tell("step", record)
        self.checkpoint()
        if distributed.from_leader(self._stopped):
            raise KeyboardInterrupt

    def progress(self, *values: Any) -> None:
        self.tell("progress", values)

    def checkpoint(self) -> None:
        """Tell it where there is a new one."""
        now = self._time()
        if now != self._seen:
            self._seen = now
            self.tell("checkpoint", self._file.read_bytes())

    def _time(self) -> int | None:
        return self._file.stat().st_mtime_ns if self._file.exists() else None

    def _stopped(self) -> bool:
        import ray

        return ray.get(self._mailbox.stopped.remote())


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
