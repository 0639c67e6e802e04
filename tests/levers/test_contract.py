"""What every lever owes, a third party's too: the suite finds them by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import small_digits
import torch
from click.testing import CliRunner

from harden.cli import cli
from harden.errors import SettingsError
from harden.levers import in_use, levers, row, without
from harden.registry import LEVERS
from harden.settings import FitSettings, resolve
from harden.settings.resolve import flag_of
from harden.training import loop
from harden.training.loop import train

ROOT = Path(__file__).parents[2]
ALL = levers()
TRAINING = [lever for lever in ALL if lever.trains]
OPTIONS = [(lever, name) for lever in ALL for name in lever.Options.model_fields]


def named(levers):
    return pytest.mark.parametrize("lever", levers, ids=[lever.name for lever in levers])


def bits(trained):
    return {name: tensor.numpy().tobytes() for name, tensor in trained.weights.items()}, trained.history


@pytest.fixture
def alone(plan):
    """A plan with one lever on, as its example has it, and all others off, but for those that act at the end."""

    def make(lever):
        others = [other.name for other in ALL if other.trains and other.name not in (lever.name, "freeze_batch_norms")]
        return without(plan(freeze_batch_norms=0.0), others).replace(**lever.example)

    return make


def test_the_registry_lists_levers_and_nothing_else():
    assert sorted(lever.name for lever in ALL) == LEVERS.names()
    orders = [lever.order for lever in ALL]
    equal = {lever.name: lever.order for lever in ALL if orders.count(lever.order) > 1}
    assert not equal, f"these levers have the same order: {equal}"
    assert all(lever.__doc__ and lever.example for lever in ALL)


@named(TRAINING)
def test_off_is_absent(lever, problem, plan, monkeypatch):
    off = plan(steps=3, **lever.switched_off())
    assert not lever.on(off)
    switched_off = train(problem, off)
    monkeypatch.setattr(loop, "levers", lambda: [other for other in ALL if other is not lever])
    assert bits(switched_off) == bits(train(problem, off))
    said = row(lever.name, switched_off.levers[lever.name])
    assert said is not None
    assert said.state in ("off", "not tried")


@named(TRAINING)
def test_on_is_recorded_and_leaving_it_out_changes_the_run(lever, problem, alone):
    on = alone(lever)
    assert lever.on(on)
    trained = train(problem, on)
    record = trained.levers[lever.name]
    assert json.loads(json.dumps(record)) == record
    assert lever.to_json(lever.from_json(record)) == record
    said = row(lever.name, record)
    assert said is not None
    assert said.lever
    assert said.state != "off"
    assert lever in in_use(on, trained.levers, batch_norms=True)
    left_out = train(problem, lever.left_out(on, trained.levers))
    assert any(not torch.equal(left_out.weights[name], weight) for name, weight in trained.weights.items())


@named(ALL)
def test_it_is_in_the_documents_and_in_the_help(lever):
    page, help_text = (ROOT / "docs" / "levers.md").read_text(), CliRunner().invoke(cli, ["fit", "--help"]).output
    for name, field in lever.Options.model_fields.items():
        assert flag_of(name) in page or f"`{name}`" in page, f"docs/levers.md has no row with {flag_of(name)}"
        assert f"  {flag_of(name)} " in help_text
        assert field.description


@pytest.mark.parametrize(("lever", "name"), OPTIONS, ids=[name for _, name in OPTIONS])
def test_a_wrong_value_is_refused_by_name(lever, name, plan):
    wrong = {"neither": "this"}
    with pytest.raises(SettingsError, match=f"(--{name.replace('_', '-')}|settings)"):
        resolve(FitSettings, {"model": "m.onnx", name: wrong})
    if lever.trains:
        with pytest.raises(SettingsError, match=name):
            plan(**{name: wrong})


TOY = '''
from pydantic import Field

from harden.levers import base


class Options(base.Options):
    shrink: float = Field(0.0, ge=0, lt=1, description="share that every weight loses after each step")


class Lever(base.Lever[Options]):
    """Weight decay of the crude sort."""

    Options = Options
    example = {"shrink": 0.1}

    def after_step(self, training, step):
        for parameter in training.net.parameters():
            parameter.data.mul_(1 - self.options.shrink)
'''
USE = """
import sys

from harden import pacing
from harden.cli import cli

pacing.use(pacing.Pacing(severity_scales=(0.0, 1.0), ranking_passes=4, ranking_chips=2))
cli(["fit", "--help"], standalone_mode=False)
for arguments in (["--out", "off"], ["--out", "on", "--shrink", "0.01"]):
    cli(
        ["fit", "small.onnx", "--data", "train.npz", "--profile", "gaussian", "--method", "noise", "--limit", "64",
         "--epochs", "1", "--chips", "2", "--second-try", "off", "--threads", "1", "-q", *arguments],
        standalone_mode=False,
    )
"""


def test_a_third_partys_lever_is_one_file_and_an_entry_point(tmp_path):
    site = tmp_path / "site"
    info = site / "harden_toy-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "harden_toy.py").write_text(TOY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: harden-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harden.levers]\nshrink = harden_toy\n")
    environment = {"PYTHONPATH": f"{ROOT}:{site}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}

    small_digits.write(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--shrink X" in done.stdout
    off, on = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("off", "on"))
    assert off["levers"]["shrink"] is None
    assert on["levers"]["shrink"] == {"shrink": 0.01}
    assert on["settings"]["shrink"] == 0.01
    losses = [[step["loss"] for step in document["training"]["history"]] for document in (off, on)]
    assert losses[0][-1] != losses[1][-1]
    assert "shrink" in (tmp_path / "on" / "report.html").read_text()


def test_two_levers_with_one_option_are_refused(tmp_path):
    site = tmp_path / "site"
    info = site / "harden_toy-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "harden_toy.py").write_text(TOY.replace("shrink", "clip"))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: harden-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harden.levers]\nanother = harden_toy\n")
    program = "import harden.levers as l\ntry: l.levers()\nexcept Exception as e: print(type(e).__name__, e)"
    environment = {"PYTHONPATH": f"{ROOT}:{site}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert "SettingsError" in done.stdout
    assert "both have an option clip" in done.stdout
