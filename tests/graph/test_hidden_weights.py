"""Weights in unusual places: found, trained under their own names, and put back where they were."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import toys
from onnx import TensorProto, helper, numpy_helper

from harden.errors import ModelError
from harden.graph import external
from harden.graph import file as file_module
from harden.graph.file import Model

node = helper.make_node


def run(model, **inputs):
    return onnxruntime.InferenceSession(model.serialize()).run(None, inputs)


def trained(model, *inputs):
    """One step of gradient descent on every parameter, checked to reach all of them."""
    module = model.module().eval()
    outputs = module(*map(torch.from_numpy, inputs))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    sum((o.float() ** 2).sum() for o in outputs).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
        with torch.no_grad():
            parameter -= 0.05 * parameter.grad / parameter.grad.abs().max()
    tuned = model.with_weights(module.export_weights())
    with torch.no_grad():
        ours = module(*map(torch.from_numpy, inputs))
    ours = ours if isinstance(ours, tuple) else (ours,)
    theirs = run(tuned, **dict(zip(module.input_names, inputs, strict=True)))
    assert all(toys.agrees(a.float().numpy(), np.asarray(b, np.float32)) for a, b in zip(ours, theirs, strict=True))
    return tuned


# External data


def external_model(folder):
    nodes = [node("Gemm", ["x", "w", "b"], ["y"], "layer")]
    proto = toys.proto(nodes, {"x": ["n", 30]}, ["y"], {"w": toys.numbers(30, 20), "b": toys.numbers(20)})
    path = folder / "m.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=100)
    return path


def test_external_data_is_read_trained_and_written_beside(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    path = external_model(tmp_path / "a")
    model = Model.load(path)
    copy = model.save(tmp_path / "b" / "copy.onnx")
    assert copy.read_bytes() == path.read_bytes()
    assert (tmp_path / "b" / "weights.bin").read_bytes() == (tmp_path / "a" / "weights.bin").read_bytes()
    tuned = trained(model, toys.numbers(2, 30))
    saved = tuned.save(tmp_path / "b" / "tuned.onnx")
    x = toys.numbers(3, 30)
    assert toys.agrees(onnxruntime.InferenceSession(saved).run(None, {"x": x})[0], run(tuned, x=x)[0])
    # The copy's own numbers were not touched by saving another model beside it.
    assert toys.agrees(onnxruntime.InferenceSession(copy).run(None, {"x": x})[0], run(model, x=x)[0])
    assert Model.load(saved).sha256 == tuned.sha256
    for tensor in onnx.load(saved, load_external_data=False).graph.initializer:
        for entry in tensor.external_data:
            assert entry.key != "location" or not Path(entry.value).is_absolute()


def test_saving_over_the_source_keeps_a_sound_model(tmp_path):
    path = external_model(tmp_path)
    tuned = trained(Model.load(path), toys.numbers(2, 30))
    tuned.save(path)
    assert Model.load(path).sha256 == tuned.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"location": "/etc/passwd"}, "not a path inside"),
        ({"location": "../weights.bin"}, "not a path inside"),
        ({"location": "a/../../weights.bin"}, "not a path inside"),
        ({"location": "C:\\weights.bin"}, "not a path inside"),
        ({"location": "link"}, "leads out of"),
        ({"location": "folder/weights.bin"}, "leads out of"),
        ({"location": "absent.bin"}, "not there"),
        ({"location": ""}, "not a path inside"),
        ({"offset": "-1"}, "bytes at -1"),
        ({"offset": "100000000000"}, "the file has"),
        ({"offset": "x"}, "not a number"),
        ({"length": "8"}, "8 bytes at 0, its shape and type need 2400"),
    ],
)
def test_external_data_that_leads_astray_is_refused(tmp_path, change, message):
    inner = tmp_path / "inner"
    inner.mkdir()
    path = external_model(inner)
    (tmp_path / "secret.bin").write_bytes(bytes(5000))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "weights.bin").write_bytes(bytes(5000))
    (inner / "link").symlink_to(tmp_path / "secret.bin")
    (inner / "folder").symlink_to(tmp_path / "elsewhere")
    proto = onnx.load(path, load_external_data=False)
    entries = proto.graph.initializer[0].external_data
    for key, value in change.items():
        next(entry for entry in entries if entry.key == key).value = value
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=message):
        Model.load(path)


def test_tensors_that_claim_gigabytes_are_refused_before_anything_is_read(tmp_path):
    path = external_model(tmp_path)
    proto = onnx.load(path, load_external_data=False)
    for number in range(100):
        proto.graph.initializer.append(proto.graph.initializer[0])
        proto.graph.initializer[-1].name = f"w{number}"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="claim far more bytes"):
        Model.load(path)


def test_a_model_beyond_two_gigabytes_is_split(tmp_path, monkeypatch):
    proto = toys.proto([node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 30]}, ["y"], {"w": toys.numbers(30, 20)})
    model = Model.from_proto(proto)
    monkeypatch.setattr(file_module, "LARGEST_FILE", 1000)
    path = model.save(tmp_path / "large.onnx")
    with pytest.raises(ModelError, match="larger than 2 GiB"):
        model.serialize()
    monkeypatch.undo()
    assert path.stat().st_size < 500
    assert Model.load(path).sha256 == model.sha256
    assert set(external.packed(proto)) == {"w"}


# Types


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_half_and_double_precision_train_and_stay_what_they_are(dtype):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    weight = toys.numbers(6, 4).astype(dtype)
    nodes = [node("Cast", ["x"], ["h"], to=kind), node("MatMul", ["h", "w"], ["p"]), node("Cast", ["p"], ["y"], to=1)]
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 6]}, ["y"], {"w": weight}))
    module = model.module()
    assert (
        module.analog_weights()["w"].tensor.dtype
        == torch.from_numpy(np.zeros(1, np.float32))
        .to({np.float16: torch.float16, np.float64: torch.float64}.get(dtype, torch.bfloat16))
        .dtype
    )
    assert model.with_weights(module.export_weights()) is model
    x = toys.numbers(3, 6)
    module(torch.from_numpy(x)).square().sum().backward()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter -= 0.05 * parameter.grad / parameter.grad.abs().max()
    tuned = model.with_weights(module.export_weights())
    stored = tuned.proto.graph.initializer[0]
    assert stored.data_type == kind
    ours = module(torch.from_numpy(x)).detach().numpy()
    if dtype is not ml_dtypes.bfloat16:  # ONNX Runtime has no bfloat16 product on the CPU
        np.testing.assert_allclose(ours, run(tuned, x=x)[0], rtol=5e-3, atol=5e-3)
    reference = x.astype(dtype).astype(np.float64) @ numpy_helper.to_array(stored).astype(np.float64)
    np.testing.assert_allclose(ours, reference, rtol=3e-2, atol=3e-2)


def test_half_precision_batch_norms_move_their_statistics():
    names = ["scale", "bias", "mean", "var"]
    tensors = {name: np.abs(toys.numbers(3, seed=i)).astype(np.float16) for i, name in enumerate(names)}
    nodes = [
        node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        node("BatchNormalization", ["h", *names], ["n"]),
        node("Cast", ["n"], ["y"], to=1),
    ]
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 3, 4, 4]}, ["y"], tensors, opset=14))
    module = model.module().eval()
    x = toys.numbers(2, 3, 4, 4)
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), run(model, x=x)[0], rtol=5e-3, atol=5e-3)
    module.train()(torch.from_numpy(x), update_statistics=True)
    moved = model.with_weights(module.export_weights()).tensors()
    expected = tensors["mean"].astype(np.float32) * 0.9 + x.mean((0, 2, 3)) * 0.1
    assert moved["mean"].dtype == np.float16
    np.testing.assert_allclose(moved["mean"].astype(np.float32), expected, rtol=2e-3, atol=1e-3)


# Sparse, filled, shared, nested, local functions


def test_a_sparse_initializer_trains_its_values_and_stays_sparse():
    proto = toys.proto([node("MatMul", ["x", "w"], ["y"], "product")], {"x": ["n", 4]}, ["y"])
    values = helper.make_tensor("w", TensorProto.FLOAT, [3], [1.0, -2.0, 0.5])
    places = helper.make_tensor("i", TensorProto.INT64, [3], [1, 6, 11])
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4, 3]))
    model = Model.from_proto(proto)
    module = model.module()
    assert [(name, tuple(p.shape)) for name, p in module.named_parameters()] == [("w", (3,))]
    (weight,) = module.analog_weights().values()
    assert tuple(weight.tensor.shape) == (4, 3)
    assert weight.tensor.flatten().nonzero().flatten().tolist() == [1, 6, 11]
    tuned = trained(model, toys.numbers(2, 4))
    assert len(tuned.proto.graph.sparse_initializer) == 1
    pairs = helper.make_tensor("i", TensorProto.INT64, [3, 2], [0, 1, 2, 0, 3, 2])
    proto.graph.sparse_initializer[0].indices.CopyFrom(pairs)
    x = toys.numbers(2, 4)
    with torch.no_grad():
        same = Model.from_proto(proto).module()(torch.from_numpy(x)).numpy()
    assert toys.agrees(same, run(model, x=x)[0])
    proto.graph.sparse_initializer[0].indices.CopyFrom(helper.make_tensor("i", TensorProto.INT64, [3], [1, 6, 12]))
    with pytest.raises(ModelError, match="indices do not fit"):
        Model.from_proto(proto).module()


def test_a_weight_made_by_constant_of_shape_trains_and_becomes_a_constant():
    fill = helper.make_tensor("v", TensorProto.FLOAT, [1], [0.5])
    nodes = [node("ConstantOfShape", ["s"], ["w"], value=fill), node("MatMul", ["x", "w"], ["y"], "product")]
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 4]}, ["y"], {"s": np.array([4, 3])}))
    module = model.module()
    assert [name for name, _ in module.named_parameters()] == ["w"]
    assert model.with_weights(module.export_weights()) is model
    tuned = trained(model, toys.numbers(2, 4))
    assert [n.op_type for n in tuned.proto.graph.node] == ["Constant", "MatMul"]
    assert list(tuned.module().analog_weights()) == ["w"]


def branch(name, weight, inner="w"):
    out = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)
    nodes = [
        node("MatMul", ["x", inner], [f"{name}_h"], "product"),
        node("Add", [f"{name}_h", "shared"], [f"{name}_y"]),
    ]
    return helper.make_graph(nodes, name, [], [out], [numpy_helper.from_array(weight, inner)])


def test_both_branches_of_an_if_hold_parameters_and_the_branch_taken_trains():
    first, second = branch("t", toys.numbers(3, 2)), branch("e", toys.numbers(3, 2, seed=1))
    nodes = [
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Greater", ["s", "zero"], ["c"]),
        node("If", ["c"], ["y"], "choice", then_branch=first, else_branch=second),
    ]
    tensors = {"zero": np.float32(0), "shared": toys.numbers(2, seed=2)}
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 3]}, ["y"], tensors))
    module = model.module()
    names = ["shared", "choice/then_branch/w", "choice/else_branch/w"]
    assert sorted(dict(module.named_parameters())) == sorted(names)
    keys = list(module.analog_weights())
    assert len(keys) == 2
    for sign, taken, other in ((1, names[1], names[2]), (-1, names[2], names[1])):
        x = sign * np.abs(toys.numbers(2, 3))
        output = module(torch.from_numpy(x))
        assert toys.agrees(output.detach().numpy(), run(model, x=x)[0])
        module.zero_grad()
        output.sum().backward()
        parameters = dict(module.named_parameters())
        assert parameters[taken].grad.abs().sum() > 0
        assert parameters["shared"].grad.abs().sum() > 0
        assert parameters[other].grad is None or parameters[other].grad.abs().sum() == 0
        (key,) = (key for key in keys if key.startswith(taken))
        zero = torch.zeros(3, 2)
        torch.testing.assert_close(module(torch.from_numpy(x), weights={key: zero}), parameters["shared"].expand(2, 2))
    new = {name: toys.numbers(3, 2, seed=9) for name in names[1:]}
    tuned = model.with_weights(new)
    x = np.abs(toys.numbers(2, 3))
    expected = x @ new[names[1]] + tensors["shared"]
    assert toys.agrees(run(tuned, x=x)[0], expected)


def test_weights_in_a_local_function_are_tied_over_its_calls():
    weight = toys.numbers(3, 3)
    body = [
        node("Constant", [], ["w"], value=numpy_helper.from_array(weight)),
        node("MatMul", ["a", "w"], ["h"], "product"),
        helper.make_node("LeakyRelu", ["h"], ["b"]),
    ]
    body[2].attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    function = helper.make_function(
        "my", "Layer", ["a"], ["b"], body, [helper.make_opsetid("", 17)], attributes=["slope"]
    )
    calls = [
        helper.make_node("Layer", ["x"], ["m"], "first", domain="my", slope=0.5),
        helper.make_node("Layer", ["m"], ["y"], "second", domain="my", slope=0.25),
    ]
    proto = toys.proto(calls, {"x": ["n", 3]}, ["y"])
    proto.functions.append(function)
    proto.opset_import.append(helper.make_opsetid("my", 1))
    model = Model.from_proto(proto)
    module = model.module()
    assert len(list(module.parameters())) == 1
    assert list(module.analog_weights()) == ["w"]
    assert list(model.with_crossbars("use").analog_weights()) == ["w@first/product", "w@second/product"]
    tuned = trained(model, toys.numbers(2, 3))
    assert len(tuned.proto.functions) == 1
