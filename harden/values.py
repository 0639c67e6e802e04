"""How a value is read, the same from a flag, a file or Python: durations, sizes, lists, clips."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from harden.errors import SettingsError
from harden.memory import amount

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "y": 365.25 * 86400.0}


def seconds(value: object) -> object:
    """Read a duration: a number of seconds, or a text such as ``90s``, ``10min``, ``1h``, ``30d``.

    Raises:
        ValueError: The text is no duration.

    Example:
        >>> seconds("1h"), seconds("1.5min"), seconds(20)
        (3600.0, 90.0, 20)
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", value)
    unit = _SECONDS.get(match[2] or "s") if match else None
    if match is None or unit is None:
        raise ValueError(f"'{value}' is not a duration; write a number and one of {', '.join(_SECONDS)}, such as 30d")
    return float(match[1]) * unit


def read_seconds(text: str, flag: str) -> float:
    """A duration that was given to a flag, in seconds.

    Raises:
        SettingsError: It is none; names the flag.
    """
    try:
        return float(seconds(text))  # pyright: ignore[reportArgumentType]
    except ValueError as error:
        raise SettingsError(f"{flag}: {error}") from None


def read_size(text: str, flag: str) -> tuple[int, int]:
    """Height and width that were given to a flag; one number is both.

    Raises:
        SettingsError: They are none; names the flag.

    Example:
        >>> read_size("64", "--input-size"), read_size("48x320", "--input-size")
        ((64, 64), (48, 320))
    """
    parts = text.replace("x", ",").split(",")
    if len(parts) > 2 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise SettingsError(f"{flag} {text}: write height,width such as 64,64")
    return int(parts[0]), int(parts[-1])


def _separated(value: object) -> object:
    """Split ``a,b,c``; a list stays a list, a single value becomes a list of one."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return (value,) if isinstance(value, (int, float)) else value


def _durations(value: object) -> object:
    parts = _separated(value)
    return tuple(seconds(part) for part in parts) if isinstance(parts, (tuple, list)) else parts


def repeated(value: object) -> object:
    """A single text becomes a list of one, for what may be given more than once."""
    return (value,) if isinstance(value, str) else value


def _size(value: object) -> object:
    parts = _separated(value.replace("x", ",") if isinstance(value, str) else value)
    return (parts[0], parts[0]) if isinstance(parts, (tuple, list)) and len(parts) == 1 else parts


def _clip(value: object) -> object:
    if value is None:  # in Python
        return "none"
    if isinstance(value, str) and value not in ("auto", "none", "search"):
        try:
            return float(value)
        except ValueError:
            raise ValueError("write auto, none, search, or a number of standard deviations such as 2") from None
    return value


def _positive_clip(value: object) -> object:
    clip = _clip(value)
    if isinstance(clip, (int, float)) and not clip > 0:
        raise ValueError("standard deviations must be above 0; write none for no clipping")
    return clip


def engine_name(value: str) -> str:
    """The name of an engine: ``local``, ``ray`` or ``ray://HOST:PORT``.

    Raises:
        ValueError: It is none.

    Example:
        >>> engine_name("ray://head:10001")
        'ray://head:10001'
    """
    if value not in ("local", "ray") and not re.fullmatch(r"ray://[^\s:/]+:\d{1,5}", value):
        raise ValueError("write local, ray, or ray://HOST:PORT")
    return value


def _scales(value: object) -> object:
    return (1.0, 1.5, 2.0) if value == "auto" else _separated(value)


def _percent(value: object) -> object:
    return value.strip().removesuffix("%") if isinstance(value, str) else value


def rate(value: object) -> object:
    """Read a rate: a number from 0 to 1, or a text such as ``90%``.

    Raises:
        ValueError: The number means a percentage, and does not say so.

    Example:
        >>> rate("90%"), rate("0.9"), rate(0.9)
        (0.9, '0.9', 0.9)
    """
    if isinstance(value, str) and value.strip().endswith("%"):
        return float(value.strip()[:-1]) / 100
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return value
    if 1 < number <= 100:
        raise ValueError(f"a rate is a number from 0 to 1; write {number / 100:g} or {number:g}%")
    return value


def _share(value: object) -> object:
    """A number, or a text such as ``90%``."""
    return float(value.strip()[:-1]) / 100 if isinstance(value, str) and value.strip().endswith("%") else value


def _amount(value: str) -> str:
    amount(value)
    return value


Share = Annotated[float, BeforeValidator(_share)]
Percent = Annotated[float, BeforeValidator(_percent)]
Scales = Annotated[tuple[Annotated[float, Field(ge=0)], ...], BeforeValidator(_scales)]
Duration = Annotated[float, BeforeValidator(seconds)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(_separated)]
Durations = Annotated[tuple[Annotated[float, Field(ge=0)], ...], BeforeValidator(_durations)]
Texts = Annotated[tuple[str, ...], BeforeValidator(repeated)]
Size = Annotated[tuple[int, int], BeforeValidator(_size)]
Clip = Annotated[Literal["auto", "none", "search"] | float, BeforeValidator(_positive_clip)]
Engine = Annotated[str, AfterValidator(engine_name)]
Bytes = Annotated[str, AfterValidator(_amount)]
Names = Annotated[tuple[str, ...], BeforeValidator(_separated)]
