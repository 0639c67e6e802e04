"""The preprocessing record: what it accepts, how it travels, and who wins."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.data import Preprocess, resolve_preprocess
from harden.errors import HardenError, PreprocessError

IMAGENET = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (224, 224), resize="crop", crop_pct=0.875)


def test_channels_are_counted_from_mean():
    assert Preprocess((0.1,), (0.2,)).channels == 1
    assert IMAGENET.channels == 3


def test_json_brings_back_the_same_record():
    assert Preprocess.from_json(IMAGENET.to_json()) == IMAGENET
    assert json.loads(IMAGENET.to_json())["mean"] == [0.485, 0.456, 0.406]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mean": (0.5,)}, "mean has 1 values for 3 channels"),
        ({"std": (0.5, 0.5)}, "std has 2 values for 3 channels"),
        ({"std": (0.0, 1, 1)}, "std must be positive"),
        ({"std": (float("nan"), 1, 1)}, "std must be positive"),
        ({"mean": (float("inf"), 1, 1)}, "mean must be finite"),
        ({"input_size": (224,)}, "not a height and a width"),
        ({"input_size": (0, 4)}, "not a height and a width"),
        ({"layout": "CHW"}, "NCHW, NHWC"),
        ({"resize": "stretch"}, "squash, crop, border"),
        ({"crop_pct": 2.5}, "outside (0, 2]"),
        ({"interpolation": "random"}, "bicubic"),
        ({"scale": 0}, "not positive"),
        ({"mean": ("a", "b", "c")}, "could not convert"),
        ({"mean": 3}, "not iterable"),
    ],
)
def test_each_wrong_field_is_named_with_the_flags(change, told):
    fields = json.loads(IMAGENET.to_json()) | change
    with pytest.raises(PreprocessError) as caught:
        Preprocess(**fields)
    message = str(caught.value)
    assert told in message
    assert "--mean a,b,c --std a,b,c" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"mean":[0]}', '{"mean":[0],"std":[1],"gamma":2}', "{" * 99999]
)
def test_a_malformed_record_is_a_preprocess_error(text):
    with pytest.raises(PreprocessError, match=r"harden\.preprocess"):
        Preprocess.from_json(text)


@given(
    st.text() | st.recursive(st.none() | st.floats() | st.text(), lambda t: st.lists(t) | st.dictionaries(st.text(), t))
)
def test_no_text_makes_from_json_fail_in_another_way(value):
    text = value if isinstance(value, str) else json.dumps({"mean": value, "std": value})
    with contextlib.suppress(HardenError):
        Preprocess.from_json(text)


def test_flags_win_over_the_record_one_by_one():
    resolved = resolve_preprocess(IMAGENET, mean=[0.5, 0.5, 0.5], input_size=[32, 32])
    assert resolved.mean == (0.5, 0.5, 0.5)
    assert resolved.std == IMAGENET.std
    assert resolved.input_size == (32, 32)
    assert resolved.crop_pct == 0.875
    assert resolve_preprocess(IMAGENET) is not None


def test_flags_with_another_number_of_channels_than_the_record_are_refused():
    with pytest.raises(PreprocessError, match="mean has 1 values for 3 channels"):
        resolve_preprocess(IMAGENET, mean=[0.5], std=[0.5])


@pytest.mark.parametrize("flags", [{}, {"input_size": (8, 8)}, {"mean": [0.5]}, {"std": [0.5]}])
def test_unknown_preprocessing_tells_the_flags(flags):
    with pytest.raises(PreprocessError, match=r"--mean a,b,c --std a,b,c .*--input-size H,W") as caught:
        resolve_preprocess(None, **flags)
    assert caught.value.exit_code == 3
