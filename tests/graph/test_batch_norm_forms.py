"""Batch norms of every form that files hold: in training mode refused, with statistics for each element computed."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import toys
from onnx import helper

from harden.errors import ModelError
from harden.graph.file import Model
from harden.pipeline.inspect import inspect
from harden.runtime.parity import parity


def normed(opset, shape, parameters, **attributes):
    """A batch norm with these parameters' shape, and a layer."""
    stream = np.random.Generator(np.random.SFC64(0))
    values = {name: stream.normal(size=parameters).astype(np.float32) for name in ("scale", "bias", "mean")}
    values["variance"] = stream.uniform(0.5, 2, parameters).astype(np.float32)
    count = int(np.prod(shape))
    nodes = [
        helper.make_node("BatchNormalization", ["x", *values], ["n"], "bn", **attributes),
        helper.make_node("Flatten", ["n"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"], "fc"),
    ]
    tensors = {**values, "w": toys.numbers(count, 3)}
    return values, toys.proto(nodes, {"x": ["n", *shape]}, {"y": ["n", 3]}, tensors, opset=opset, ir_version=4)


def test_training_mode_is_an_obstacle_that_names_the_export(tmp_path):
    _, proto = normed(15, (4, 2), (4,), training_mode=1)
    proto.graph.node[0].output.extend(["moved_mean", "moved_variance"])
    model = Model.from_proto(proto)
    with pytest.raises(ModelError, match=r"training_mode=1.*order of the examples.*module\.eval\(\)"):
        parity(model, (toys.numbers(5, 4, 2),))
    model.save(tmp_path / "training.onnx")
    (obstacle,) = inspect(str(tmp_path / "training.onnx")).obstacles
    assert "training_mode=1" in obstacle


@pytest.mark.parametrize(("opset", "attributes"), [(8, {"spatial": 0}), (7, {"spatial": 0}), (8, {})])
def test_statistics_are_for_channels_or_for_elements(opset, attributes):
    shape = (4, 2) if attributes else (4,)
    values, proto = normed(opset, (4, 2), shape, **attributes)
    x = toys.numbers(6, 4, 2, seed=3)
    spread = (lambda a: a) if attributes else (lambda a: a[:, None])
    scale, bias, mean, variance = (spread(value.astype(np.float64)) for value in values.values())
    expected = ((x - mean) / np.sqrt(variance + 1e-5) * scale + bias).reshape(6, -1) @ toys.numbers(8, 3)
    (theirs,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    assert np.allclose(theirs, expected, atol=1e-4)
    model = Model.from_proto(proto)
    assert parity(model, (x,)).passed
