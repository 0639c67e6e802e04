"""From settings to data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.data.validation import split_validation
from harden.errors import DataError
from harden.evaluation.input_feed import Feed, fitted
from harden.evaluation.rows import check_rows
from harden.graph.file import Model
from harden.pipeline.models import input_names, open_preprocess
from harden.progress import Notify, silent
from harden.runtime.sessions import Session
from harden.settings import FitSettings, Settings
from harden.tasks import task_of

_EXAMPLES = 4  # of each data set, that a model is tried on


def open_data(source: str, model: Model, settings: Settings, notify: Notify = silent) -> Dataset:
    """Examples to evaluate a model on; with ``--objective match`` labels are left out, and outputs are compared."""
    preprocess, labelled = open_preprocess(model, settings), settings.objective == "labels"
    data = Dataset.open(
        source,
        preprocess,
        limit=settings.limit,
        labelled=labelled,
        progress=reading(source, notify),
        inputs=input_names(model),
    )
    return fitted(model, data)


def reading(source: str, notify: Notify) -> Callable[[int, int], None]:
    """What tells how much of a data set is read."""
    return lambda done, total: notify(f"reading {Path(source).name}", done, total)


def open_training_data(
    settings: FitSettings,
    preprocess: Preprocess,
    inputs: tuple[str, ...] = (),
    *,
    labelled: bool = True,
    notify: Notify = silent,
) -> tuple[Dataset, Dataset, Dataset | None]:
    """The examples to train on, to select by, and to report on.

    The validation examples are ``--val``, or a stratified tenth of ``--data`` (at most 5,000), then not trained on.

    Args:
        settings: Which files, how many examples.
        preprocess: How examples become inputs.
        inputs: Names of the model's inputs.
        labelled: Whether labels are demanded; where not, they are used if there are any.
        notify: Told how much is read.

    Returns:
        Training, validation, and test data; the last is ``None`` without ``--test``.

    Raises:
        DataError: A data set cannot be read, or has other classes than the training examples; or ``--test`` is
            what is trained on.
    """

    def opened(source: str) -> Dataset:
        try:
            return Dataset.open(
                source, preprocess, limit=settings.limit, progress=reading(source, notify), inputs=inputs
            )
        except DataError:
            if labelled:
                raise
            return Dataset.open(source, preprocess, limit=settings.limit, labelled=False, inputs=inputs)

    train = opened(settings.data)
    if settings.val:
        validation = opened(settings.val)
    else:
        train, validation = split_validation(train, settings.seed)
    if labelled and train.labels is not None and train.labels.min() == train.labels.max():
        _refuse_one_class(train, settings.limit)
    test = opened(settings.test) if settings.test else None
    for other in (validation, test):
        if other is not None:
            _check_classes(train, other)
    if test is not None and test.sha256 == train.sha256:
        what = "the data to report on are the data trained on, so the figures would prove nothing"
        raise DataError(what, where=test.source, fix="Leave --test out: a tenth of --data is then set aside for it")
    return train, validation, test


def _refuse_one_class(train: Dataset, limit: int | None) -> None:
    which = f"the first {limit} examples" if limit else "all examples"
    fix = "Shuffle the data, which seems sorted by class, or leave --limit out" if limit else "Give data of all classes"
    raise DataError(f"{which} are of one class, so a training would learn only that", where=train.source, fix=fix)


def _check_classes(train: Dataset, other: Dataset) -> None:
    """Refuse examples whose classes are named otherwise: the numbers would mean other things."""
    ours, theirs = train.class_names, other.class_names
    if ours is None or theirs is None or ours == theirs:
        return
    more, fewer = sorted(set(theirs) - set(ours)), sorted(set(ours) - set(theirs))
    reasons = [f"has the class {', '.join(map(repr, more[:3]))}, which {train.source} does not have"] if more else []
    reasons += [f"lacks the class {', '.join(map(repr, fewer[:3]))} of {train.source}"] if fewer else []
    raise DataError(
        "; ".join(reasons) or f"numbers its classes differently from {train.source}",
        where=other.source,
        fix="Give data sets with the same classes",
    )


def check_fits(model: Model, task: str, *data: Dataset) -> None:
    """Run the model on a few examples of each data set, before anything is written.

    Raises:
        DataError: Shapes differ, or outputs or labels are not of the task.
        ModelError: ONNX Runtime does not accept the model.
    """
    session = Session(model.runnable)
    for examples in data:
        job = task_of(task, model, examples)
        job.check(check_rows(job, session, Feed(model, examples.subset(np.arange(min(_EXAMPLES, len(examples)))))))
