"""Whether the demands of ``--require`` are met, after the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harden.errors import RequirementError
from harden.statistics.requirements import Requirement


def enforce(texts: Sequence[str], document: dict[str, Any] | None) -> None:
    """Check every demand against every condition of an evaluation.

    Args:
        texts: The demands, as given to ``--require``.
        document: A ``harden.eval/1`` document; None or an empty one where nothing was evaluated.

    Raises:
        RequirementError: Any is not met; names each with what was found.
    """
    unmet = [
        failure
        for text in texts
        for entry in (document or {}).get("profiles", ())
        if (failure := Requirement.parse(text).failure(entry)) is not None
    ]
    if unmet:
        raise RequirementError("; ".join(unmet))
