"""A failure, told in a line, and its exit code."""

from __future__ import annotations

import shlex
import sys
import tempfile
import traceback
from pathlib import Path

import click

from harden.errors import HardenError
from harden.memory import SMALLER, OutOfMemoryError, out_of_memory

_INTERRUPTED = 130
_BUG = 1
_KEEPS_WITH_OUT = ("eval", "compare")  # fit names a folder itself


def report_failure(error: BaseException, arguments: list[str]) -> int:
    """Tell the user what went wrong on stderr and return the exit code.

    Args:
        error: What was raised.
        arguments: The command line, for the line that resumes an interrupted run.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0
    if isinstance(error, HardenError):
        return _say(f"error: {error}", error.exit_code)
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return _say(_interrupted(arguments), _INTERRUPTED)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return _say(error.format_message(), error.exit_code)
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = f" See: {context.command_path} --help" if context else ""
        return _say(f"error: {error.format_message()}{hint}", error.exit_code)
    if isinstance(error, BrokenPipeError):
        return _BUG
    if out_of_memory(error):
        return _say(f"error: not enough memory ({_summary(error)}). {SMALLER}", OutOfMemoryError.exit_code)
    return _say(f"bug: {_summary(error)}; details saved to {_save(error)}", _BUG)


def _interrupted(arguments: list[str]) -> str:
    command = f"interrupted; to resume: harden {shlex.join(arguments)}"
    keeps = not arguments or arguments[0] not in _KEEPS_WITH_OUT or any(a.startswith("--out") for a in arguments)
    return command if keeps else f"{command}  (finished work is kept only with --out)"


def _summary(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _save(error: BaseException) -> Path:
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile("w", prefix="harden-bug-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(text)
    sys.stderr.write(text)
    return Path(file.name)


def _say(text: str, code: int) -> int:
    click.echo(text, err=True)
    return code
