"""``--protect auto:5%``: which layers stay digital is decided once, on validation examples, before the first step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from harden import pacing
from harden.errors import SettingsError
from harden.pipeline.prepare import Prepared
from harden.progress import Notify, stage
from harden.store import read_record, write_atomic
from harden.streams import numpy_generator
from harden.training.protect import protect

_RECORD = "protect.json"
_MOST = 1000  # validation examples: they go through the network some 200 times


def with_protection(prepared: Prepared, folder: Path, notify: Notify) -> tuple[Prepared, dict[str, Any] | None]:
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
    record = folder / _RECORD
    chosen = read_record(record)
    if chosen is None:
        if prepared.validation is None:
            raise SettingsError("--protect needs --data to rank the layers by")
        judged = prepared.validation.sample(_MOST, numpy_generator(prepared.settings.seed, "protect"))
        with stage(notify, "ranking layers"):
            pace = pacing.current()
            names, choice = protect(
                prepared.model,
                prepared.noise[0],
                judged,
                share,
                digital=prepared.digital,
                passes=pace.protection_passes,
                check=pace.protection_checks,
                check_chips=pace.protection_chips,
                seed=prepared.settings.seed,
                threads=prepared.threads,
            )
        chosen = {"names": list(names), **choice}
        write_atomic(record, json.dumps(chosen, indent=1) + "\n")
    return replace(prepared, digital=(*prepared.digital, *chosen["names"])), chosen
