"""Everything a ``harden fit`` works on, opened and checked before the first step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harden import __version__, distributed, methods
from harden.data.dataset import Dataset
from harden.data.preprocess import METADATA_KEY, Preprocess
from harden.engines import Engine
from harden.evaluation.input_feed import Feed, fitted
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.evaluation.where import Where
from harden.graph.file import Model
from harden.graph.folding import fold_batch_norms
from harden.pipeline.checks import Checked, check, judged_by
from harden.pipeline.data import check_fits, open_training_data
from harden.pipeline.machine import thread_count, trained_on
from harden.pipeline.models import check_digital, input_names, model_of, open_preprocess
from harden.pipeline.new_head import with_new_head
from harden.progress import Notify, silent
from harden.runtime.examples import find_inputs
from harden.settings import FitSettings
from harden.training.loop import train
from harden.training.problem import Problem
from harden.training.trainer import Trainer


@dataclass(frozen=True)
class Prepared:
    """What a run works on.

    Attributes:
        settings: As the user gave them.
        checked: What their texts stand for.
        model: The model as given, with its preprocessing recorded.
        training: Examples to train on; None for a transform without data.
        validation: Examples to select by; None for a transform without data.
        test: Examples to report on; None where nothing is reported.
        threads: Processor threads.
        digital: Globs of tensors and nodes kept off the crossbars: the user's, and those that are protected.
        trainer: What carries a training run out.
        engine: Where trials run; None is this machine.
        workers: How many workers of a cluster train together; 1 where this process trains.
        device: What the network is trained on.
    """

    settings: FitSettings
    checked: Checked
    model: Model
    training: Dataset | None
    validation: Dataset | None
    test: Dataset | None
    threads: int
    digital: tuple[str, ...]
    trainer: Trainer = train
    engine: Engine | None = None
    workers: int = 1
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def method(self) -> str:
        """The method's own name, behind any alias."""
        return methods.resolve(self.settings.method)

    @property
    def kind(self) -> str:
        """``objective``, ``transform`` or ``recipe``."""
        assert self.checked.method is not None
        return self.checked.method.kind

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The noise that the model is judged under."""
        return self.checked.conditions

    @property
    def noise(self) -> tuple[Condition, ...]:
        """The noise that it is hardened against."""
        return self.checked.noise

    @property
    def problem(self) -> Problem | None:
        """What a training works on; None without data."""
        if self.training is None or self.validation is None:
            return None
        return Problem(self.model, self.training, self.validation)

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return max(distributed.size(), self.workers)

    def resolved(self) -> dict[str, object]:
        """What decides the numbers beside the settings."""
        return {
            "method": self.method,
            "model_sha256": self.model.sha256,
            "data_sha256": self.training.sha256 if self.training else None,
            "val_sha256": self.validation.sha256 if self.validation and self.settings.val else None,
            "test_sha256": self.test.sha256 if self.test else None,
            "profiles": sorted({c.profile.digest for c in (*self.conditions, *self.noise)}),
            "threads": self.threads,
            "version": __version__,
            **({"device": self.device} if self.device != "cpu" else {}),
            **({"processes": self.processes} if self.processes > 1 else {}),
        }

    @property
    def where(self) -> Where:
        """Where chips run; ``--batch-size`` is the training's."""
        return Where(self.threads, self.engine, self.settings.device, digital=self.digital)

    def judge(self, notify: Notify = silent) -> Judge | None:
        """What measures the model before and after hardening; None where nothing is reported."""
        if self.test is None:
            return None
        return replace(self.checked.judge(self.settings, self.test, self.where, notify), reference=self.model)

    def examples(self, count: int) -> tuple[np.ndarray, ...]:
        """Real inputs where there is data, else random ones that the model accepts."""
        data = self.test or self.training
        if data is None:
            return find_inputs(self.model, batch=count, seed=self.settings.seed)
        return Feed(self.model, data.subset(np.arange(min(count, len(data))))).head(count)


def prepare(settings: FitSettings, notify: Notify = silent) -> Prepared:
    """Open and check the model, the noise and the data; nothing is written.

    Args:
        settings: What to harden, and how.
        notify: Called with stage, done and total.

    Raises:
        HardenError: Anything is missing, unreadable, or does not fit together.
    """
    needs_data = methods.needs_data(settings.method) or settings.new_head
    checked = check(settings, "profile", *(["data"] if needs_data else []))
    model = model_of(settings, notify=notify)
    check_digital(model, settings.digital)
    if settings.fold_bn:
        model = fold_batch_norms(model)
    training = validation = test = None
    if settings.data:
        preprocess = open_preprocess(model, settings)
        labelled = checked.kind != "transform" and settings.objective == "labels"
        training, validation, test = open_training_data(
            settings, preprocess, input_names(model), labelled=labelled, notify=notify
        )
        training, validation = fitted(model, training), fitted(model, validation)
        test = fitted(model, test) if test else None
        if settings.new_head:
            model = with_new_head(model, training, seed=settings.seed, threads=thread_count(settings), notify=notify)
        check_fits(model, judged_by(settings), training, test or validation)
        model = with_preprocess(model, training.preprocess)
        test = test or validation
    return Prepared(
        settings=settings,
        checked=checked,
        model=model,
        training=training,
        validation=validation,
        test=test,
        threads=thread_count(settings),
        digital=settings.digital,
        # A cluster's devices are seen when it is joined.
        device=trained_on(settings.device) if settings.engine == "local" else "cpu",
    )


def with_preprocess(model: Model, preprocess: Preprocess) -> Model:
    """The model with its preprocessing in its metadata, so that the hardened file needs no flags."""
    return model.with_metadata({METADATA_KEY: preprocess.to_json()})
