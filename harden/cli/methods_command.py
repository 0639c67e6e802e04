"""``harden methods list|show``."""

from __future__ import annotations

import click

from harden.cli.completion import methods
from harden.cli.screen import show


@click.group("methods")
def command() -> None:
    """The hardening methods.

    \b
    harden methods list
    harden methods show nft
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
def list_command(as_json: bool) -> None:
    """Every method: its kind, what it does, what a step costs, where it comes from."""
    from harden.pipeline import catalogue

    document = {"methods": catalogue.methods()}
    show(document, as_json, catalogue.methods_text(document["methods"]))


@command.command("show")
@click.argument("name", shell_complete=methods)
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
def show_command(name: str, as_json: bool) -> None:
    """One method: equation, options with defaults and ranges, when to use it."""
    from harden.pipeline.catalogue import method, method_text

    document = method(name)
    show(document, as_json, method_text(document))
