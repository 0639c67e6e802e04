"""One path for flags, files and Python; all problems at once, with their origin."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.errors import SettingsError
from harden.origins import key_lines
from harden.settings import EvalSettings, FitSettings, origin, resolve, seconds, to_toml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_durations():
    assert [seconds(t) for t in ("0s", "90", "1.5min", "1h", "30d")] == [0.0, 90.0, 90.0, 3600.0, 2592000.0]
    for wrong in ("1 fortnight", "", "h", "-1h"):
        with pytest.raises(ValueError, match="not a duration"):
            seconds(wrong)


def test_flags_beat_the_file_and_the_file_beats_the_defaults(tmp_path):
    file = tmp_path / "harden.toml"
    file.write_text('chips = 7\nseed = 3\nprofile = "rram1"\n')
    settings = resolve(FitSettings, {"model": "m.onnx", "seed": "5", "profile": ()}, file)
    assert (settings.chips, settings.seed, settings.profile, settings.epochs) == (7, 5, ("rram1",), None)


def test_text_and_native_values_are_the_same():
    text = {"model": "m", "mean": ".1,.2,.3", "at": "1h,30d", "clip": "2.5", "input_size": "32", "budget": "10min"}
    native = {
        "model": "m",
        "mean": [0.1, 0.2, 0.3],
        "at": [3600, 2592000.0],
        "clip": 2.5,
        "input_size": [32, 32],
        "budget": 600,
    }
    assert resolve(FitSettings, text, Path("/dev/null")) == resolve(FitSettings, native, Path("/dev/null"))


def test_all_problems_at_once_each_with_its_origin(tmp_path):
    file = tmp_path / "harden.toml"
    file.write_text('# ours\nchips = 0\nat = [\n  1,\n]\nepoch = 3\noptimizer = "adam"\n')
    with pytest.raises(SettingsError) as caught:
        resolve(FitSettings, {"model": "m", "threshold": "high", "clip": "lots"}, file)
    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 5
    assert f"{file}, line 6: epoch: unknown key; did you mean epochs?" in problems
    assert f"{file}, line 2: chips: " in problems
    assert f"{file}, line 7: optimizer: must be one of sgd, adamw (got 'adam'); did you mean adamw?" in problems
    assert "--threshold" in problems
    assert "--clip" in problems


def test_every_value_knows_where_it_came_from(tmp_path):
    file = tmp_path / "harden.toml"
    file.write_text('profile = "rram1"\n\nbatch-size = 7\n[options]\nbeta = 0.1\n')
    settings = resolve(FitSettings, {"model": "m.onnx", "seed": "5"}, file)
    found = {name: origin(settings, name) for name in ("profile", "batch_size", "options", "seed", "model", "lr")}
    assert found == {
        "profile": f"{file}, line 1: profile",
        "batch_size": f"{file}, line 3: batch-size",
        "options": f"{file}, line 4: options",
        "seed": "--seed",
        "model": "MODEL",
        "lr": "default",
    }


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.sampled_from(["1", '"x = 1"', "[\n 1, # a = 2\n]", '"""\na = 1\n"""']),
    )
)
def test_lines_of_keys(values):
    text, lines = "", {}
    for name, value in values.items():
        text += "# x = 1\n\n"
        lines[name] = text.count("\n") + 1
        text += f"{name} = {value}\n"
    assert key_lines(text) == lines


def test_paths_in_a_file_are_relative_to_it(tmp_path):
    (tmp_path / "harden.toml").write_text('data = "train.parquet"\ntest = "/abs/test.parquet"\n')
    settings = resolve(FitSettings, {"model": "m.onnx"}, tmp_path / "harden.toml")
    assert settings.data == str(tmp_path / "train.parquet")
    assert settings.test == "/abs/test.parquet"


def test_eval_in_a_prepared_folder_takes_the_test_set(tmp_path):
    (tmp_path / "harden.toml").write_text('data = "train.npz"\ntest = "test.npz"\nmethod = "noise"\n')
    settings = resolve(EvalSettings, {"model": "m.onnx"}, tmp_path / "harden.toml")
    assert settings.data == str(tmp_path / "test.npz")


def test_a_broken_file_says_where(tmp_path):
    (tmp_path / "harden.toml").write_text("chips = = 3")
    with pytest.raises(SettingsError, match=r"harden\.toml.*not valid TOML.*line 1"):
        resolve(EvalSettings, {"model": "m"}, tmp_path / "harden.toml")


@given(
    chips=st.integers(1, 10**6),
    at=st.lists(st.floats(0, 1e9), max_size=3),
    clip=st.one_of(st.sampled_from(["auto", "none"]), st.floats(0.1, 10)),
    options=st.dictionaries(st.sampled_from(["beta", "steps"]), st.floats(0, 1)),
)
def test_settings_survive_toml(chips, at, clip, options):
    settings = FitSettings.model_validate(
        {"model": "m", "chips": chips, "at": at, "clip": clip, "options": options, "mean": (0.5,)}
    )
    assert FitSettings.model_validate(tomllib.loads(to_toml(settings))) == settings


@pytest.mark.parametrize("value", ["90%", 0.9, "0.9", "90 %"])
def test_rates_may_be_percentages(value):
    settings = resolve(EvalSettings, {"model": "m.onnx", "threshold": value})
    assert settings.threshold == 0.9
