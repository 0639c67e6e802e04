"""``harden profiles list|show``."""

from __future__ import annotations

import click

from harden.cli.screen import show


@click.group("profiles")
def command() -> None:
    """The noise profiles.

    \b
    harden profiles list
    harden profiles show rram1
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
def list_command(as_json: bool) -> None:
    """Every profile that harden ships, with its source."""
    from harden.pipeline.catalogue import profiles, profiles_text

    document = {"profiles": profiles()}
    show(document, as_json, profiles_text(document["profiles"]))


@command.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
def show_command(name: str, as_json: bool) -> None:
    """One profile: its parameters, valid times, citation. NAME may carry values (rram1:sigma_d=0.2) or be a file."""
    from harden.pipeline.catalogue import profile, profile_text

    document = profile(name)
    show(document, as_json, profile_text(document))
