"""From the settings of a command to the judge of its models."""

from __future__ import annotations

from collections.abc import Sequence

from harden.data.dataset import Dataset
from harden.engines import Engine
from harden.evaluation.custom import load_metrics
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.evaluation.where import Where
from harden.pipeline.inputs import thread_count
from harden.progress import Notify
from harden.settings import CompareSettings, EvalSettings, Settings
from harden.statistics.requirements import Requirement


def where_of(settings: EvalSettings | CompareSettings, engine: Engine | None = None) -> Where:
    """Where the chips of ``harden eval`` and ``harden compare`` run."""
    return Where(thread_count(settings), engine, settings.device, settings.batch_size, settings.digital)


def judge_of(settings: Settings, data: Dataset, conditions: Sequence[Condition], where: Where, notify: Notify) -> Judge:
    """The judge that the settings ask for.

    Args:
        settings: Of ``harden fit``, ``eval`` or ``compare``.
        data: The examples to report on.
        conditions: The noise, in the order of the report.
        where: What the chips run on.
        notify: Called with stage, done and total.
    """
    return Judge(
        data=data,
        conditions=tuple(conditions),
        chips=settings.chips,
        seed=settings.seed,
        where=where,
        threshold=settings.threshold,
        requirements=tuple(Requirement.parse(text) for text in settings.require),
        metrics=load_metrics(settings.metric) if isinstance(settings, EvalSettings) else {},
        notify=notify,
    )
