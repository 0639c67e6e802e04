"""``harden demo``: the main job on a network and data that the package ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harden.data.embedded import digits_model, digits_test, digits_train
from harden.pipeline.fit import fit
from harden.pipeline.progress import Notify, silent
from harden.settings import FitSettings

PROFILE = "gaussian:sigma=0.2"
EPOCHS = 20


def demo(out: Path, notify: Notify = silent) -> dict[str, Any]:
    """Harden the embedded digits network; a ``harden.fit/1`` document.

    Args:
        out: The run folder.
        notify: Called with stage, done and total.
    """
    settings = FitSettings(
        model=str(digits_model()),
        method="nft",
        profile=(PROFILE,),
        data=str(digits_train()),
        test=str(digits_test()),
        epochs=EPOCHS,
        out=str(out),
    )
    return fit(settings, notify)
