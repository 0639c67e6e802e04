"""Classifiers train alike, however their outputs are written; their figures are those of numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys
from onnx import helper

from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.errors import DataError
from harden.evaluation.evaluate import evaluate
from harden.evaluation.plan import Condition
from harden.noise.profile import Profile
from harden.streams import numpy_generator
from harden.tasks import task_of
from harden.training.loop import train
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem

PLAIN = Preprocess(mean=(0.0,), std=(1.0,), scale=1.0, channels=1)
EXACT = "gaussian:sigma=1e-9"  # as good as no noise


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], **attributes)


def clouds(classes, examples=300, seed=0):
    rng, centres = numpy_generator(seed, "clouds"), numpy_generator(0, "centres").normal(0, 1.2, (classes, 6))
    labels = np.arange(examples) % classes
    values = centres[labels] + rng.normal(0, 1, (examples, 6))
    return Dataset.from_arrays(values.astype(np.float32), labels, PLAIN)


def network(tail=(), width=3, shape=None, **tensors):
    rng = numpy_generator(0, "toy")
    weights = {"a": rng.normal(0, 0.4, (6, 16)), "b": rng.normal(0, 0.3, (16, width)), **tensors}
    nodes = [node("MatMul", ["x", "a"], "h"), node("Relu", ["h"], "r"), node("MatMul", ["r", "b"], "z"), *tail]
    outputs = {nodes[-1].output[0]: shape or ["n", width]}
    return toys.model(nodes, {"x": ["n", 6]}, outputs, weights)


def plan(**values):
    common = {"method": "distill", "steps": 6, "batch_size": 30, "lr": 0.05, "selections": 1, "selection_chips": 1}
    return TrainingPlan(conditions=(Condition(Profile.parse("gaussian:sigma=0.1")),), **common | values)


def trained(model, classes=3, **values):
    run = train(Problem(model, clouds(classes), clouds(classes, 99, 1)), plan(**values))
    return run.history, {name: tensor.numpy().tobytes() for name, tensor in run.weights.items()}


SHAPE4, AXIS = {"shape4": np.array([-1, 3, 1, 1])}, {"axis": np.array([1])}
ALIKE = {
    "softmax": ([node("Softmax", ["z"], "y", axis=1)], None, {}),
    "log softmax": ([node("LogSoftmax", ["z"], "y", axis=1)], None, {}),
    "n,C,1,1": ([node("Reshape", ["z", "shape4"], "y")], ["n", 3, 1, 1], SHAPE4),
    "n,1,C": ([node("Unsqueeze", ["z", "axis"], "y")], ["n", 1, 3], AXIS),
    "softmax, n,1,C": ([node("Softmax", ["z"], "p", axis=1), node("Unsqueeze", ["p", "axis"], "y")], ["n", 1, 3], AXIS),
}


@pytest.mark.parametrize("levers", [{}, {"label_smoothing": 0.1, "teacher": "clean", "temperature": 2.0}])
@pytest.mark.parametrize("name", ALIKE)
def test_one_network_trains_to_the_bit_alike_however_its_output_is_written(name, levers):
    tail, shape, tensors = ALIKE[name]
    history, weights = trained(network(), **levers)
    other, same = trained(network(tail, shape=shape, **tensors), **levers)
    assert [row["loss"] for row in other] == [row["loss"] for row in history]
    assert {name: same[name] for name in weights} == weights


def test_one_number_learns_by_binary_cross_entropy():
    for tail, shape in (([], None), ([node("Sigmoid", ["z"], "s"), node("Squeeze", ["s", "axis"], "y")], ["n"])):
        model = network(tail, 1, shape, **AXIS)
        data = clouds(2)
        task = task_of("auto", model, data)
        net = model.module(task.outputs)
        x, y = torch.from_numpy(data.inputs(slice(0, 50))), torch.from_numpy(np.asarray(data.labels[:50]))
        a, b = (torch.tensor(model.tensors()[name]) for name in "ab")
        right = torch.nn.functional.binary_cross_entropy_with_logits(((x @ a).relu() @ b)[:, 0], y.float())
        torch.testing.assert_close(task.loss(net(x), y), right)
        history, _ = trained(model, classes=2, steps=40, method="none")
        assert history[-1]["loss"] < 0.7 * history[0]["loss"]


@pytest.mark.parametrize("tail", ["logit", "sigmoid", "squeeze", "identity"])
def test_the_figures_of_one_number_are_those_of_its_own_threshold(tail):
    tails = {
        "logit": ([], None),
        "sigmoid": ([node("Sigmoid", ["z"], "y")], None),
        "squeeze": ([node("Sigmoid", ["z"], "s"), node("Squeeze", ["s", "axis"], "y")], ["n"]),
        "identity": ([node("Sigmoid", ["z"], "s"), node("Identity", ["s"], "y")], None),
    }
    nodes, shape = tails[tail]
    model, data = network(nodes, 1, shape, **AXIS), clouds(2)
    a, b = (model.tensors()[name].astype(float) for name in "ab")
    z = (np.maximum(data.inputs(slice(0, 300)) @ a, 0) @ b)[:, 0]
    record = evaluate(model, EXACT, data, chips=2, threads=1)
    assert record.clean.accuracy == pytest.approx(np.mean((z > 0) == data.labels))
    loss = np.mean(np.log1p(np.exp(-z * (2 * np.asarray(data.labels) - 1))))
    assert record.clean.loss == pytest.approx(loss, rel=1e-5)
    assert record.conditions[0].accuracy.mean == pytest.approx(record.clean.accuracy)


def two_heads():
    """Heads over one trunk: a has labels, b has none."""
    rng = numpy_generator(0, "toy")
    sizes = {"t": (6, 16), "a": (16, 3), "b": (16, 4)}
    weights = {name: rng.normal(0, 0.4, size) for name, size in sizes.items()}
    nodes = [
        node("MatMul", ["x", "t"], "h"), node("Relu", ["h"], "r"),
        node("MatMul", ["r", "a"], "first"), node("MatMul", ["r", "b"], "second"),
    ]  # fmt: skip
    return toys.model(nodes, {"x": ["n", 6]}, {"first": ["n", 3], "second": ["n", 4]}, weights)


def test_a_head_without_labels_is_kept_while_the_first_learns():
    model, data = two_heads(), clouds(3)
    x = data.inputs(slice(0, 300))

    def second(weights):
        return np.maximum(x @ np.asarray(weights["t"]), 0) @ np.asarray(weights["b"])

    before = second(model.tensors())
    run = train(Problem(model, data, clouds(3, 99, 1)), plan(method="none", steps=120))
    error = np.square(second(run.weights) - before).mean() / before.var()
    first = [np.maximum(x @ np.asarray(w["t"]), 0) @ np.asarray(w["a"]) for w in (model.tensors(), run.weights)]
    right = [np.mean(z.argmax(1) == data.labels) for z in first]
    assert right[1] > right[0] + 0.2
    assert error < 0.1


def test_classes_that_do_not_fit_are_refused_before_anything_runs():
    with pytest.raises(DataError, match="3 numbers per example"):
        evaluate(network(), EXACT, clouds(5), chips=1, threads=1)
