"""Whether the demands of ``--require`` are met, after the run."""

from __future__ import annotations

from collections.abc import Sequence

from harden.errors import RequirementError
from harden.records import EvalRecord
from harden.statistics.requirements import Requirement


def enforce(texts: Sequence[str], record: EvalRecord | None) -> None:
    """Check every demand against every condition of an evaluation.

    Args:
        texts: The demands, as given to ``--require``.
        record: The evaluation; None where nothing was evaluated.

    Raises:
        RequirementError: Any is not met; names each with what was found.
    """
    unmet = [
        failure
        for text in texts
        for condition in (record.conditions if record else ())
        if (failure := Requirement.parse(text).failure(condition.to_json())) is not None
    ]
    if unmet:
        raise RequirementError("; ".join(unmet))
