"""``harden.chip/1`` and ``harden.replay/1``: a chip to draw again, and what it scored then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from harden.records.base import Count, Described, Digest, Document, Positive, Rate, Whole, always, sometimes


class ChipRecord(Document):
    """A chip: a seed and a number are enough to draw it again."""

    SCHEMA: ClassVar[str] = "harden.chip/1"

    model_sha256: Digest = always("SHA-256 of the model's file.", "")
    data_sha256: str = always("SHA-256 of the examples and labels.", "")
    examples: Count = always("Number of examples.", 0)
    profile: str = always("The profile's name.", "")
    digest: str = always("SHA-256 of the profile.", "")
    parameters: Mapping[str, object] = always("The profile's parameters, resolved; by name.", {})
    at_s: Positive = always("Seconds since programming.", 0.0)
    seed: Whole = always("Root of the chip's random streams.", 0)
    chip: Count = always("The chip's number.", 0)
    accuracy: Rate = always("What it scored.", float("nan"))
    digital: tuple[str, ...] = sometimes("Globs of weights kept off the crossbars; not in the first records.", ())
    crossbars: Annotated[str, Described("enum", ("tensor", "use"))] = sometimes(
        "What a crossbar was for: each stored tensor, or each of its uses, as in records without this key.", "use"
    )
    copies: Mapping[str, Count] = sometimes("With --copies: devices averaged for each weight, by glob.", {})


class ReplayRecord(Document):
    """What a recorded chip scored when it was drawn again."""

    SCHEMA: ClassVar[str] = "harden.replay/1"

    accuracy: Rate = always("What it scores now.", float("nan"))
    recorded: Rate = always("What it scored then.", float("nan"))
    same_model: bool = always("Whether the model is the record's; another one is how a regression is tested.", False)
    equal: bool = always("Whether both accuracies are the same.", False)
