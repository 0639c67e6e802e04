"""The pages made for the site: none is missing, each says when, when not, at what cost and on what evidence."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from harden.noise import show
from harden.registry import METHODS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_site", DOCS / "make_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_advice_is_given_for_every_member_and_no_other(site: ModuleType) -> None:
    assert sorted(site.advice()["methods"]) == sorted(METHODS.names())
    assert sorted(site.advice()["devices"]) == sorted(one["name"] for one in show.listing())


def test_every_page_says_when_at_what_cost_and_why(site: ModuleType) -> None:
    pages = site.pages()
    assert len(pages) == len(METHODS.names()) + len(show.listing()) + len(site.advice()["levers"])
    for path, text in pages.items():
        for words in ("**Use** ", "**Do not use** it when ", "**Cost", "**Evidence.** "):
            assert text.count(words) == 1, (path, words)
        # "None" only as the first word of an answer; elsewhere it would be a value that leaked out of Python.
        assert not re.search(r"(?<!\*\* )\bNone\b", text.split("## ")[0]), path
