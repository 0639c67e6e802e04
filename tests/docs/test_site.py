"""The pages made for the site: none is missing, each says when, when not, at what cost and on what evidence."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from harden.noise import describe as noise_text
from harden.registry import METHODS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def site():
    spec = importlib.util.spec_from_file_location("make_site", DOCS / "make_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_advice_is_given_for_every_member_and_no_other(site):
    members = {"methods": METHODS.names(), "devices": [one["name"] for one in noise_text.listing()]}
    for kind, names in members.items():
        differ = sorted(set(site.advice()[kind]) ^ set(names))
        assert not differ, f"docs/advice.toml, {kind}: missing there, or no members: {differ}"


def test_every_page_says_when_at_what_cost_and_why(site):
    pages = site.pages()
    assert len(pages) == len(METHODS.names()) + len(noise_text.listing()) + len(site.advice()["levers"])
    for path, text in pages.items():
        for words in ("**Use** ", "**Do not use** it when ", "**Cost", "**Evidence.** "):
            assert text.count(words) == 1, (path, words)
        # "None" only as the first word of an answer; elsewhere it would be a value that leaked out of Python.
        assert not re.search(r"(?<!\*\* )\bNone\b", text.split("## ")[0]), path


def test_figures_are_those_of_the_results(site, tmp_path, monkeypatch):
    evidence, results = site.make_evidence, site.make_evidence.make_results
    cells = {
        "as given": [0.2, 0.3],
        "noise-free fine-tuning": [0.3],
        "noise": [0.5],
        "noise, clip at 2": [0.75],
        "distillation, clip at 1.5, frozen norms, batches of 32": [0.9],
    }
    lines = [
        {"method": name, "profile": "gaussian:sigma=0.1", "seed": seed, "mean": mean, "min": mean - 0.1}
        for name, means in cells.items()
        for seed, mean in enumerate(means)
    ]
    (tmp_path / "effectiveness-quick.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    evidence._tasks.cache_clear()
    try:
        (row,) = [line for line in evidence.of_method("noise") if "| noise, clip at 2 |" in line]
        # It, the network as given (two seeds), the control, the default.
        assert row.endswith("| 75.0 (65.0) | 25.0 (15.0, n = 2) | 30.0 (20.0) | 90.0 (80.0) |")
        pairs = [line for line in evidence.of_lever("clip") if "| noise |" in line]
        assert [line.split(" | ", 2)[2] for line in pairs] == [
            "clip 2.0: 75.0 (65.0) | clip off: 50.0 (40.0) | +25.0 |"
        ]
        assert "Not measured" in evidence.of_lever("noise-ramp")[0]
        assert len([line for line in evidence.of_device("gaussian") if "gaussian:sigma=0.1" in line]) == 1
        assert "Not measured" in evidence.of_device("pcm")[0]
    finally:
        evidence._tasks.cache_clear()


def test_duels_are_fought_seed_by_seed(site):
    results = site.make_evidence.make_results

    def rows(**means):
        return [{"seed": int(k[1:]), "mean": m, "std": 0.03, "chips": 9} for k, m in means.items()]

    # Differences of the common seeds: 0.10 and 0.02; their deviation over the root of two is 0.04.
    several = results.duel(rows(s0=0.8, s1=0.6, s2=0.1), rows(s0=0.7, s1=0.58, s7=0.9))
    assert several == (2, pytest.approx(0.7), pytest.approx(0.06), pytest.approx(0.04))
    # One seed says nothing of other seeds: two times 0.03 / 3, over chips.
    one = results.duel(rows(s0=0.8), rows(s0=0.7, s1=0.1))
    assert one == (1, pytest.approx(0.8), pytest.approx(0.1), pytest.approx(0.01 * 2**0.5))


def test_every_lever_of_the_advice_is_looked_for(site):
    assert sorted(site.make_evidence.LEVERS) == sorted(site.advice()["levers"])


def test_the_readme_counts_methods_and_profiles():
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert f"lists {len(METHODS.names())} hardening methods" in readme
    assert f"lists {len(noise_text.listing())} noise profiles" in readme
