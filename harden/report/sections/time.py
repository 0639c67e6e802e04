"""Accuracy against the time since programming."""

from __future__ import annotations

import math

from harden.report.blocks import Block, Section
from harden.report.charts.along import along
from harden.report.conditions import Condition, timed
from harden.report.document import Reading
from harden.words import clean, duration

ORDER = 40
TITLE = "As the chips age"


def build(reading: Reading) -> Section:
    """A curve and a table for each profile that was tried at several times."""
    return Section(TITLE, [_ageing(reading, i, group) for i, group in enumerate(timed(reading.conditions))])


def _ageing(reading: Reading, position: int, group: list[Condition]) -> Block:
    times = [float(c.at_s or 0.0) for c in group]
    # Time is on a logarithmic axis, which has no zero: programming (0 s) stands one decade before the first time.
    start = math.log10(min(t for t in times if t > 0)) - 1.0
    zero = " 0 s is drawn one decade early, as a logarithm has no zero." if 0.0 in times else ""
    return along(
        f"time-{position}",
        reading,
        group,
        [(math.log10(t) if t > 0 else start, duration(t)) for t in times],
        ticks=True,
        x_label="time since programming (logarithmic)",
        caption=f"{clean(group[0].name)}: mean over chips; band: 5th to 95th percentile of the chips.{zero}",
    )
