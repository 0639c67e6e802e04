"""Robust-training methods: one file each; the file's name is the name on the command line."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from harden.errors import SettingsError, UnknownNameError
from harden.registry import METHODS

if TYPE_CHECKING:
    from pydantic import BaseModel

# Measured on the JPEG ResNet-20 (batch norms kept, CIFAR-10, gaussian:sigma=0.1, clip 2, default options) at equal
# passes: IRS 80 steps 0.804 mean accuracy over chips, OVF 20 steps 0.753 (six chips, 1,000 test images;
# docs/methods.md).
ALIASES: dict[str, str] = {"nft": "nft_irs"}


class OptionDescription(TypedDict):
    """An option of a method, as its JSON Schema has it."""

    name: str
    type: str
    default: object
    minimum: float | None
    maximum: float | None
    choices: list[str] | None
    description: str


class Description(TypedDict):
    """What is known of a method; ``alias_of`` is the name behind an alias, ``description`` the docstring."""

    name: str
    kind: str
    summary: str
    cost: str
    source: str
    alias_of: str | None
    description: str
    options: list[OptionDescription]


def names() -> list[str]:
    """Every method's name, without the aliases. Imports none of them."""
    return METHODS.names()


def resolve(name: str) -> str:
    """The name behind an alias.

    Raises:
        UnknownNameError: No method has this name.

    Example:
        >>> resolve("noise")
        'noise'
    """
    methods = names()
    real = ALIASES.get(name, name)
    if real not in methods:
        raise UnknownNameError("method", name, [*methods, *ALIASES])
    return real


def needs_data(name: str) -> bool:
    """Whether a method cannot do without examples; an unknown one may well need them.

    Example:
        >>> needs_data("rescale"), needs_data("noise")
        (False, True)
    """
    real = ALIASES.get(name, name)
    return real not in names() or getattr(METHODS.module(real).Method, "needs_data", True)


def load(name: str, options: Mapping[str, Any] | None = None) -> Any:
    """A method with validated options.

    Args:
        name: A method's name or alias.
        options: Its hyper-parameters; text is converted to each option's type.

    Returns:
        An objective, a transform or a recipe; its ``kind`` says which.

    Raises:
        UnknownNameError: No method has this name.
        SettingsError: Unknown options or values out of range, all of them at once.

    Example:
        >>> load("nft_ovf", {"beta": "0.01"}).config.beta
        0.01
    """
    real = resolve(name)
    method = METHODS.module(real).Method
    return method(_validated(real, method.Config, options or {}))


def describe(name: str) -> Description:
    """All that is known of a method: what ``harden methods show`` prints."""
    real = resolve(name)
    method = METHODS.module(real).Method
    return {
        "name": real,
        "kind": method.kind,
        "summary": method.summary,
        "cost": method.cost,
        "source": method.source,
        "alias_of": real if name in ALIASES else None,
        "description": inspect.getdoc(method) or "",
        "options": [_option(key, value) for key, value in method.Config.model_json_schema()["properties"].items()]
        if method.Config.model_fields
        else [],
    }


def _option(name: str, schema: Mapping[str, Any]) -> OptionDescription:
    branches = [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]
    first = branches[0] if branches else schema
    return {
        "name": name,
        "type": first.get("type", "string"),
        "default": schema.get("default"),
        "minimum": first.get("minimum", first.get("exclusiveMinimum")),
        "maximum": first.get("maximum", first.get("exclusiveMaximum")),
        "choices": first.get("enum"),
        "description": schema.get("description", ""),
    }


def _validated(name: str, config: type[BaseModel], options: Mapping[str, Any]) -> BaseModel:
    from pydantic import ValidationError

    try:
        return config(**options)
    except ValidationError as error:
        problems = [_problem(config, item) for item in error.errors()]
        raise SettingsError(
            f"method {name} does not take these options",
            fix=f"See: harden methods show {name}",
            problems=problems,
        ) from None


def _problem(config: type[BaseModel], item: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in item["loc"]) or "options"
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place, config.model_fields, n=1, cutoff=0.5)
        options = ", ".join(config.model_fields) or "none"
        return f"unknown option '{place}'. " + (f"Did you mean {near[0]}?" if near else f"Known: {options}")
    return f"{place}={item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}"
