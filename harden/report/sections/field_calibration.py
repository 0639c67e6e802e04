"""What re-estimating the batch norms of each chip would give, apart from all that is claimed of the file."""

from __future__ import annotations

from harden.report.blocks import Paragraph, Section, Table
from harden.report.document import Reading
from harden.words import percent, plural, points

ORDER = 85
TITLE = "If each chip were calibrated in the field"


def build(reading: Reading) -> Section:
    """Both rows, and what they rest on, where it was asked for."""
    calibration = reading.last.per_chip if reading.last else None
    if calibration is None:
        return Section(TITLE, [])
    sides = (("as it is", calibration.as_it_is), ("with batch norms of its own", calibration.calibrated))
    rows = [[name, percent(side.mean), percent(side.min), percent(side.max)] for name, side in sides if side]
    low, high = calibration.gain_ci95 or (None, None)
    interval = f" (95% interval {points(low)} to {points(high)})" if low is not None else ""
    text = (
        f"This does not judge the file. On {plural(calibration.chips or 0, 'chip')} the batch norms were re-estimated "
        f"on {plural(calibration.calibration_examples or 0, 'unlabelled input')} that passed that very chip, and "
        f"accuracy measured on the other {plural(calibration.examples or 0, 'example')}: {points(calibration.gain)} "
        f"points{interval}. The numbers elsewhere in this report are without it."
    )
    table = Table(["chip", "mean", "worst", "best"], rows, "lrrr")
    return Section(TITLE, [Paragraph(text), table])
