"""Outputs have one row for each example, or the run says which has not."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from onnx import helper

from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.errors import DataError
from harden.evaluation.evaluate import evaluate

PLAIN = Preprocess(mean=(0.0,), std=(1.0,), scale=1.0, channels=1)
EXACT = "gaussian:sigma=1e-9"


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, output if isinstance(output, list) else [output], **attributes)


def series(steps, labels=True):
    x = toys.numbers(40, steps, 5, seed=1)
    return Dataset.from_arrays(x, np.arange(40) % 3 if labels else None, PLAIN)


@pytest.mark.parametrize("steps", [3, 7])
@pytest.mark.parametrize("labels", [True, False])
def test_time_first_is_refused_by_the_outputs_name_and_axis_also_where_lengths_agree(steps, labels):
    nodes = [node("Squeeze", ["end", "zero0"], "e"), node("MatMul", ["e", "v"], "y")]
    tensors = {"w": toys.numbers(1, 8, 5), "r": toys.numbers(1, 8, 8), "v": toys.numbers(8, 3), "zero0": np.array([0])}
    made = [node("RNN", ["x", "w", "r"], ["h", "end"], hidden_size=8), *nodes]
    model = toys.model(made, {"x": ["t", "b", 5]}, {"y": ["b", 3]}, tensors)
    with pytest.raises(DataError, match=r"output 'y' is \[.*axis 0"):
        evaluate(model, EXACT, series(steps, labels), chips=1, threads=1, batch_size=steps)


def squeezed(fixed=None):
    nodes = [node("MatMul", ["x", "w"], "z"), node("Squeeze", ["z"], "y")]
    return toys.model(nodes, {"x": [fixed or "n", 6]}, {"y": ["n", 3]}, {"w": toys.numbers(6, 3)})


def test_a_last_batch_of_one_that_is_squeezed_away_scores_as_in_numpy():
    x, labels = toys.numbers(33, 6, seed=1), np.arange(33) % 3
    record = evaluate(squeezed(), EXACT, Dataset.from_arrays(x, labels, PLAIN), chips=2, threads=1, batch_size=16)
    assert record.clean.accuracy == pytest.approx(np.mean((x @ toys.numbers(6, 3)).argmax(1) == labels))


def test_a_fixed_batch_of_one_that_is_squeezed_away_is_refused_by_name():
    data = Dataset.from_arrays(toys.numbers(8, 6), np.arange(8) % 3, PLAIN)
    with pytest.raises(DataError, match=r"output 'y' is \[3\] for 1 examples"):
        evaluate(squeezed(1), EXACT, data, chips=1, threads=1)


def test_softmax_over_the_batch_is_no_answer_to_an_example():
    nodes = [node("MatMul", ["x", "w"], "z"), node("CumSum", ["z", "axis0"], "y")]
    model = toys.model(nodes, {"x": ["n", 6]}, {"y": ["n", 3]}, {"w": toys.numbers(6, 3), "axis0": np.array(0)})
    data = Dataset.from_arrays(toys.numbers(9, 6), np.arange(9) % 3, PLAIN)
    with pytest.raises(DataError, match="change places"):
        evaluate(model, EXACT, data, chips=1, threads=1)


def test_what_no_input_feeds_and_what_has_no_rows_is_left_out_of_matching():
    nodes = [node("MatMul", ["x", "w"], "z"), node("Identity", ["w"], "anchors"), node("ReduceMean", ["z"], "all")]
    outputs = {"anchors": [6, 3], "z": ["n", 3], "all": [1, 1]}
    model = toys.model(nodes, {"x": ["n", 6]}, outputs, {"w": toys.numbers(6, 3)})
    x = toys.numbers(9, 6, seed=1)
    record = evaluate(model, "gaussian:sigma=0.1", Dataset.from_arrays(x, None, PLAIN), chips=2, threads=1)
    assert 0 < record.conditions[0].fidelity.nrmse.mean < 1
    labelled = evaluate(model, EXACT, Dataset.from_arrays(x, np.arange(9) % 3, PLAIN), chips=1, threads=1)
    assert labelled.clean.accuracy == pytest.approx(np.mean((x @ toys.numbers(6, 3)).argmax(1) == np.arange(9) % 3))
