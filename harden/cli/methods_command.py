"""``harden methods list|show``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from harden.cli.completion import methods
from harden.cli.screen import Answer, answer_options, table

if TYPE_CHECKING:
    from harden.methods import OptionDescription
    from harden.pipeline.catalogue import Shown, Summary


@click.group("methods")
def command() -> None:
    """The hardening methods.

    \b
    harden methods list
    harden methods show nft
    """


@command.command("list")
@answer_options
def list_command(answer: Answer) -> None:
    """Every method: its kind, what it does, what a step costs, where it comes from."""
    from harden.pipeline import catalogue

    document = {"methods": catalogue.methods()}
    answer.show(document, _list_text(document["methods"]))


@command.command("show")
@click.argument("name", shell_complete=methods)
@answer_options
def show_command(name: str, answer: Answer) -> None:
    """One method: equation, options with defaults and ranges, when to use it."""
    from harden.pipeline.catalogue import method

    document = method(name)
    answer.show(document, _text(document))


def _list_text(records: Sequence[Summary]) -> str:
    """The methods as a table, aliases below."""
    from harden.methods import ALIASES

    rows = [(r["name"], r["kind"], r["cost"], r["summary"]) for r in records]
    aliases = [f"{alias} is {name}" for alias, name in ALIASES.items()]
    cost = "cost: forward (F) and backward (B) passes per step; plain training has 1F 1B"
    return "\n".join([table(("method", "kind", "cost", "summary"), rows), "", cost, *aliases])


def _text(record: Shown) -> str:
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


def _range(option: OptionDescription) -> str:
    if option["choices"]:
        return f"  ({', '.join(map(str, option['choices']))})"
    low, high = option["minimum"], option["maximum"]
    if low is None and high is None:
        return ""
    return f"  ({'' if low is None else low} .. {'' if high is None else high})"
