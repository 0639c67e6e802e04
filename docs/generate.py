"""Write what is made from code, pages and JSON Schemas, and fill the lines of all pages; with --check, fail instead."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from harden.cli import cli
from harden.records.schema import KINDS, schema_of
from harden.report import schema

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

import flow  # noqa: E402

_COMMON = """\
`fit`, `eval` and `compare` share these: `--dry-run` opens and checks everything, shows each setting with the flag or
line it came from, times a few steps and chips, and writes nothing; `-v` adds the detail of every stage on stderr; `-q`
leaves only the result. Results go to stdout, progress to stderr: a bar on a terminal, now and then a line elsewhere.

The shell completes commands, flags, methods and profiles after one of these (put it into the file that your shell
starts with):

```text
eval "$(_HARDEN_COMPLETE=bash_source harden)"    # bash
eval "$(_HARDEN_COMPLETE=zsh_source harden)"     # zsh
_HARDEN_COMPLETE=fish_source harden | source     # fish
```
""".splitlines()


def command_line() -> str:
    """docs/cli.md: the help of every command."""
    lines = ["# Command line", "", "Made from `harden COMMAND --help`.", "", *_COMMON]
    context = click.Context(cli, info_name="harden")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        lines += [f"## harden {name}", *_help(command, f"harden {name}", context)]
        if isinstance(command, click.Group):
            inner = click.Context(command, info_name=f"harden {name}")
            for sub in command.list_commands(inner):
                found = command.get_command(inner, sub)
                assert found is not None
                lines += [f"### harden {name} {sub}", *_help(found, f"harden {name} {sub}", inner)]
    return flow.fill("\n".join(lines))


def _help(command: click.Command, name: str, parent: click.Context) -> list[str]:
    word = name.split()[-1]
    context = click.Context(command, info_name=word, parent=parent, terminal_width=100, max_content_width=100)
    return ["", "```text", command.get_help(context), "```", ""]


def _methods() -> str:
    import make_methods

    return make_methods.page(make_methods.TARGET.read_text(encoding="utf-8"))


def _operators() -> str:
    import make_operators

    return make_operators.page()


def _results() -> str:
    import make_results

    return make_results.page()


def _schema(name: str) -> str:
    return json.dumps(schema_of(KINDS[name]), indent=1)


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": command_line,
    "methods.md": _methods,
    "operators.md": _operators,
    "results.md": _results,
    **{f"../harden/report/schema/{schema.file_of(name)}": functools.partial(_schema, name) for name in KINDS},
}


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    texts = {path: flow.fill(path.read_text(encoding="utf-8")) for path in flow.pages()}
    texts |= {DOCS / name: make().rstrip() + "\n" for name, make in PAGES.items()}
    for path, text in texts.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"not current: {', '.join(stale)}; run make fix")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
