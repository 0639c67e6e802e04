"""Models with tensors in other files, changed and saved: the numbers stay out of the model, each with its tensor."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import toys
from onnx import TensorProto, external_data_helper, helper

from harden.graph.file import Model
from harden.graph.folding import fold_batch_norms
from harden.graph.head import find_head, with_head
from harden.graph.insertion import Insertion, insert

node = helper.make_node
X = toys.numbers(4, 3, 6, 6)


def proto():
    """Conv, BatchNormalization, Relu, Conv, pooling, Gemm."""
    norm = ["scale", "bias", "mean", "variance"]
    nodes = [
        node("Conv", ["x", "a"], ["h0"], "a", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["h0", *norm], ["h1"], "n"),
        node("Relu", ["h1"], ["h2"], "r"),
        node("Conv", ["h2", "c"], ["h3"], "c"),
        node("GlobalAveragePool", ["h3"], ["h4"], "p"),
        node("Flatten", ["h4"], ["h5"], "f"),
        node("Gemm", ["h5", "w", "v"], ["y"], "g", transB=1),
    ]
    tensors = {name: np.abs(toys.numbers(8, seed=i)) for i, name in enumerate(norm)}
    tensors |= {"a": toys.numbers(8, 3, 3, 3), "w": toys.numbers(5, 6), "v": toys.numbers(5, seed=8)}
    return toys.proto(nodes, {"x": ["n", 3, 6, 6]}, ["y"], tensors | {"c": toys.numbers(6, 8, 3, 3, seed=9)})


@pytest.fixture
def stored(tmp_path):
    """The model with all its numbers in one file, one tensor right behind the other."""
    path = tmp_path / "model.onnx"
    model = proto()
    external_data_helper.convert_model_to_external_data(model, location="numbers.bin", size_threshold=0)
    onnx.save_model(model, path)
    return path


def run(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": X})[0])


def outside(path):
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    return {tensor.name for tensor in tensors if tensor.data_location == TensorProto.EXTERNAL}


def clamped(model):
    return insert(model, [Insertion("h2", "Clip", (None, np.float32(1e9)))])


def open_batch(model):
    opened = model.open_batch()
    assert opened is not None
    return opened


@pytest.mark.parametrize("change", [fold_batch_norms, clamped, lambda m: m.with_metadata({"a": "b"})])
def test_a_changed_graph_keeps_its_numbers_in_the_other_file(change, stored, tmp_path):
    model = Model.load(stored)
    changed = change(model)
    for folder in (tmp_path, tmp_path / "elsewhere"):  # beside the original's file, and where there is none
        folder.mkdir(exist_ok=True)
        path = changed.save(folder / "changed.onnx")
        assert {"a", "c", "w", "v"} <= outside(path)
        assert toys.agrees(run(path), run(stored))
        assert Model.load(path).sha256 == changed.sha256


@pytest.mark.parametrize("classes", [3, 5, 50])
def test_a_head_of_another_size_leaves_its_neighbours_in_the_file_alone(classes, stored, tmp_path):
    model = Model.load(stored)
    weight, bias = toys.numbers(classes, 6, seed=3), toys.numbers(classes, seed=4)
    path = with_head(model, find_head(model), weight, bias).save(tmp_path / "out" / "new.onnx")
    assert {"a", "c", "w", "v"} <= outside(path)
    tensors = {name: array for name, array in Model.load(path).tensors().items() if name not in ("w", "v")}
    for name, array in Model.load(stored).tensors().items():
        if name in tensors:
            assert np.array_equal(tensors[name], array), name
    plain = with_head(Model.from_proto(proto()), find_head(model), weight, bias)
    assert toys.agrees(run(path), run(plain.save(tmp_path / "plain.onnx")))


def test_tensors_that_share_their_bytes_part_when_their_numbers_do(stored, tmp_path):
    loaded = onnx.load(stored, load_external_data=False)
    shared = {tensor.name: tensor for tensor in loaded.graph.initializer}
    for key, entry in enumerate(shared["scale"].external_data):
        shared["variance"].external_data[key].CopyFrom(entry)
    stored.write_bytes(loaded.SerializeToString())
    model = Model.load(stored)
    assert np.array_equal(model.tensors()["scale"], model.tensors()["variance"])
    assert model.save(tmp_path / "same.onnx").read_bytes() == stored.read_bytes()
    new = {"scale": np.full(8, 2.0), "variance": np.full(8, 3.0)}
    path = model.with_weights(new).save(tmp_path / "out" / "apart.onnx")
    again = Model.load(path).tensors()
    for name, array in model.tensors().items():
        assert np.array_equal(again[name], new.get(name, array)), name


def test_an_opened_batch_keeps_its_numbers_in_the_other_file(tmp_path):
    fixed = proto()
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    external_data_helper.convert_model_to_external_data(fixed, location="numbers.bin", size_threshold=0)
    onnx.save_model(fixed, tmp_path / "fixed.onnx")
    path = open_batch(Model.load(tmp_path / "fixed.onnx")).save(tmp_path / "open.onnx")
    assert {"a", "c", "w", "v"} <= outside(path)
    assert run(path).shape == (4, 5)


def test_a_models_analog_weights_are_computed_once(stored, monkeypatch):
    model = Model.load(stored)
    first, without = model.analog_weights(), model.analog_weights(("c",))
    assert list(first) == ["a", "c", "w"]
    assert list(without) == ["a", "w"]
    monkeypatch.delattr(Model, "module")
    assert {key: id(use) for key, use in model.analog_weights([]).items()} == {k: id(u) for k, u in first.items()}
    first.clear()
    assert len(model.analog_weights()) == 3
