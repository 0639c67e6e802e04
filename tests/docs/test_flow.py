"""Markdown at one width, by a tool that changes no word."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def load():
    spec = importlib.util.spec_from_file_location("flow", DOCS / "flow.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


flow = load()


@pytest.mark.parametrize("page", flow.pages(), ids=lambda path: path.name)
def test_every_page_is_filled(page):
    text = page.read_text(encoding="utf-8")
    assert flow.fill(text) == text, "run python docs/generate.py"


def test_paragraphs_and_items_are_filled_and_the_rest_is_left():
    words, code = " ".join(["word"] * 40), " ".join(["code"] * 40)
    text = f"# {words}\n{words}\n\n- {words}\n  {words}\n\n| {words} |\n\n```\n{code}\n```\n\n    {words}\n"
    made = flow.fill(text)
    assert made.split() == text.split()
    lines = made.splitlines()
    assert max(len(line) for line in lines if line.startswith(("word", "- ", "  word"))) <= 120
    for kept in (f"# {words}", f"| {words} |", code, f"    {words}"):
        assert kept in lines
    assert flow.fill(made) == made


@pytest.mark.parametrize("sign", ["-", "+", "12.", "#", "|", ">", "="])
def test_no_line_begins_with_what_would_change_its_meaning(sign):
    text = " ".join(["word", sign] * 60) + "\n"
    assert not any(line.startswith(sign) for line in flow.fill(text).splitlines())
