"""Inputs that a model accepts, found without being told their shapes."""

from __future__ import annotations

import numpy as np
import toys
from onnx import TensorProto, helper

from harden.graph.file import Model
from harden.runtime.examples import find_inputs

node = helper.make_node


def test_sizes_of_one_name_are_equal():
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("Add", ["h", "state"], ["y"])]
    proto = toys.proto(nodes, {"x": ["batch", 8], "state": [2, "batch", 8]}, ["y"], {"w": toys.numbers(8, 8)})
    x, state = find_inputs(Model.from_proto(proto))
    assert state.shape == (2, len(x), 8)


def test_a_state_whose_batch_is_not_its_first_axis_is_found(capfd):
    """A voice detector's inputs: a signal [?, ?] and the state [2, ?, 4] of a recurrent layer."""
    tensors = {"w": toys.numbers(1, 16, 1), "r": toys.numbers(1, 16, 4), "axes": np.array([0]), "last": np.array([2])}
    nodes = [
        node("Unsqueeze", ["x", "last"], ["u"]),
        node("Transpose", ["u"], ["t"], perm=[1, 0, 2]),
        node("Split", ["state"], ["h", "c"], axis=0),
        node("LSTM", ["t", "w", "r", "", "", "h", "c"], ["", "y"], hidden_size=4),
    ]
    proto = toys.proto(nodes, {"x": [None, None], "state": [2, None, 4]}, ["y"], tensors, opset=13)
    x, state = find_inputs(Model.from_proto(proto))
    assert (len(x), state.shape) == (1, (2, 1, 4))
    assert capfd.readouterr().err == ""


def test_inputs_without_axes_are_arrays_of_the_file_s_type():
    nodes = [node("Cast", ["k"], ["c"], to=TensorProto.FLOAT), node("Mul", ["c", "w"], ["y"])]
    for kind in (TensorProto.BOOL, TensorProto.INT64, TensorProto.FLOAT16):
        proto = toys.proto(nodes, {"k": []}, ["y"], {"w": np.ones(2, np.float32)})
        proto.graph.input[0].type.tensor_type.elem_type = kind
        model = Model.from_proto(proto)
        (k,) = find_inputs(model)
        assert isinstance(k, np.ndarray)
        assert (k.shape, k.dtype) == ((), model.inputs[0].dtype)
