"""What can be chosen by name: methods and profiles."""

from __future__ import annotations

import re
from typing import Any

from harden import methods as method_package
from harden.noise import describe as noise_text
from harden.noise.profile import Profile
from harden.pipeline.models import open_model
from harden.registry import METHODS


def methods() -> list[dict[str, Any]]:
    """One record per method: name, kind, summary, cost, source."""
    keys = ("name", "kind", "summary", "cost", "source")
    return [{key: record[key] for key in keys} for record in map(method_package.describe, METHODS)]


def methods_text(records: list[dict[str, Any]]) -> str:
    """The methods as a table, aliases below."""
    rows = [(r["name"], r["kind"], r["cost"], r["summary"]) for r in records]
    aliases = [f"{alias} is {name}" for alias, name in method_package.ALIASES.items()]
    cost = "cost: forward (F) and backward (B) passes per step; plain training has 1F 1B"
    return "\n".join([_table(("method", "kind", "cost", "summary"), rows), "", cost, *aliases])


def method(name: str) -> dict[str, Any]:
    """Everything there is to know of one method, options included."""
    return {**method_package.describe(name), "alias": name}


def method_text(record: dict[str, Any]) -> str:
    """One method for people."""
    cost = re.sub(r"(\d+)F (\d+)B", r"\1 forward and \2 backward passes", record["cost"])
    lines = [f"{record['name']}: {record['summary']}", f"cost per step: {cost}"]
    if record["alias_of"]:
        lines.insert(0, f"{record['alias']} is {record['name']}")
    # The documentation draws the formulas; a terminal shows their TeX as it is.
    description = re.sub(r":math:`([^`]*)`", r"\1", record["description"].replace(".. math:: ", ""))
    lines += ["", description, "", "options (-o key=value):" if record["options"] else "no options"]
    for option in record["options"]:
        lines.append(f"  {option['name']} = {option['default']}{_range(option)}")
        lines.append(f"      {option['description']}")
    return "\n".join(lines)


def _range(option: dict[str, Any]) -> str:
    if option["choices"]:
        return f"  ({', '.join(map(str, option['choices']))})"
    low, high = option["minimum"], option["maximum"]
    if low is None and high is None:
        return ""
    return f"  ({'' if low is None else low} .. {'' if high is None else high})"


def profiles() -> list[dict[str, str]]:
    """One record a shipped profile: name, kind, summary, source, level, valid."""
    return noise_text.listing()


def profiles_text(records: list[dict[str, Any]]) -> str:
    """The profiles as a table."""
    return _table(
        ("profile", "storage", "level", "summary"), [(r["name"], r["kind"], r["level"], r["summary"]) for r in records]
    )


def profile(text: str, model: str | None = None, at_s: float | None = None) -> dict[str, Any]:
    """One profile, with any values given in its name, and what it would do to a model.

    Args:
        text: ``NAME[:key=value,...]`` or a file.
        model: An ONNX file, or ``timm:NAME``.
        at_s: Seconds since programming; None is the first valid time.
    """
    weights = None if model is None else open_model(model, allow_random=True).analog_weights()
    return noise_text.describe(Profile.parse(text), weights, at_s=at_s)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in [header, *rows]
    )
