"""From the settings of a command to the judge of its models."""

from __future__ import annotations

from harden.data.dataset import Dataset
from harden.engines import Engine
from harden.evaluation.judge import Judge
from harden.evaluation.where import Where
from harden.pipeline.checks import Checked
from harden.pipeline.machine import thread_count
from harden.progress import Notify
from harden.settings import CompareSettings, EvalSettings, Settings


def where_of(settings: EvalSettings | CompareSettings, engine: Engine | None = None) -> Where:
    """Where the chips of ``harden eval`` and ``harden compare`` run."""
    return Where(thread_count(settings), engine, settings.device, settings.batch_size, settings.digital)


def judge_of(settings: Settings, checked: Checked, data: Dataset, where: Where, notify: Notify) -> Judge:
    """The judge that the settings ask for.

    Args:
        settings: Of ``harden fit``, ``eval`` or ``compare``.
        checked: What their texts stand for.
        data: The examples to report on.
        where: What the chips run on.
        notify: Called with stage, done and total.
    """
    return Judge(
        data=data,
        conditions=checked.conditions,
        chips=settings.chips,
        seed=settings.seed,
        where=where,
        threshold=settings.threshold,
        requirements=checked.requirements,
        metrics=checked.metrics,
        notify=notify,
    )
