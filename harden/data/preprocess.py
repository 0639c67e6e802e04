"""How an image, or any array, becomes the input of a model: a record that travels with the model.

A model without this record cannot be judged: published robustness numbers often disagree because their preprocessing
does. harden therefore reads it from the file (metadata key ``harden.preprocess``), from timm, or from the flags, and
never guesses.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from harden.errors import PreprocessError

METADATA_KEY = "harden.preprocess"
LAYOUTS = ("NCHW", "NHWC")
RESIZES = ("squash", "crop", "border")
LARGEST_CROP_PCT = 2.0
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
FLAGS = "Give --mean a,b,c --std a,b,c (after x/255, one value per channel) and, to resize, --input-size H,W"


@dataclass(frozen=True)
class Preprocess:
    """What turns raw values into model input: ``(x / scale - mean) / std``.

    Pixels (uint8) are divided by ``scale``; other numbers (float or int16 arrays) are taken as they are, so features
    and signals need ``mean`` and ``std`` only, and ``mean=(0,), std=(1,)`` leaves them alone.

    Args:
        mean: One value per channel, in units of ``x / scale``.
        std: One positive value per channel, in the same units.
        input_size: Height and width of the model's input; ``None`` takes images as they are.
        channels: 1 is grey, 3 RGB, 4 RGBA; 0 (the default) means as many as ``mean`` has.
        layout: ``NCHW`` or ``NHWC``: the model's input, not the file's.
        resize: ``crop`` resizes the shorter side to ``floor(size / crop_pct)`` and cuts out the centre; ``squash``
            resizes both sides to that, without keeping the ratio, and cuts out the centre; ``border`` resizes the
            longer side to that, and surrounds the image with the mean's colour. All as timm evaluates.
        crop_pct: Side of the input over that of the resized image, in (0, 2]; above 1, what ``crop`` and ``squash``
            lack is black.
        interpolation: A filter of Pillow, by timm's name for it.
        scale: What pixels are divided by; 255 for photographs.

    Raises:
        PreprocessError: A value is out of range, or mean and std do not fit the channels.

    Example:
        >>> Preprocess(mean=(0.1307,), std=(0.3081,)).channels
        1
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_size: tuple[int, int] | None = None
    channels: int = 0
    layout: str = "NCHW"
    resize: str = "squash"
    crop_pct: float = 1.0
    interpolation: str = "bilinear"
    scale: float = 255.0

    def __post_init__(self) -> None:
        problem = None
        try:
            object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
            object.__setattr__(self, "std", tuple(float(value) for value in self.std))
            object.__setattr__(self, "channels", int(self.channels) or len(self.mean))
            object.__setattr__(self, "crop_pct", float(self.crop_pct))
            object.__setattr__(self, "scale", float(self.scale))
            if self.input_size is not None:
                object.__setattr__(self, "input_size", tuple(int(side) for side in self.input_size))
            problem = self._problem()
        except (TypeError, ValueError, OverflowError) as error:
            problem = str(error)
        if problem:
            raise PreprocessError(f"preprocessing is wrong: {problem}", fix=FLAGS)

    def _problem(self) -> str | None:
        size, n = self.input_size, self.channels
        checks = (
            (len(self.mean) == n >= 1, f"mean has {len(self.mean)} values for {n} channels"),
            (len(self.std) == n, f"std has {len(self.std)} values for {n} channels"),
            (all(map(math.isfinite, self.mean)), "mean must be finite"),
            (all(math.isfinite(value) and value > 0 for value in self.std), "std must be positive"),
            (size is None or (len(size) == 2 and min(size) > 0), f"input size {size} is not a height and a width"),
            (self.layout in LAYOUTS, f"layout '{self.layout}' is not one of {', '.join(LAYOUTS)}"),
            (self.resize in RESIZES, f"resize '{self.resize}' is not one of {', '.join(RESIZES)}"),
            (0 < self.crop_pct <= LARGEST_CROP_PCT, f"crop_pct {self.crop_pct:g} is outside (0, {LARGEST_CROP_PCT:g}]"),
            (
                self.interpolation in INTERPOLATIONS,
                f"interpolation '{self.interpolation}' is not one of {', '.join(INTERPOLATIONS)}",
            ),
            (math.isfinite(self.scale) and self.scale > 0, f"scale {self.scale:g} is not positive"),
        )
        return next((text for fine, text in checks if not fine), None)

    @property
    def identity(self) -> bool:
        """Whether values that are not pixels pass unchanged."""
        return all(value == 0 for value in self.mean) and all(value == 1 for value in self.std)

    def to_json(self) -> str:
        """The record as one line of JSON, keys in a fixed order."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Preprocess:
        """Read what ``to_json`` wrote.

        Raises:
            PreprocessError: The text is no such record.

        Example:
            >>> record = Preprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), input_size=(224, 224), crop_pct=0.875)
            >>> Preprocess.from_json(record.to_json()) == record
            True
        """
        try:
            record = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise PreprocessError(f"not a preprocessing record: {error}", where=METADATA_KEY, fix=FLAGS) from error
        names = {field.name for field in fields(cls)}
        if not isinstance(record, dict) or not {"mean", "std"} <= set(record) <= names:
            odd = ", ".join(sorted(map(str, set(record) - names))) if isinstance(record, dict) else ""
            what = f"unknown fields {odd}" if odd else "it needs mean and std"
            raise PreprocessError(f"not a preprocessing record: {what}", where=METADATA_KEY, fix=FLAGS)
        return cls(**record)


def resolve_preprocess(
    record: Preprocess | None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_size: Sequence[int] | None = None,
) -> Preprocess:
    """The preprocessing of a run: flags win over the model's record.

    Args:
        record: What the model's file says, if it says anything.
        mean: ``--mean``.
        std: ``--std``.
        input_size: ``--input-size``, height and width.

    Raises:
        PreprocessError: Neither the model nor the flags say it, or they contradict each other.

    Example:
        >>> resolve_preprocess(None, mean=[0.5], std=[0.5]).channels
        1
    """
    values: dict[str, Any] = {
        name: tuple(value)
        for name, value in (("mean", mean), ("std", std), ("input_size", input_size))
        if value is not None
    }
    if record is not None:
        return replace(record, **values)
    missing = [f"--{name}" for name in ("mean", "std") if name not in values]
    if missing:
        what = "the model does not say how images become its input"
        if len(missing) == 1:
            what += f", and {missing[0]} is missing"
        raise PreprocessError(what, fix=f"{FLAGS}; --mean 0 --std 1 for arrays that are ready")
    return Preprocess(**values)
