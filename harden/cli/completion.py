"""What the shell completes beyond flags: names of methods and profiles, and files. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

HELP = """\b
Completion of commands, flags, methods and profiles (once, in the file that your shell starts with):
  bash: eval "$(_HARDEN_COMPLETE=bash_source harden)"
  zsh:  eval "$(_HARDEN_COMPLETE=zsh_source harden)"
  fish: _HARDEN_COMPLETE=fish_source harden | source"""

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def methods(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of methods."""
    from harden.registry import METHODS

    return _beginning(["nft", *METHODS.names()], begun)


def profiles(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of profiles; a profile may also be a file."""
    from harden.registry import DEVICES

    return _beginning(DEVICES.names(), begun) or files(context, parameter, begun)


def files(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Files and folders; the shell knows them."""
    return [CompletionItem(begun, type="file")]


def choices(names: Iterable[str]) -> Complete:
    """One of a fixed set."""
    words = list(names)
    return lambda _context, _parameter, begun: _beginning(words, begun)


def _beginning(names: Iterable[str], begun: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(begun)]
