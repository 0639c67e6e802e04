"""Progress off a terminal: plain lines, few of them, none when quiet; and what the shell completes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from harden.cli.screen import Screen


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("harden.cli.screen.time.monotonic", lambda: now[0])
    return now


def _run(clock, **options):
    with Screen(**options) as screen:
        for done, at in ((0, 0.0), (10, 10.0), (35, 35.0), (40, 40.0), (100, 100.0), (100, 101.0)):
            clock[0] = at
            screen("chips", done, 100)
        screen("reading", 0, 1)
        clock[0] += 0.5
        screen("reading", 1, 1)


def test_off_a_terminal_a_long_stage_gets_plain_lines_with_the_time_left(clock, capsys):
    _run(clock)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "chips: 35/100, 65 s left\nchips: 100/100, 100 s\n")


def test_verbose_names_short_stages_and_quiet_none(clock, capsys):
    _run(clock, verbose=True)
    assert capsys.readouterr().err.endswith("chips: 100/100, 100 s\nreading: 0.5 s\n")
    clock[0] = 0.0
    _run(clock, quiet=True)
    assert capsys.readouterr().err == ""


def test_a_stage_that_cannot_say_how_far_it_is_is_named_while_it_lasts(monkeypatch, capsys):
    monkeypatch.setattr("harden.cli.screen._SHORT_S", 0.05)
    with Screen() as screen:
        screen("transforming", 0, 1)
        time.sleep(0.3)
        screen("transforming", 1, 1)
        screen("verifying", 0, 1)
        screen("verifying", 1, 1)
        screen("left behind", 0, 1)
    time.sleep(0.2)
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "transforming ..."
    assert [line.partition(":")[0] for line in rest] == ["transforming"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("harden ins", ["inspect"]),
        ("harden fit --method nft_", ["nft_irs", "nft_ovf"]),
        ("harden eval m.onnx --profile rram1", ["rram1"]),
        ("harden fit --optimizer a", ["adamw"]),
        ("harden methods show resc", ["rescale"]),
    ],
)
def test_the_shell_completes_commands_methods_profiles_and_choices(words, expected):
    environment = {
        **os.environ,
        "_HARDEN_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    code = "from harden.cli import main; main([])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    found = [line.partition(",")[2] for line in done.stdout.splitlines()]
    assert found == expected, done.stderr
