"""Flags over ``harden.toml`` over defaults, and back to TOML; every problem at once, with the place it came from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from harden.errors import SettingsError
from harden.origins import read_toml
from harden.parsing import Table
from harden.settings.common import WHERE, Settings
from harden.settings.evaluate import CompareSettings, EvalSettings
from harden.settings.fit import FitSettings

FILE = "harden.toml"
_PATHS = ("weights", "data", "val", "test", "out", "replay")
S = TypeVar("S", bound=Settings)


def resolve(kind: type[S], flags: Mapping[str, object], config: Path | None = None) -> S:
    """Flags over the file over the defaults, validated; every problem at once.

    Args:
        kind: The settings class of the command.
        flags: What the user gave, by field name. ``None`` and empty tuples count as absent.
        config: The TOML file; ``None`` looks for ``harden.toml`` in the current folder.

    Returns:
        The frozen settings.

    Raises:
        SettingsError: Any value is wrong or any key unknown; lists all problems with their origin.
    """
    from_file, lines = _read(config)
    problems = _unknown_keys(from_file, lines)
    given = {name: value for name, value in flags.items() if value is not None and value != () and value != {}}
    merged = {name: value for name, value in from_file.items() if name in kind.model_fields}
    origins = {name: lines[name] for name in merged}
    if kind is not FitSettings and "test" in from_file:
        # In a folder prepared for fit, what is evaluated is the test set.
        merged["data"], origins["data"] = from_file["test"], lines["test"]
    merged |= given
    origins |= {name: flag_of(name) for name in given}
    try:
        settings = kind.model_validate(merged)
    except ValidationError as error:
        problems += [problem(item, origins) for item in error.errors()]
        settings = None
    if settings is None or problems:
        raise SettingsError("a setting is wrong" if len(problems) == 1 else "settings are wrong", problems=problems)
    settings.remember(origins)
    return settings


def origin(settings: Settings, name: str) -> str:
    """Where a value came from: a flag, ``harden.toml, line 3: key``, or ``default``."""
    return settings.origins.get(name, "default" if name not in settings.model_fields_set else flag_of(name))


def flag_of(name: str) -> str:
    """What sets a field on the command line.

    Example:
        >>> flag_of("batch_size"), flag_of("options"), flag_of("model")
        ('--batch-size', '-o', 'MODEL')
    """
    return {"model": "MODEL", "options": "-o"}.get(name, "--" + name.replace("_", "-"))


def to_toml(settings: Settings, resolved: Mapping[str, object] | None = None) -> str:
    """The settings as TOML: every field that is there, but ``WHERE``. Reading it back gives equal settings.

    Args:
        settings: What to write.
        resolved: Added under ``[resolved]``: whatever else decides a number, such as digests and thread counts.
    """
    import tomli_w

    document = {k: v for k, v in settings.model_dump(mode="json").items() if v is not None and k not in WHERE}
    if resolved:
        document["resolved"] = {k: v for k, v in resolved.items() if v is not None}
    return tomli_w.dumps(document)


def _read(config: Path | None) -> tuple[Table, dict[str, str]]:
    """The values of a settings file by field, and where each stands; nothing where none is named and there is none."""
    path = config or Path(FILE)
    if config is None and not path.is_file():
        return {}, {}
    values, lines = read_toml(path)
    fields = {name: name.replace("-", "_") for name in values if name != "resolved"}
    places = {field: f"{path}, line {lines[name]}: {name}" for name, field in fields.items()}
    return {field: _relative(path, field, values[name]) for name, field in fields.items()}, places


def _relative(file: Path, name: str, value: object) -> object:
    if name not in _PATHS and not (name == "model" and not str(value).startswith("timm:")):
        return value
    if not isinstance(value, str) or file.parent == Path() or ":" in value:
        return value
    return str(file.parent / value)


def _unknown_keys(values: Table, places: Mapping[str, str]) -> list[str]:
    fields = {name for kind in (FitSettings, EvalSettings, CompareSettings) for name in kind.model_fields}
    return [f"{places[name]}: unknown key{_near(name, fields)}" for name in values if name not in fields]


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def problem(error: Any, origins: Mapping[str, str]) -> str:
    """One of pydantic's errors as a sentence: where the value came from, what is wrong, and what it was.

    Args:
        error: As ``ValidationError.errors()`` has it.
        origins: Where each field's value came from; the field's flag where there is none.
    """
    name = str(error["loc"][0]) if error["loc"] else "settings"
    if name == "model" and error["type"] == "missing":
        return "MODEL is missing: give an ONNX file or timm:NAME"
    place, value = origins.get(name, flag_of(name)), cast("object", error["input"])
    shown = "" if isinstance(value, dict) or error["type"] == "missing" else f" (got {value!r})"
    if error["type"] == "literal_error":
        choices: list[str] = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return f"{place}: must be one of {', '.join(choices)}{shown}{_near(f'{value}', choices)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}{shown}"
