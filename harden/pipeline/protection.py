"""``--protect auto:5%``: which layers stay digital is decided once, on validation examples, before the first step."""

from __future__ import annotations

from dataclasses import replace

from harden import pacing
from harden.errors import SettingsError
from harden.evaluation.judge import Judge
from harden.levers.protect import Record
from harden.pipeline.checks import judged_by
from harden.pipeline.prepare import Prepared
from harden.progress import Notify, stage
from harden.runfolder import RunFolder
from harden.streams import numpy_generator
from harden.training.protect import protect

_MOST = 1000  # validation examples: they go through the network some 200 times


def with_protection(prepared: Prepared, folder: RunFolder, notify: Notify) -> tuple[Prepared, Record | None]:
    """Choose the layers to keep digital, if that was asked for.

    Args:
        prepared: The run.
        folder: Its folder; keeps the choice, so that a resumed run repeats it.
        notify: Told of progress.

    Returns:
        The run with these layers digital, and the record of the choice (None without ``--protect``).

    Raises:
        SettingsError: There are no examples to choose by.
        DataError: They have no labels, and the network is no classifier.
    """
    share = prepared.checked.protection
    if share is None:
        return prepared, None
    chosen = folder.step("protect", Record, lambda: _chosen(prepared, share, notify))
    return replace(prepared, digital=(*prepared.digital, *chosen.names)), chosen


def _chosen(prepared: Prepared, share: float, notify: Notify) -> Record:
    if prepared.validation is None:
        raise SettingsError("--protect needs --data to rank the layers by")
    seed = prepared.settings.seed
    examples = prepared.validation.sample(_MOST, numpy_generator(seed, "protect"))
    judge = Judge(
        examples, prepared.noise[:1], seed=seed, where=prepared.where, task=judged_by(prepared.settings)
    ).here()
    pace = pacing.current()
    with stage(notify, "ranking layers"):
        return protect(
            judge,
            prepared.model,
            share,
            passes=pace.protection_passes,
            check=pace.protection_checks,
            check_chips=pace.protection_chips,
        )
