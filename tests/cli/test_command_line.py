"""The command line from outside: speed of help, exit codes, one-line errors."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from harden import __version__
from harden.cli import cli, main
from harden.cli.groups import headings
from harden.settings import CompareSettings, EvalSettings, FitSettings


def run(capsys, *arguments):
    """Run the command line in this process: exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    out, err = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, out, err


def test_help_imports_no_heavy_package():
    code = (
        "import sys; sys.argv = ['harden', '--help']\n"
        "from harden.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'timm', 'numpy', 'pydantic', 'scipy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


COMMANDS = cli.list_commands(click.Context(cli))
LEAVES = [
    (name, *inner)
    for name in COMMANDS
    for group in [cli.get_command(click.Context(cli), name)]
    for inner in ([(one,) for one in group.commands] if isinstance(group, click.Group) else [()])
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"harden {command}" in out.split("Usage:")[1].split("\n", 1)[1]


@pytest.mark.parametrize("words", [one for one in LEAVES if one != ("report",)], ids=" ".join)
def test_every_command_speaks_json_and_can_be_verbose_or_quiet(words, capsys):
    _, out, _ = run(capsys, *words, "--help")
    assert all(flag in out for flag in ("--json", "-v, --verbose", "-q, --quiet"))


def test_verbose_tells_the_version_beside_the_result(capsys):
    quiet = run(capsys, "plan", "--margin", "0.01", "--std", "0.04", "-q")
    code, out, err = run(capsys, "plan", "--margin", "0.01", "--std", "0.04", "-v")
    assert (code, out) == quiet[:2]
    assert quiet[2] == ""
    assert err.startswith(f"harden {__version__}, ")


def test_an_unknown_command_is_answered_with_the_near_one(capsys):
    assert run(capsys, "fti") == (2, "", "error: unknown command 'fti'. Did you mean fit?\n")


def test_an_unknown_flag_exits_2(capsys):
    code, out, err = run(capsys, "eval", "m.onnx", "--chip", "3")
    assert (code, out) == (2, "")
    assert "--chips" in err


def test_an_unprepared_folder_is_told_what_to_write(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "fit", "resnet18.onnx", "--method", "nft")
    assert code == 2
    assert 'profile = "rram1"' in err
    assert 'data = "train.parquet"' in err
    assert "--method rescale" in err
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_wrong_is_told_at_once_with_its_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").touch()
    (tmp_path / "train.parquet").touch()
    (tmp_path / "harden.toml").write_text(
        'model = "nett.onnx"\n\nprofile = "ramm1"\nmethod = "nft"\n[options]\nbetta = 1\n'
    )
    code, _, err = run(capsys, "fit", "--data", "trian.parquet", "--require", "p05_acuracy>=0.9")
    assert code == 2
    first, *problems = err.splitlines()
    assert first == "error: settings are wrong"
    told = "\n".join(problems)
    assert "harden.toml, line 1: model: nett.onnx: no such file. Did you mean net.onnx?" in told
    assert "harden.toml, line 3: profile: unknown profile 'ramm1'. Did you mean rram1" in told
    assert "harden.toml, line 5: options: method nft_irs does not take these options: unknown option 'betta'" in told
    assert "--data: trian.parquet: no such file or folder. Did you mean train.parquet?" in told
    assert "--require: " in told
    assert len([line for line in problems if line.startswith("  - ")]) == 5


def test_one_wrong_name_in_the_file_is_told_with_its_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("net.onnx", "t.parquet"):
        (tmp_path / name).touch()
    (tmp_path / "harden.toml").write_text(
        'model = "net.onnx"\nprofile = "rram1"\ndata = "t.parquet"\nmethod = "nfft"\n'
    )
    code, _, err = run(capsys, "fit")
    assert (code, err) == (
        2,
        "error: harden.toml, line 4: method: unknown method 'nfft'. Did you mean nft or nft_ovf or nft_irs?\n",
    )


def test_a_bug_is_a_bug_with_its_details_saved(capsys, monkeypatch):
    def broken():
        raise RuntimeError("boom")

    monkeypatch.setattr("harden.pipeline.catalogue.profiles", broken)
    code, _, err = run(capsys, "profiles", "list")
    assert code == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith("bug: RuntimeError: boom")
    saved = Path(last.split("saved to ")[1])
    assert "boom" in saved.read_text()
    saved.unlink()


def test_an_interrupted_command_prints_the_line_that_resumes(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("harden.pipeline.catalogue.profiles", interrupted)
    code, _, err = run(capsys, "profiles", "list")
    assert code == 130
    assert err.strip() == "interrupted; to resume: harden profiles list"


@pytest.mark.parametrize("kind", [FitSettings, EvalSettings, CompareSettings])
def test_every_setting_has_a_place_in_the_help(kind):
    placed = [name for names in headings().values() for name in names]
    assert len(placed) == len(set(placed))
    assert set(kind.model_fields) - {"model", "others"} <= set(placed)


def test_help_shows_every_flag_once_under_its_heading(capsys):
    code, out, _ = run(capsys, "fit", "--help")
    assert code == 0
    flags = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", out, re.MULTILINE)
    assert len(flags) == len(set(flags))
    places = [out.index(text) for text in ("\n  --profile", "Data:", "\n  --mean", "Levers:", "\n  --json")]
    assert places == sorted(places)


def test_the_command_alone_shows_its_help(capsys):
    code, _, err = run(capsys)
    assert code == 2
    assert err.startswith("Usage: harden")


@pytest.mark.parametrize(
    ("command", "kind"), [("fit", FitSettings), ("eval", EvalSettings), ("compare", CompareSettings)]
)
def test_a_flag_of_several_values_keeps_them_all(command, kind):
    """What may be given more than once follows from the setting's type, not from the words of its help."""
    parameters = {one.name: one for one in cli.get_command(click.Context(cli), command).params}
    several = {name for name in kind.model_fields if name in parameters and parameters[name].multiple}
    common = {"profile", "require", "digital", "metric"}
    more = {"fit": {"train_profile", "options"}, "eval": {"sweep", "copies", "also"}, "compare": set()}
    assert several == common | more[command]
