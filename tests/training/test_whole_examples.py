"""Models with several inputs: arrays by name, and examples that are whole feeds of a graph without a batch axis."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from harden.data import Dataset, Preprocess
from harden.errors import DataError
from harden.evaluation.evaluate import evaluate
from harden.evaluation.input_feed import Feed
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.runtime.sessions import Session
from harden.streams import generator
from harden.training.loop import train
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem

PLAIN = Preprocess((0,), (1,))
PROFILE = Profile.parse("gaussian:sigma=0.1")


def numbers(*shape, name="x"):
    return torch.empty(shape).normal_(generator=generator(0, name, *shape)).numpy()


def recurrent():
    """tanh(frames W + state U): frames [time, 6] and a state [1, 4] have no batch axis in common."""
    nodes = [
        helper.make_node("MatMul", ["frames", "w"], ["a"]),
        helper.make_node("MatMul", ["state", "u"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["out"]),
    ]
    frames = helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["time", 6])
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, 4])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["time", 4])
    weights = [numpy_helper.from_array(numbers(6, 4, name="w"), "w"), numpy_helper.from_array(numbers(4, 4), "u")]
    graph = helper.make_graph(nodes, "g", [frames, state], [out], weights)
    return Model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))


@pytest.fixture
def clips(tmp_path):
    file = tmp_path / "clips.npz"
    np.savez(file, frames=numbers(24, 5, 6), state=numbers(24, 1, 4, name="s"))
    return Dataset.open(file, PLAIN, labelled=False, inputs=("frames", "state"))


def test_a_data_set_has_a_part_for_each_input(clips):
    part = clips.subset([3, 1])
    frames, state = part.feed([1])
    np.testing.assert_array_equal(frames, numbers(24, 5, 6)[[1]])
    np.testing.assert_array_equal(state, numbers(24, 1, 4, name="s")[[1]])


def test_examples_are_run_one_by_one_and_stacked_in_torch_and_in_onnx_runtime(clips):
    model = recurrent()
    frames, state = clips.feed(slice(0, 3))
    w, u = numbers(6, 4, name="w"), numbers(4, 4)
    expected = np.tanh(frames @ w + state @ u)
    ours = model.module().eval()(torch.from_numpy(frames), torch.from_numpy(state))
    np.testing.assert_allclose(ours.detach().numpy(), expected, atol=1e-5)
    theirs = Session(model.serialize()).run(*next(iter(Feed(model, clips.subset(range(3)))))[0])
    np.testing.assert_allclose(theirs[0], expected, atol=1e-5)


def test_matching_hardens_and_fidelity_is_evaluated(clips):
    model = recurrent()
    plan = TrainingPlan(
        method="noise", conditions=(Condition(PROFILE),), objective="match", steps=12, batch_size=8, selection_chips=2
    )
    trained = train(Problem(model, clips, clips), plan)
    assert trained.validation[-1].score > 0
    document = evaluate(trained.model, (Condition(PROFILE, None),), clips, chips=3, threads=1).document
    assert document["conditions"][0]["accuracy"] is None
    assert document["conditions"][0]["fidelity"]["cosine"]["mean"] > 0.8
    onnx.checker.check_model(trained.model.proto)


def test_a_batch_axis_in_common_is_a_batch_axis():
    """Two inputs [batch, ...]: one run for the whole batch."""
    nodes = [helper.make_node("Add", ["a", "b"], ["s"]), helper.make_node("MatMul", ["s", "w"], ["out"])]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 6]) for name in "ab"]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 4])
    graph = helper.make_graph(nodes, "g", values, [out], [numpy_helper.from_array(numbers(6, 4, name="w"), "w")])
    model = Model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))
    a, b = torch.from_numpy(numbers(5, 6)), torch.from_numpy(numbers(5, 6, name="y"))
    torch.testing.assert_close(model.module()(a, b).detach(), (a + b) @ torch.from_numpy(numbers(6, 4, name="w")))


def test_what_is_missing_is_named(tmp_path, clips):
    file = tmp_path / "x.npz"
    np.savez(file, frames=numbers(24, 5, 6))
    with pytest.raises(DataError, match="has no state") as caught:
        Dataset.open(file, PLAIN, labelled=False, inputs=("frames", "state"))
    assert "numpy.savez(file, frames=..., state=...)" in str(caught.value)
    np.savez(file, frames=numbers(24, 5, 6), state=numbers(2, 1, 4))
    with pytest.raises(DataError, match="24 examples of 'frames' and 2 of 'state'"):
        Dataset.open(file, PLAIN, labelled=False, inputs=("frames", "state"))
    with pytest.raises(DataError, match="takes 2 inputs"):
        Feed(recurrent(), Dataset.from_arrays(numbers(24, 5, 6), None, PLAIN))
