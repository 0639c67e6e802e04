"""How accurate are the chips that this file will run on? The front for Python; a :class:`Judge` does the work.

Everything comes from the file in ONNX Runtime, one session per chip, after the canary has shown that noise reaches
every analog tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harden.data.dataset import Dataset
from harden.engines import Engine, opened
from harden.evaluation.custom import Metric, load_metrics
from harden.evaluation.judge import Judge
from harden.evaluation.layout import Layout
from harden.evaluation.plan import Condition, as_conditions
from harden.evaluation.where import Where
from harden.noise.profile import Profile
from harden.progress import silent
from harden.records import EvalRecord
from harden.statistics.requirements import Requirement
from harden.tasks import AUTO

if TYPE_CHECKING:
    from harden.graph.file import Model


def evaluate(
    model: Model,
    profile: str | Profile | Condition | Sequence[str | Profile | Condition],
    data: Dataset,
    *,
    chips: int = 100,
    seed: int = 0,
    threshold: float | None = None,
    requirements: Sequence[str] = (),
    threads: int | None = None,
    batch_size: int | None = None,
    digital: tuple[str, ...] = (),
    trials: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    metrics: Sequence[str] | Mapping[str, Metric] = (),
    layout: Layout | None = None,
    engine: Engine | str | None = None,
    workers: int | None = None,
    device: str = "cpu",
    task: str = AUTO,
    headline: str = AUTO,
) -> EvalRecord:
    """Measure the accuracy of virtual chips.

    Args:
        model: The model, as it would be saved.
        profile: The noise: a profile or its text (``rram1:sigma_d=0.1``), a condition (a profile at a time), or
            several.
        data: The examples. Without labels, chips are compared with the clean network instead (``fidelity``).
        chips: Chips per condition; chip k has the same random numbers in every condition.
        seed: Root of all random streams.
        threshold: Accuracy a good chip reaches, for the yield.
        requirements: Demands such as ``p05_accuracy>=0.85``; judged in the document, not enforced here.
        threads: Cores to use; None takes all.
        batch_size: Images per batch; None chooses by the input's size.
        digital: Globs of weights that are not on a crossbar.
        trials: Log of trials; an evaluation that was interrupted goes on where its log ends.
        progress: Called with (trials done, all trials).
        metrics: More metrics: names ``module:function``, or functions by name.
        layout: Sessions and threads; None measures which is fastest. It changes no number.
        engine: Where trials run: ``local``, ``ray``, ``ray://HOST:PORT``, or an engine. It changes no number.
        device: What ONNX Runtime runs on: ``cpu``, ``cuda``, or ``auto``.
        task: What the model is for, such as ``classification``; ``auto`` goes by the labels.
        headline: The figure that the record, threshold and requirements are about, such as ``rmse``, or ``metric``: the
            first of ``metrics``; ``auto`` is the task's own.
        workers: Trials at a time on a Ray cluster; None takes every processor of it.

    Returns:
        What the chips scored: ``result.conditions[0].accuracy.mean``; ``result.document`` is its JSON.

    Raises:
        SettingsError: Numbers that make no sense, a metric that fails.
        UnmeetableError: A requirement that so few chips can never meet.
        DataError: The model's output is not logits of the data's classes, or shapes differ.
        CanaryError: Noise does not reach a tensor in ONNX Runtime.
        RunFolderError: The log holds another run.
        OutOfMemoryError: Memory does not suffice for one image at a time on one worker.
        MissingExtraError: The engine needs Ray, and it is not installed.
    """
    judge = Judge(
        data=data,
        conditions=as_conditions(profile),
        chips=chips,
        seed=seed,
        where=Where(threads, None, device, batch_size, digital, layout),
        threshold=threshold,
        requirements=tuple(Requirement.parse(text) for text in requirements),
        metrics=dict(metrics) if isinstance(metrics, Mapping) else load_metrics(metrics),
        task=task,
        headline=headline,
        notify=silent if progress is None else lambda _, done, total: progress(done, total),
    )
    judge.check()
    with opened(engine, workers) as place:
        return replace(judge, where=replace(judge.where, engine=place)).of(model, trial_log=trials)
