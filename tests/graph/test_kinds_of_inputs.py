"""Inputs of any kind, from the file through training to the evaluation: channels last, fixed batches, token numbers."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
import toys
from onnx import TensorProto, helper

from harden import methods
from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.errors import HardenError
from harden.evaluation.evaluate import evaluate
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.runtime.parity import parity
from harden.training.loop import train
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem

node = helper.make_node
NOISE = Profile.parse("gaussian:sigma=0.05")
PLAIN = Preprocess(mean=(0.0,), std=(1.0,), scale=1.0)


def typed(model, **shapes):
    """With declared outputs, as exporters write them."""
    for item in model.graph.output:
        item.CopyFrom(helper.make_tensor_value_info(item.name, TensorProto.FLOAT, shapes[item.name]))
    return Model.from_proto(model)


def trained(model, data, steps=40):
    """Trained and held to what every training owes: it learns, and writes the same graph with other numbers."""
    plan = TrainingPlan(
        method="noise",
        steps=steps,
        batch_size=20,
        lr=0.05,
        conditions=(Condition(NOISE),),
        augment="off",
        selections=1,
        selection_chips=2,
    )
    done = train(Problem(model, data, data.subset(np.arange(30))), plan)
    before, after = model.tensors(), done.model.tensors()
    assert [(n.op_type, n.name) for n in done.model.proto.graph.node] == [
        (n.op_type, n.name) for n in model.proto.graph.node
    ]
    assert [spec.shape for spec in done.model.inputs] == [spec.shape for spec in model.inputs]
    assert any((before[name] != after[name]).any() for name in before)
    assert done.history[-1]["loss"] < 0.7 * done.history[0]["loss"]
    return done


def accuracy(model, data, **options):
    document = evaluate(model, NOISE, data, chips=3, threads=1, **options).document
    assert document["canary"]["inert"] == []
    return document["conditions"][0]["accuracy"]["mean"]


def channels_last():
    """As tf2onnx writes a Keras classifier: pixels come as N, H, W, C, and transposes surround the layers."""
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        node("Conv", ["t", "kernel"], ["c"], "conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Transpose", ["c"], ["last"], perm=[0, 2, 3, 1]),
        node("Add", ["last", "bias"], ["a"]),
        node("Relu", ["a"], ["r"]),
        node("ReduceMean", ["r"], ["p"], axes=[1, 2], keepdims=0),
        node("MatMul", ["p", "dense"], ["m"], "dense"),
        node("Softmax", ["m"], ["y"], axis=-1),
    ]
    tensors = {
        "kernel": 0.3 * toys.numbers(8, 3, 3, 3),
        "bias": np.zeros(8, np.float32),
        "dense": 0.3 * toys.numbers(8, 3, seed=1),
    }
    return typed(toys.proto(nodes, {"x": ["n", 8, 8, 3]}, ["y"], tensors), y=["n", 3])


def colours(layout):
    """Images of one dominant colour each, which is the class."""
    stream = np.random.Generator(np.random.SFC64(1))
    labels = np.arange(90) % 3
    pixels = stream.integers(0, 160, (90, 8, 8, 3))
    pixels[np.arange(90), :, :, labels] += 80
    record = Preprocess(mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2), layout=layout)
    return Dataset.from_arrays(pixels.astype(np.uint8), labels, record)


def test_a_channels_last_classifier_trains_and_is_evaluated():
    model, data = channels_last(), colours("NHWC")
    assert data.input_shape == (8, 8, 3)
    assert parity(model, (data.inputs(slice(0, 5)),)).passed
    (conv, dense) = model.analog_weights().values()
    assert (conv.name, conv.output_axis, dense.name, dense.output_axis) == ("kernel", 0, "dense", 1)
    done = trained(model, data)
    assert parity(done.model, (data.inputs(slice(0, 5)),)).passed
    assert accuracy(done.model, data) > 0.9
    assert accuracy(done.model, colours("NCHW")) == accuracy(done.model, data)  # the shapes say which it is


def clouds(examples=87):
    stream = np.random.Generator(np.random.SFC64(2))
    labels = np.arange(examples) % 3
    values = 1.5 * np.eye(3, 6)[labels] + 0.3 * stream.normal(size=(examples, 6))
    return Dataset.from_arrays(values.astype(np.float32), labels, PLAIN)


def made_for(batch, openable):
    """A classifier whose exporter wrote the batch size into the graph: as a Reshape target, or into a constant."""
    nodes = [
        node("Reshape", ["x", "split"], ["s"]),
        node("ReduceSum", ["s", "axis"], ["h"], keepdims=0),
        node("Gemm", ["h", "w", "b"], ["g"], "first", transB=1),
        node("Relu", ["g"], ["r"]),
        node("Reshape", ["r", "flat"], ["f"]),
    ]
    last = "f"
    tensors = {
        "split": np.array([batch, 6, 1]),
        "axis": np.array([2]),
        "w": 0.4 * toys.numbers(16, 6),
        "b": np.zeros(16, np.float32),
        "flat": np.array([batch, 16]),
        "v": 0.3 * toys.numbers(16, 3, seed=1),
    }
    if not openable:
        nodes.append(node("Concat", ["f", "token"], ["k"], axis=1))
        tensors |= {"token": np.ones((batch, 1), np.float32), "v": 0.3 * toys.numbers(17, 3, seed=1)}
        last = "k"
    nodes.append(node("MatMul", [last, "v"], ["y"], "last"))
    return typed(toys.proto(nodes, {"x": [batch, 6]}, ["y"], tensors), y=[batch, 3])


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("openable", [True, False], ids=["opened", "in pieces"])
def test_a_model_made_for_one_batch_size_trains_and_is_evaluated(batch, openable):
    model, data = made_for(batch, openable), clouds()
    module = model.module()
    module(torch.from_numpy(data.inputs(slice(0, batch + 1))))
    twin = module._twins[0]
    assert (twin is not None) == openable
    assert twin is None or twin.program.names == module.program.names
    done = trained(model, data)
    assert accuracy(done.model, data) > 0.9
    assert accuracy(done.model, data, batch_size=16) == accuracy(done.model, data)
    onnxruntime.InferenceSession(done.model.serialize()).run(None, {"x": data.inputs(slice(0, batch))})


@pytest.mark.parametrize("openable", [True, False], ids=["opened", "in pieces"])
@pytest.mark.parametrize("method", ["rescale", "calibrate"])
def test_transforms_take_a_model_made_for_one_batch_size(method, openable):
    model, data = made_for(8, openable), clouds()
    batches = [(torch.from_numpy(data.inputs(slice(at, at + 29))),) for at in (0, 29, 58)]
    done = methods.load(method, {}).apply(model, batches, NOISE, seed=0)
    assert [spec.shape for spec in done.model.inputs] == [(8, 6)]
    assert accuracy(done.model, data) >= accuracy(model, data) - 0.1


def tokens(dtype):
    """A text classifier: the mean of an embedding, and two layers."""
    nodes = [
        node("Gather", ["table", "x"], ["e"], "embedding"),
        node("ReduceMean", ["e"], ["p"], axes=[1], keepdims=0),
        node("MatMul", ["p", "w"], ["h"], "first"),
        node("Relu", ["h"], ["r"]),
        node("MatMul", ["r", "v"], ["y"], "last"),
    ]
    tensors = {
        "table": toys.numbers(40, 8),
        "w": 0.4 * toys.numbers(8, 16, seed=1),
        "v": 0.4 * toys.numbers(16, 3, seed=2),
    }
    proto = toys.proto(nodes, {"x": ["n", 5]}, ["y"], tensors)
    proto.graph.input[0].type.tensor_type.elem_type = dtype
    return typed(proto, y=["n", 3])


@pytest.mark.parametrize("dtype", [TensorProto.INT64, TensorProto.INT32])
def test_token_numbers_of_an_archive_train_a_model(dtype, tmp_path):
    stream = np.random.Generator(np.random.SFC64(3))
    labels = np.arange(90) % 3
    numbers = 13 * labels[:, None] + stream.integers(0, 14, (90, 5))
    np.savez(tmp_path / "texts.npz", x=numbers.astype(np.int64), y=labels)
    data = Dataset.open(tmp_path / "texts.npz", PLAIN)
    model = tokens(dtype)
    done = trained(model, data, steps=120)
    assert (done.model.tensors()["table"] != model.tensors()["table"]).any()
    assert accuracy(done.model, data) > 0.9


def test_a_half_precision_model_trains_on_single_precision_data():
    nodes = [node("MatMul", ["x", "w"], ["h"], "first"), node("Relu", ["h"], ["r"]), node("MatMul", ["r", "v"], ["y"])]
    tensors = {
        "w": (0.4 * toys.numbers(6, 16)).astype(np.float16),
        "v": (0.4 * toys.numbers(16, 3, seed=1)).astype(np.float16),
    }
    proto = toys.proto(nodes, {"x": ["n", 6]}, ["y"], tensors, dtype=TensorProto.FLOAT16)
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT16, ["n", 3]))
    assert accuracy(trained(Model.from_proto(proto), clouds()).model, clouds()) > 0.9


def test_a_second_input_is_refused_by_name():
    nodes = [node("Add", ["x", "z"], ["s"]), node("MatMul", ["s", "w"], ["y"], "only")]
    shapes = {"x": ["n", 6], "z": ["n", 6]}
    model = typed(toys.proto(nodes, shapes, ["y"], {"w": toys.numbers(6, 3)}), y=["n", 3])
    assert parity(model, (toys.numbers(2, 6), toys.numbers(2, 6, seed=1))).passed
    for use in (lambda: evaluate(model, NOISE, clouds(), chips=1, threads=1), lambda: trained(model, clouds())):
        with pytest.raises(HardenError, match=r"2 inputs \(x, z\)"):
            use()
