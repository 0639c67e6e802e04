"""What a figure of a chip is called, which way is better, and how it is written."""

from __future__ import annotations

from typing import Literal

from harden.records.base import Record, always


class Measure(Record):
    """A figure that every chip gets, over all examples."""

    name: str = always("Its name in requirements and in the trial log.", "accuracy")
    title: str = always("What the report calls it.", "accuracy")
    better: Literal["more", "less"] = always("Whether more or less of it is better.", "more")
    rate: bool = always("Whether it is a share in [0, 1], written in percent.", True)

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.better == "more" else -1


ACCURACY = Measure(name="accuracy", title="accuracy", better="more", rate=True)
CONCORDANCE = Measure(name="concordance", title="fidelity", better="more", rate=True)
