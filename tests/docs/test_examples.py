"""What the pages show is run: commands print what the page says they print, and Python blocks run.

In a ``console`` block a line that starts with ``$`` is run in an empty folder; the lines below it are what it prints.
``…`` stands for anything within a line (a time, a path); alone on a line, for any number of lines. Numbers may differ
by a tenth or by 2, because another processor's kernels round differently and training amplifies that.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from harden.data.embedded import FILES, content

ROOT = Path(__file__).parents[2]
# What is in the report only, and of whose figures no page says anything: the curve over severities, the ranking of
# layers, and the controls.
BRIEF = {
    "severity_scales": (0.0, 1.0), "ranking_passes": 4, "ranking_chips": 3, "control_steps": 4, "control_chips": 4,
}  # fmt: skip
TUTORIALS = ("onnx.md", "timm.md", "device.md", "unlabelled.md", "method.md")


def commands(page):
    """The commands of a page with the output they promise."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.replace("\\\n", " ").partition("\n")
            found.append((command, output.strip()))
    return found


NUMBER = re.compile(r"(?:\+-|[+-])?\d+(?:\.\d+)?")  # with its sign: a change of almost nothing has either


def matches(promised, printed):
    """Whether what was printed is what the page says, up to wild cards and the numbers' tolerance."""
    pattern = "".join("(?:.*\n)*?" if line == "…" else _line(line) for line in promised.splitlines())
    found = re.fullmatch(pattern, printed.strip() + "\n")
    if found is None:
        return False
    pairs = zip(NUMBER.findall(promised), found.groups(), strict=True)
    values = ((float(a.removeprefix("+-")), float(b.removeprefix("+-"))) for a, b in pairs)
    return all(abs(a - b) <= 2 + 0.1 * abs(a) for a, b in values)


def _line(promised):
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


def test_the_matcher_can_fail():
    assert matches("a …\nb", "a 12 s\nb")
    assert matches("a\n…\nb", "a\nx\ny\nb")
    assert matches("mean 92.9%", "mean  91.5%")
    assert not matches("mean 92.9%", "mean 61.5%")
    assert matches("clean -0.2 points", "clean   +-0.0 points")
    assert not matches("clean -3.2 points", "clean   +3.2 points")
    assert not matches("a\nb", "a\nc")


def run(harden, line, folder, promised):
    words = shlex.split(line)
    assert words[0] == "harden", line
    done = harden(folder, *words[1:], together=True, pacing=BRIEF)
    assert matches(promised, done.out), f"$ {line}\n{done.out}\n--- promised\n{promised}"


@pytest.fixture(scope="session")
def run_python(processes):
    def run(block, folder):
        done = processes.python(folder, block)
        assert done.code == 0, f"{block}\n{done.err}"

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all pages: the second finds the demo finished, as a reader of both would."""
    return tmp_path_factory.mktemp("pages")


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_commands_print_what_the_page_says(page, folder, command):
    found = commands(ROOT / page)
    assert found
    for line, promised in found:
        words = shlex.split(line)
        if words[0] == "cd":
            folder = folder / words[1]
            continue
        run(command, line, folder, promised)


@pytest.fixture
def prepared(tmp_path):
    """A folder with the files that stand in for the reader's own."""
    for name in FILES:
        (tmp_path / name).write_bytes(content(name))
    return tmp_path


def python_blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", ["docs/data.md", "docs/report.md", "docs/api.md"])
def test_python_on_a_page_runs_from_top_to_bottom(page, prepared, run_python):
    blocks = python_blocks(ROOT / page)
    assert blocks
    run_python("\n".join(blocks), prepared)


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS)
def test_a_tutorial_can_be_followed(page, prepared, command, run_python):
    """Its Python first, then its commands; they are written in this order on every page."""
    for block in python_blocks(ROOT / "docs" / "tutorials" / page):
        run_python(block, prepared)
    for line, promised in commands(ROOT / "docs" / "tutorials" / page):
        run(command, line, prepared, promised)


@pytest.mark.slow
def test_the_added_method_trains(prepared, run_python):
    (block,) = python_blocks(ROOT / "docs" / "tutorials" / "method.md")
    code = """
import importlib.metadata, harden
from harden.registry import METHODS
point = importlib.metadata.EntryPoint("two_chips", "two_chips", METHODS.group)
real = importlib.metadata.entry_points
importlib.metadata.entry_points = lambda **k: [point] if k.get("group") == METHODS.group else real(**k)
model, profile = harden.load("digits_cnn.onnx"), harden.Profile.load("gaussian")
data = harden.Dataset.open("train.npz", preprocess=model.preprocess)
fitted = harden.fit(model, data, method="two_chips", profile=profile, options={"weight": 0.3}, epochs=0.1)
assert {"first", "second"} <= set(fitted.history[0])
"""
    run_python(block + code, prepared)


def test_every_tutorial_is_tested():
    assert sorted(path.name for path in (ROOT / "docs" / "tutorials").glob("*.md")) == sorted(TUTORIALS)
