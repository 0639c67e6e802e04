"""Batches that fit into memory: half as many images where it did not suffice, decided once and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harden.evaluation.chip_sums import sums_path
from harden.evaluation.input_feed import default_batch
from harden.memory import SMALLER, OutOfMemoryError
from harden.store import read_record, write_atomic

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model


class BatchSize:
    """Images per batch of one evaluation.

    Args:
        model: A batch size fixed in it cannot be changed.
        data: The examples.
        wanted: What was asked for; None chooses by the input's size.
        trial_log: The log of trials; a decision is kept beside it, so that a run that is resumed repeats it.

    Attributes:
        images: What to use; None chooses by the input's size.
        halved: Whether memory did not suffice for what was wanted.
    """

    def __init__(self, model: Model, data: Dataset, wanted: int | None, trial_log: Path | None) -> None:
        self._model, self._data, self._trial_log = model, data, trial_log
        self._record = (
            None if trial_log is None else trial_log.with_name(f"memory.{trial_log.name.removesuffix('.jsonl')}.json")
        )
        earlier = None if self._record is None else read_record(self._record)
        self.images = wanted if earlier is None else int(earlier["batch_size"])
        self.halved = earlier is not None

    def halve(self) -> None:
        """Half as many from now on; what was measured with more is begun anew, for equal bits in every trial.

        Raises:
            OutOfMemoryError: It is one image already, or as many as the model demands.
        """
        first = self._model.inputs[0].shape[0] if self._model.inputs and self._model.inputs[0].shape else None
        now = min(self.images or default_batch(int(np.prod(self._data.input_shape))), len(self._data))
        if now < 2 or (isinstance(first, int) and first > 0):
            raise OutOfMemoryError(
                "not enough memory to evaluate even the smallest batch, on one worker",
                where=self._model.source,
                fix=SMALLER,
            )
        self.images, self.halved = now // 2, True
        if self._record is not None and self._trial_log is not None:
            write_atomic(self._record, json.dumps({"batch_size": self.images}) + "\n")
            sums_path(self._trial_log).unlink(missing_ok=True)
            self._trial_log.unlink(missing_ok=True)
