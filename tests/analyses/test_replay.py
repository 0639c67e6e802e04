"""A saved chip is drawn again, bit for bit, on another day."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from harden.analyses.replay import chip_onnx, read_chip, replay, save_chip, worst_chips
from harden.errors import DataError, InputError, ModelError, ProfileError
from harden.evaluation.evaluate import evaluate
from harden.noise.profile import Profile

NOISE = Profile.parse("gaussian:sigma=0.15").scaled(1.2)


@pytest.fixture(scope="module")
def records(deep, digits):
    return worst_chips(evaluate(deep, NOISE, digits, chips=12, seed=4, threads=1), count=2)


def test_the_worst_come_first_and_replay_to_the_same_number(records, deep, digits, tmp_path):
    path = save_chip(records[0], tmp_path / "chip.json")

    found = replay(read_chip(path), deep, digits)

    assert records[0].accuracy <= records[1].accuracy
    assert found.document == {
        "schema": "harden.replay/1",
        "accuracy": records[0].accuracy,
        "recorded": records[0].accuracy,
        "same_model": True,
        "equal": True,
    }


def test_the_chip_as_a_file_scores_the_same(records, deep, digits):
    session = ort.InferenceSession(chip_onnx(records[0], deep), providers=["CPUExecutionProvider"])

    predicted = np.asarray(session.run(None, {"x": digits.inputs(slice(0, len(digits)))})[0]).argmax(1)

    assert (predicted == digits.labels).mean() == records[0].accuracy


def test_what_does_not_belong_to_the_chip_is_refused(records, deep, digits, problem, tmp_path):
    with pytest.raises(DataError, match="other examples"):
        replay(records[0], deep, digits.subset(slice(0, 10)))
    with pytest.raises(ProfileError, match="not the one"):
        replay(records[0], deep, digits, profile=NOISE.scaled(2))
    with pytest.raises(ModelError, match="not the model"):
        chip_onnx(records[0], problem[0])
    (tmp_path / "other.json").write_text('{"schema": "harden.chip/1"}')
    with pytest.raises(InputError, match="model_sha256"):
        read_chip(tmp_path / "other.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_chip(tmp_path / "absent.json")
