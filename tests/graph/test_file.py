"""Files: what is refused and how, what is kept byte for byte."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import toys
from onnx import TensorProto, helper

from harden.errors import ModelError
from harden.graph.file import Model
from harden.graph.inspection import unsupported, weights_table

node = helper.make_node


@pytest.fixture
def proto():
    nodes = [node("Gemm", ["x", "w", "b"], ["h"], "layer", transB=1), node("Relu", ["h"], ["y"])]
    return toys.proto(nodes, {"x": ["n", 3]}, ["y"], {"w": toys.numbers(4, 3), "b": toys.numbers(4)})


def test_what_is_no_model_is_refused_in_one_line(tmp_path, proto):
    good = proto.SerializeToString()
    cases = {
        "missing.onnx": (None, "no such file"),
        "text.onnx": (b"this is not a model, it is a text\n" * 30, "not an ONNX model"),
        "empty.onnx": (b"", "not an ONNX model"),
        "cut.onnx": (good[: len(good) // 2], "not an ONNX model"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelError, match=message) as caught:
            Model.load(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="a directory, not an ONNX file"):
        Model.load(tmp_path)


def test_every_truncation_is_refused_or_malformed(tmp_path, proto):
    good = proto.SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(ModelError):
            Model.load(path).module()


def test_a_file_in_an_unusual_order_is_saved_as_it_was(tmp_path, proto):
    # Fields of a message may come in any order; protobuf itself would write them sorted.
    graph, rest = onnx.ModelProto(), onnx.ModelProto()
    graph.graph.CopyFrom(proto.graph)
    rest.CopyFrom(proto)
    rest.ClearField("graph")
    path = tmp_path / "odd.onnx"
    path.write_bytes(graph.SerializeToString() + rest.SerializeToString())
    model = Model.load(path)
    assert model.serialize() == path.read_bytes()
    assert model.save(tmp_path / "copy.onnx").read_bytes() == path.read_bytes()
    assert model.with_metadata({"harden.x": "1"}).metadata == {"harden.x": "1"}


@pytest.mark.parametrize("as_field", [True, False])
def test_only_touched_tensors_change(proto, as_field):
    if as_field:
        w = proto.graph.initializer[0]
        w.float_data.extend(np.frombuffer(w.raw_data, np.float32).tolist())
        w.ClearField("raw_data")
    model = Model.from_proto(proto)
    new = toys.numbers(4, 3, seed=5)
    tuned = model.with_weights({"w": new, "b": toys.numbers(4)})
    np.testing.assert_array_equal(tuned.tensors()["w"], new)
    changed = onnx.ModelProto()
    changed.CopyFrom(tuned.proto)
    changed.graph.initializer[0].CopyFrom(model.proto.graph.initializer[0])
    assert changed.SerializeToString() == model.serialize()
    assert model.proto.SerializeToString() == proto.SerializeToString()


def test_weights_that_do_not_fit_are_all_named(proto):
    with pytest.raises(ModelError, match=r"no tensor 'v'.*'w' has shape \[4, 3\], \[3\] was given"):
        Model.from_proto(proto).with_weights({"v": np.zeros(3), "w": np.zeros(3)})


def test_metadata_is_added_and_the_rest_kept(proto):
    helper.set_model_props(proto, {"author": "someone"})
    model = Model.from_proto(proto)
    tagged = model.with_metadata({"harden.a": "1"}).with_metadata({"harden.a": "2"})
    assert tagged.metadata == {"author": "someone", "harden.a": "2"}
    assert model.metadata == {"author": "someone"}


def test_the_record_of_a_model(proto):
    model = Model.from_proto(proto)
    assert (model.opset, model.parameters, model.batch_norm) == (17, 16, "none")
    assert [(s.name, s.dtype, s.shape) for s in model.inputs] == [("x", np.dtype(np.float32), ("n", 3))]
    rows = {row["name"]: row for row in weights_table(model)}
    assert rows["w"]["analog"]
    assert (rows["w"]["op"], rows["w"]["node"]) == ("Gemm", "layer")
    assert (rows["b"]["analog"], rows["b"]["digital_reason"]) == (False, "a bias")
    assert weights_table(model, ["w"])[0]["digital_reason"] == "left digital by --digital"


def test_missing_operators_as_data(proto):
    proto.graph.node[1].op_type = "Strange"
    proto.graph.node[1].domain = "my.own"
    (entry,) = unsupported(Model.from_proto(proto))
    assert entry.pop("reason") == "the operator is not supported"
    assert entry == {"op": "Strange", "domain": "my.own", "count": 1, "nodes": ["Strange_1"]}
    proto.graph.initializer[0].data_type = TensorProto.INT32
    assert [row["op"] for row in unsupported(Model.from_proto(proto))] == ["Strange", "Gemm"]


def test_structure_is_checked(proto):
    def broken(change):
        copy = onnx.ModelProto()
        copy.CopyFrom(proto)
        change(copy.graph)
        return Model.from_proto(copy)

    def cycle(g):
        g.node[0].input[0] = "y"

    def twice(g):
        g.node[1].output[0] = "h"

    def tensor_twice(g):
        g.initializer[1].name = "w"

    def long(g):
        g.initializer[0].raw_data = g.initializer[0].raw_data + b"1234"

    def huge(g):
        g.initializer[0].dims[0] = 2**40

    def negative(g):
        g.initializer[0].dims[0] = -4

    def no_type(g):
        g.initializer[0].data_type = 99

    def text(g):
        g.initializer[0].data_type = TensorProto.STRING

    cases = {
        cycle: "reads 'y', which nothing before it makes",
        twice: "'h' is defined twice",
        tensor_twice: "'w' is defined twice",
        long: "needs 48 bytes, the file has 52",
        huge: "needs 13194139533312 bytes, the file has 48",
        negative: "negative size",
        no_type: "unknown tensor type 99",
        text: "malformed tensor 'w'",
    }
    for change, message in cases.items():
        with pytest.raises(ModelError, match=message):
            broken(change).module()
