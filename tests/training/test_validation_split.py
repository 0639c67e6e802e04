"""The command line and Python set the same examples aside to select by."""

from __future__ import annotations

import numpy as np
import pytest

import harden
from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.data.validation import MOST, split_validation
from harden.pipeline.data import open_training_data
from harden.settings import FitSettings
from harden.streams import numpy_generator
from harden.training import process_group

PLAIN = Preprocess(mean=(0.0,), std=(1.0,), scale=1.0, channels=1)


def many(examples):
    values = numpy_generator(0, "many").normal(0, 1, (examples, 6)).astype(np.float32)
    return Dataset.from_arrays(values, np.arange(examples) % 3, PLAIN)


@pytest.mark.parametrize(("examples", "validation"), [(300, 30), (50_000, 5000), (60_000, MOST)])
def test_a_tenth_is_set_aside_but_no_more_than_5000(examples, validation):
    rest, held = split_validation(many(examples), seed=0)
    assert (len(rest), len(held)) == (examples - validation, validation)


class CaughtError(Exception):
    pass


def test_python_and_the_command_line_train_on_the_same_examples(model, tmp_path, monkeypatch):
    data, problems = many(52_000), []
    np.savez(tmp_path / "data.npz", x=data.inputs(slice(None)), y=data.labels)

    def catch(problem, *_):
        problems.append(problem)
        raise CaughtError

    monkeypatch.setattr(process_group, "train", catch)
    with pytest.raises(CaughtError):
        harden.fit(model, data, profile="gaussian:sigma=0.1", method="noise", seed=3)
    settings = FitSettings(model="m.onnx", data=str(tmp_path / "data.npz"), profile=("gaussian",), seed=3)
    training, validation, _ = open_training_data(settings, PLAIN)
    assert len(validation) == MOST
    for ours, theirs in ((problems[0].training, training), (problems[0].validation, validation)):
        assert np.array_equal(ours.inputs(slice(None)), theirs.inputs(slice(None)))
        assert np.array_equal(ours.labels, theirs.labels)
