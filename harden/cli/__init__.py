"""The command line: one file per command, each of which parses, calls one pipeline function and shows its document."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from harden import __version__, distributed
from harden.cli.completion import HELP
from harden.cli.failure import report_failure

_COMMANDS = {
    "fit": "harden a model against a noise profile and validate it",
    "eval": "measure the accuracy a population of chips will have",
    "compare": "several models on the same chips",
    "inspect": "can this model be hardened, and which weights are noisy?",
    "profiles": "the noise profiles: list, show, check, calibrate",
    "methods": "the hardening methods: list, show",
    "plan": "how many chips a desired certainty needs",
    "report": "make report.html again from a finished run; bill of materials, signature",
    "export": "the target conductances of a model's weights, for programming a chip",
    "doctor": "check this machine: versions, cores, optional packages, and that noise reaches the weights",
    "demo": "harden a small network on embedded data, in two minutes",
}


class _LazyGroup(click.Group):
    """Imports a command when it is called, so that ``harden --help`` costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        return importlib.import_module(f"harden.cli.{cmd_name}_command").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from harden.errors import UnknownNameError

            raise UnknownNameError("command", args[0], _COMMANDS) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=HELP)
@click.version_option(__version__, prog_name="harden")
def cli() -> None:
    """Make a pretrained network robust against the noise of the hardware it will run on.

    \b
    harden fit model.onnx --method nft --profile rram1 \\
        --data train.parquet --test test.parquet --out runs/a
    """


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit with the codes of harden.errors."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not distributed.is_leader() and arguments[:1] != ["fit"]:
        sys.exit(0)  # of several processes that a launcher has started, one is enough
    try:
        code = cli.main(args=arguments, prog_name="harden", standalone_mode=False)
    except BaseException as error:  # every failure ends here: shown in one line, turned into its exit code
        code = report_failure(error, arguments)
    sys.exit(code if isinstance(code, int) else 0)
