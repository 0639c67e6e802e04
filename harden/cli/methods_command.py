"""``harden methods list|show``."""

from __future__ import annotations

import click

from harden.cli.completion import methods
from harden.cli.screen import Answer, answer_options


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
    answer.show(document, catalogue.methods_text(document["methods"]))


@command.command("show")
@click.argument("name", shell_complete=methods)
@answer_options
def show_command(name: str, answer: Answer) -> None:
    """One method: equation, options with defaults and ranges, when to use it."""
    from harden.pipeline.catalogue import method, method_text

    document = method(name)
    answer.show(document, method_text(document))
