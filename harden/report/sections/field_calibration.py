"""What re-estimating the batch norms of each chip would give, apart from all that is claimed of the file."""

from __future__ import annotations

from harden.report.blocks import Paragraph, Section, Table
from harden.report.document import Document, Reading
from harden.report.words import percent, plural, points

ORDER = 85
TITLE = "If each chip were calibrated in the field"


def applies(document: Document) -> bool:
    """Where it was asked for."""
    return bool(Reading(document).part("per_chip"))


def build(document: Document) -> Section:
    """Both rows, and what they rest on."""
    found = Reading(document).part("per_chip")
    rows = [
        [name, percent(spread["mean"]), percent(spread["min"]), percent(spread["max"])]
        for name, spread in (("as it is", found["as_it_is"]), ("with batch norms of its own", found["calibrated"]))
    ]
    low, high = found.get("gain_ci95") or (None, None)
    interval = f" (95% interval {points(low)} to {points(high)})" if low is not None else ""
    text = (
        f"This does not judge the file. On {plural(int(found['chips']), 'chip')} the batch norms were re-estimated "
        f"on {plural(int(found['calibration_examples']), 'unlabelled input')} that passed that very chip, and accuracy "
        f"measured on the other {plural(int(found['examples']), 'example')}: {points(found['gain'])} points{interval}. "
        "The numbers elsewhere in this report are without it."
    )
    table = Table(["chip", "mean", "worst", "best"], rows, "lrrr")
    return Section(TITLE, [Paragraph(text), table])
