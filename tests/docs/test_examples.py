"""The README's commands run, and print what it says they print.

In a ``console`` block a line that starts with ``$`` is run in an empty folder; the lines below it are what it prints.
``…`` stands for anything within a line (a time, a path); alone on a line, for any number of lines. Numbers may differ
by a tenth or by 2, because another processor's kernels round differently and training amplifies that.
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


NUMBER = re.compile(r"\d+(?:\.\d+)?")


def matches(promised: str, printed: str) -> bool:
    """Whether what was printed is what the page says, up to wild cards and the numbers' tolerance."""
    pattern = "".join("(?:.*\n)*?" if line == "…" else _line(line) for line in promised.splitlines())
    found = re.fullmatch(pattern, printed.strip() + "\n")
    if found is None:
        return False
    pairs = zip(NUMBER.findall(promised), found.groups(), strict=True)
    return all(abs(float(a) - float(b)) <= 2 + 0.1 * abs(float(a)) for a, b in pairs)


def _line(promised: str) -> str:
    """One promised line as a pattern: numbers are groups, runs of blanks any blanks."""
    parts = re.split(rf"({NUMBER.pattern}|…|\s+)", promised)
    made = ""
    for part in parts:
        if NUMBER.fullmatch(part):
            made += f"({NUMBER.pattern})"
        elif part == "…":
            made += ".*?"
        else:
            made += r"[ \t]+" if part.isspace() else re.escape(part)
    return made + "\n"


def test_the_matcher_can_fail() -> None:
    assert matches("a …\nb", "a 12 s\nb")
    assert matches("a\n…\nb", "a\nx\ny\nb")
    assert matches("mean 92.9%", "mean  91.5%")
    assert not matches("mean 92.9%", "mean 61.5%")
    assert not matches("a\nb", "a\nc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all pages: the second finds the demo finished, as a reader of both would."""
    return tmp_path_factory.mktemp("pages")


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_commands_print_what_the_page_says(page: str, folder: Path) -> None:
    found = commands(ROOT / page)
    assert found
    for command, promised in found:
        words = shlex.split(command)
        if words[0] == "cd":
            folder = folder / words[1]
            continue
        assert words[0] == "harden", command
        done = subprocess.run(
            [sys.executable, "-m", "harden", *words[1:]],
            cwd=folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert matches(promised, done.stdout), f"$ {command}\n{done.stdout}\n--- promised\n{promised}"
