"""The README's commands run, and print what it says they print.

In a ``console`` block a line that starts with ``$`` is run in an empty folder; the lines below it are what it prints.
``…`` stands for anything within a line (a time, a path); alone on a line, for any number of lines.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def commands(page: Path) -> list[tuple[str, str]]:
    """The commands of a page with the output they promise."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.replace("\\\n", " ").partition("\n")
            found.append((command, output.strip()))
    return found


def matches(promised: str, printed: str) -> bool:
    pattern = re.escape(promised).replace("\n…\n", "\n(?:.*\n)*?").replace("…", ".*")
    return re.fullmatch(pattern, printed.strip()) is not None


def test_the_matcher_can_fail() -> None:
    assert matches("a …\nb", "a 12 s\nb")
    assert matches("a\n…\nb", "a\nx\ny\nb")
    assert not matches("a\nb", "a\nc")


@pytest.mark.parametrize("page", ["README.md"])
def test_the_commands_print_what_the_page_says(page: str, tmp_path: Path) -> None:
    found = commands(ROOT / page)
    assert found
    for command, promised in found:
        words = shlex.split(command)
        assert words[0] == "harden", command
        done = subprocess.run(
            [sys.executable, "-m", "harden", *words[1:]],
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert matches(promised, done.stdout), f"$ {command}\n{done.stdout}\n--- promised\n{promised}"
