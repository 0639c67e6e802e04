"""Command-line options made from the fields of the settings, so that a setting is described once."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from harden.cli import completion
from harden.cli.command_output import Output
from harden.errors import SettingsError
from harden.settings import Settings, resolve
from harden.values import repeated

F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound=Settings)


def settings_options(kind: type[Settings], without: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Add one option for each field of ``kind`` but ``model`` and ``without``; the settings read the text."""

    def decorate(command: F) -> F:
        for name, field in reversed(kind.model_fields.items()):
            if name not in ("model", *without):
                command = _option(name, field)(command)
        return command

    return decorate


def _option(name: str, field: FieldInfo) -> Callable[[F], F]:
    help_text = (field.description or "") + _default(field)
    if name == "options":
        return click.option("-o", "options", multiple=True, metavar="KEY=VALUE", help=help_text)
    flag = "--" + name.replace("_", "-")
    if field.annotation is bool:
        return click.option(flag, name, is_flag=True, default=None, help=help_text)
    return click.option(
        flag,
        name,
        default=None,
        multiple=_may_be_repeated(field),
        metavar=_metavar(field),
        help=help_text,
        shell_complete=_complete(name, field),
    )


def _may_be_repeated(field: FieldInfo) -> bool:
    return any(isinstance(rule, BeforeValidator) and rule.func is repeated for rule in field.metadata)


def _complete(name: str, field: FieldInfo) -> completion.Complete:
    """What the shell offers for a flag's value."""
    by_name = {"method": completion.methods, "profile": completion.profiles, "train_profile": completion.profiles}
    literal = [value for value in _flatten(field.annotation) if isinstance(value, str)]
    return by_name.get(name) or (completion.choices(literal) if literal else completion.files)


def _default(field: FieldInfo) -> str:
    default = field.default
    if default in (None, False, (), "") or field.is_required() or field.default_factory is not None:
        return ""
    text = ",".join(f"{number:g}" for number in default) if isinstance(default, tuple) else str(default)
    return f"  [default: {text}]"


def _metavar(field: FieldInfo) -> str:
    kinds = set(typing.get_args(field.annotation)) if typing.get_origin(field.annotation) else {field.annotation}
    literal = [value for value in _flatten(field.annotation) if isinstance(value, str)]
    if literal:
        return "|".join(literal)
    if int in kinds:
        return "N"
    return "X" if float in kinds else "TEXT"


def _flatten(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [inner for part in typing.get_args(annotation) for inner in _flatten(part)]
    return []


def output_options(command: F) -> F:
    """Add ``--json``, ``-v``, ``-q``, ``--dry-run`` and ``--config``; the first four arrive as one ``output``."""

    @functools.wraps(command)
    def called(*, as_json: bool, verbose: bool, quiet: bool, dry_run: bool, **others: Any) -> Any:
        return command(output=Output(as_json, verbose, quiet, dry_run), **others)

    decorated: Any = called
    for option in (
        click.option("--config", type=click.Path(path_type=Path), help="settings file  [default: harden.toml]"),
        click.option("-q", "--quiet", is_flag=True, help="only the result: no progress"),
        click.option("-v", "--verbose", is_flag=True, help="every setting and its origin; the detail of every stage"),
        click.option("--dry-run", is_flag=True, help="check everything and estimate time and memory; write nothing"),
        click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout"),
    ):
        decorated = option(decorated)
    return decorated


def read_settings(kind: type[S], model: str | None, flags: Mapping[str, Any], config: Path | None) -> S:
    """The settings of a command from its flags and the settings file.

    Raises:
        SettingsError: Any flag, key or ``-o`` pair is wrong; all problems at once.
    """
    flags = dict(flags)
    if "options" in flags:
        flags["options"] = _pairs(flags["options"])
    return resolve(kind, {"model": model, **flags}, config)


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    wrong = [text for text in texts if "=" not in text]
    if wrong:
        raise SettingsError(f"-o {wrong[0]}: write key=value")
    return dict(text.split("=", 1) for text in texts)
