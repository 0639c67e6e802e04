"""Regression, several classes at a time, and matching: figures by scikit-learn and by hand, training, bad labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys
from onnx import helper

from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.errors import DataError, SettingsError
from harden.evaluation.evaluate import evaluate
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.report.view import Report
from harden.streams import numpy_generator
from harden.tasks import Examples, kind, match, task_of, tasks
from harden.training.loop import train
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem

metrics = pytest.importorskip("sklearn.metrics")
PLAIN = Preprocess(mean=(0.0,), std=(1.0,), scale=1.0, channels=1)
EXACT, NOISE = "gaussian:sigma=1e-9", "gaussian:sigma=0.15"


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], **attributes)


def linear(width, tail=(), offset=0.0, seed=0):
    rng = numpy_generator(seed, "linear")
    tensors = {"w": rng.normal(0, 1, (6, width)), "b": np.full(width, offset)}
    nodes = [node("MatMul", ["x", "w"], "h"), node("Add", ["h", "b"], "z"), *tail]
    return toys.model(nodes, {"x": ["n", 6]}, {nodes[-1].output[0]: ["n", width]}, tensors)


def values(examples=200, seed=1):
    return numpy_generator(seed, "values").normal(0, 1, (examples, 6)).astype(np.float32)


def answers(model, x):
    with torch.no_grad():
        return model.module()(torch.from_numpy(x)).numpy().astype(float)


def plan(**options):
    common = {"method": "none", "steps": 60, "batch_size": 40, "lr": 0.05, "selections": 1, "selection_chips": 1}
    return TrainingPlan(conditions=(Condition(Profile.parse(NOISE)),), **common | options)


@pytest.mark.parametrize("width", [1, 2])
def test_regression_has_the_figures_of_scikit_learn(width):
    model, x = linear(width), values()
    y = answers(model, x) + numpy_generator(2, "errors").normal(0, 0.5, (200, width))
    data = Dataset.from_arrays(x, y if width > 1 else y[:, 0], PLAIN)
    assert task_of("auto", model, data).name == "regression"
    record = evaluate(model, EXACT, data, chips=2, threads=1)
    said = answers(model, x)
    assert record.clean.values["r2"] == pytest.approx(metrics.r2_score(y, said), abs=1e-5)
    assert record.clean.values["rmse"] == pytest.approx(np.sqrt(metrics.mean_squared_error(y, said)), rel=1e-5)
    assert record.clean.values["mae"] == pytest.approx(metrics.mean_absolute_error(y, said), rel=1e-5)
    assert record.conditions[0].score.mean == pytest.approx(record.clean.score, abs=1e-5)


def test_regression_learns():
    model, x = linear(1), values(400)
    truth = np.array([[1.0], [-2.0], [0.5], [0.0], [3.0], [1.0]])
    data = Dataset.from_arrays(x, (x @ truth)[:, 0] * 10, PLAIN)
    problem = Problem(model, data.subset(slice(0, 300)), data.subset(slice(300, 400)))
    run = train(problem, plan(steps=400, weight_decay=0.0, optimizer="adamw", lr=0.5))
    assert run.history[-1]["loss"] < 0.1 * run.history[0]["loss"]
    assert run.validation[-1].measure == "r2"
    assert run.validation[-1].score > 0.9


def test_demands_thresholds_and_the_report_know_which_way_is_better():
    model, x = linear(1), values()
    data = Dataset.from_arrays(x, answers(model, x)[:, 0] + 0.01, PLAIN)
    demands = ["p05_r2>=0.5", "p95_rmse<=5", "worst_rmse<=0.001", "clean_r2>=0.9"]
    record = evaluate(model, NOISE, data, chips=30, threads=1, threshold=0.9, requirements=demands)
    condition = record.conditions[0]
    r2, rmse = np.array(condition.scores), condition.spreads["rmse"]
    assert [verdict.met for verdict in condition.requirements] == [True, True, False, True]
    assert condition.requirements[0].found == pytest.approx(np.quantile(r2, 0.05))
    assert condition.requirements[2].found == rmse.max
    assert condition.yield_.value == (r2 >= 0.9).mean()
    assert condition.worst_chip == r2.argmin()
    text = Report(record).verdict
    assert f"mean R² of {r2.mean():.4g}" in text
    assert "R²" in Report(record).html

    less = evaluate(model, NOISE, data, chips=30, threads=1, threshold=0.5, headline="rmse").conditions[0]
    errors = np.array(less.scores)
    assert less.measure.better == "less"
    assert less.yield_.value == (errors <= 0.5).mean()
    assert less.worst_chip == errors.argmax()
    assert less.tolerance["90/95"] == errors.max()  # of 30 chips the worst is the bound
    assert errors.mean() == pytest.approx(rmse.mean)


def test_several_classes_have_the_figures_of_scikit_learn_whether_scores_or_probabilities():
    x = values()
    for tail in ([], [node("Sigmoid", ["z"], "p")]):
        model = linear(4, tail)
        z = answers(linear(4), x)
        y = (z + numpy_generator(3, "errors").normal(0, 2, z.shape) > 0).astype(np.int64)
        data = Dataset.from_arrays(x, y, PLAIN)
        assert task_of("auto", model, data).name == "multilabel"
        record = evaluate(model, EXACT, data, chips=2, threads=1)
        found = record.clean.values
        assert found["mean_average_precision"] == pytest.approx(metrics.average_precision_score(y, z))
        assert found["micro_f1"] == pytest.approx(metrics.f1_score(y, z > 0, average="micro"))
        assert found["macro_f1"] == pytest.approx(metrics.f1_score(y, z > 0, average="macro"))
        assert record.clean.score == found["mean_average_precision"]


def test_several_classes_learn_by_binary_cross_entropy_alike_with_and_without_sigmoid():
    x = values(300)
    y = (x[:, :4] > 0.3).astype(np.int64)
    data, histories = Dataset.from_arrays(x, y, PLAIN), []
    for tail in ([], [node("Sigmoid", ["z"], "p")]):
        model = linear(4, tail)
        task = task_of("auto", model, data)
        z = torch.from_numpy(answers(linear(4), x))
        right = torch.nn.functional.binary_cross_entropy_with_logits(z, torch.from_numpy(y).double())
        net = model.module(task.outputs)
        loss = task.loss(net(torch.from_numpy(x)), torch.from_numpy(y)).double()
        torch.testing.assert_close(loss, right, rtol=1e-4, atol=1e-5)
        run = train(Problem(model, data, data.subset(slice(0, 60))), plan(method="distill", label_smoothing=0.1))
        histories.append([row["loss"] for row in run.history])
    assert histories[0] == histories[1]
    assert histories[0][-1] < histories[0][0]


def test_fidelity_falls_with_r2_where_a_cosine_cannot(tmp_path):
    """One positive number per example: its cosine is 1 whatever the noise."""
    model, x = linear(1, [node("Exp", ["z"], "y")]), 0.3 * values()
    data = Dataset.from_arrays(x, None, PLAIN)
    record = evaluate(model, "gaussian:sigma=0.5", data, chips=3, threads=1)
    fidelity, scores = record.conditions[0].fidelity, record.conditions[0].scores
    right = answers(model, x)[:, 0]
    assert fidelity.cosine.mean == pytest.approx(1)
    assert record.conditions[0].score.mean == fidelity.concordance.mean < 0.95
    assert fidelity.r2.mean < 0.9
    assert record.clean.score == pytest.approx(1)
    assert len(scores) == 3
    # The same by hand, for the network against itself with another bias: concordance and R² by their definitions.
    other = linear(1, [node("Exp", ["z"], "y")], offset=0.2)
    said = answers(other, x)[:, 0]
    lin = 2 * np.cov(right, said, bias=True)[0, 1] / (right.var() + said.var() + (right.mean() - said.mean()) ** 2)
    scorer = match.Task(model, Examples.of(data)).scorer([right[:3, None]], tmp_path)
    scorer.remember([right[:, None].astype(np.float32)])
    tally = scorer.tally()
    tally.add([said[:90, None]])
    tally.add([said[90:, None]])
    found = tally.result().values
    assert found["concordance"] == pytest.approx(lin, abs=1e-5)
    assert found["r2"] == pytest.approx(metrics.r2_score(right, said), abs=1e-5)


@pytest.mark.parametrize(
    ("width", "labels", "task", "message"),
    [
        (4, np.linspace(0, 1, 200), "auto", "4 numbers per example.*real-valued labels"),
        (4, np.arange(200) % 4, "multilabel", "labels of .* are"),
        (3, np.tile([[0, 1, 1, 0]], (200, 1)), "auto", "3 numbers per example"),
        (4, np.tile([[0, 1, 1, 0]], (200, 1)), "classification", "not one class number"),
        (1, np.full(200, 0.5), "auto", "all labels are equal"),
        (1, None, "regression", "needs labels"),
    ],
)
def test_labels_that_do_not_fit_get_one_clear_line(width, labels, task, message):
    data = Dataset.from_arrays(values(), labels, PLAIN)
    with pytest.raises(DataError, match=message):
        evaluate(linear(width), EXACT, data, chips=1, threads=1, task=task)


def test_a_lever_and_a_selection_of_another_task_are_refused():
    data = Dataset.from_arrays(values(), values()[:, 0], PLAIN)
    problem = Problem(linear(1), data, data)
    with pytest.raises(SettingsError, match="label smoothing"):
        train(problem, plan(label_smoothing=0.1))
    with pytest.raises(SettingsError, match="cannot select by balanced_accuracy"):
        train(problem, plan(select="balanced_accuracy"))


@pytest.mark.parametrize(
    ("labels", "width", "name"),
    [
        (None, 3, "match"), (np.arange(6) % 3, 3, "classification"), (np.arange(6) % 2, 1, "classification"),
        (np.arange(6), 1, "regression"), (np.linspace(0, 1, 6), 1, "regression"),
        (np.ones((6, 3), np.int64), 3, "multilabel"), (np.full((6, 3), 0.5), 3, "regression"),
    ],
)  # fmt: skip
def test_labels_and_outputs_say_which_task_it_is(labels, width, name):
    numbered = labels is not None and labels.ndim == 1 and labels.dtype.kind == "i"
    examples = Examples(6, labels, "toy", int(labels.max()) + 1 if numbered else 0)
    assert kind("auto", linear(width), examples).name == name
    assert name in [task.name for task in tasks()]


def test_an_output_without_a_shape_says_nothing_of_its_width():
    model = toys.proto([node("MatMul", ["x", "w"], "y")], {"x": ["n", 6]}, ["y"], {"w": toys.numbers(6, 3)})
    assert kind("auto", Model(model), Examples(6, np.arange(6) % 3, "toy", 3)).name == "classification"
