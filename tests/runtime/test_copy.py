"""The runtime copy computes what the file computes, and every analog use can be replaced on its own."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from harden.errors import VerificationError
from harden.graph.file import Model
from harden.runtime.copy import RuntimeCopy
from harden.streams import numpy_generator


def rewritten(proto, name, value):
    """The same file with one initializer's numbers replaced: the slow, certain way."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for tensor in copy.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(value, name))
    return copy.SerializeToString()


def run(source, x):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize("batch_norm", [False, True], ids=["conv", "conv+bn"])
@pytest.mark.parametrize("name", ["a.weight", "b.weight", "c.weight"])
def test_a_replaced_weight_gives_what_a_rewritten_file_gives(convolutions, images, tmp_path, batch_norm, name):
    proto = convolutions(batch_norm=batch_norm)
    copy = RuntimeCopy.build(Model.from_proto(proto), tmp_path)
    old = copy.uses[name].tensor.detach().numpy()
    value = old + numpy_generator(0, "noise").standard_normal(old.shape, dtype=np.float32)

    got = copy.session({name: value}).run(images)[0]

    assert np.array_equal(got, run(rewritten(proto, name, value), images))
    assert not np.allclose(got, run(proto.SerializeToString(), images))


def test_clean_outputs_equal_the_files_bit_for_bit(convolutions, images, tmp_path):
    proto = convolutions(batch_norm=True)
    copy = RuntimeCopy.build(Model.from_proto(proto), tmp_path)

    copy.check(images)

    assert copy.exact
    assert np.array_equal(copy.session().run(images)[0], run(proto.SerializeToString(), images))


def test_a_shared_tensor_is_replaced_at_all_its_uses_turned_as_each_reads_it(shared_weights, tmp_path):
    copy = RuntimeCopy.build(Model.from_proto(shared_weights), tmp_path)
    x = numpy_generator(1, "x").standard_normal((3, 6), dtype=np.float32)
    k = next(u.tensor.detach().numpy() for u in copy.uses.values() if u.node == "three")
    other = numpy_generator(2, "other").standard_normal((6, 6), dtype=np.float32)

    assert set(copy.keys) == {"w", "k"}
    copy.check(x)
    got = copy.session({"w": other}).run(x)[0]
    assert np.allclose(got, np.maximum(x @ other, 0) @ other.T @ k, rtol=1e-4, atol=1e-4)


def test_each_use_of_a_shared_tensor_is_replaced_alone_where_that_is_asked_for(shared_weights, tmp_path):
    copy = RuntimeCopy.build(Model.from_proto(shared_weights).with_crossbars("use"), tmp_path)
    x = numpy_generator(1, "x").standard_normal((3, 6), dtype=np.float32)
    w = numpy_helper.to_array(shared_weights.graph.initializer[0])
    k = next(u.tensor.detach().numpy() for u in copy.uses.values() if u.node == "three")
    other = numpy_generator(2, "other").standard_normal((6, 6), dtype=np.float32)

    assert set(copy.keys) == {"w@one", "w@two", "k"}
    copy.check(x)
    assert copy.exact
    first = copy.session({"w@one": other}).run(x)[0]
    second = copy.session({"w@two": other}).run(x)[0]
    assert np.allclose(first, np.maximum(x @ other, 0) @ w.T @ k, rtol=1e-4, atol=1e-4)
    assert np.allclose(second, np.maximum(x @ w, 0) @ other @ k, rtol=1e-4, atol=1e-4)


def test_a_weight_promoted_from_a_constant_node_is_replaced(shared_weights, tmp_path):
    copy = RuntimeCopy.build(Model.from_proto(shared_weights), tmp_path)
    x = numpy_generator(1, "x").standard_normal((3, 6), dtype=np.float32)

    assert not np.any(copy.session({"k": np.zeros((6, 4), np.float32)}).run(x)[0])


def test_a_computed_weight_is_replaced_by_its_value(quantised, tmp_path):
    copy = RuntimeCopy.build(Model.from_proto(quantised), tmp_path)
    x = numpy_generator(1, "x").standard_normal((3, 6), dtype=np.float32)

    copy.check(x)

    assert not copy.exact
    (key,) = copy.keys
    value = np.ones((5, 6), np.float32)
    assert np.allclose(copy.session({key: value}).run(x)[0], x @ value.T, atol=1e-5)


def test_digital_weights_stay_in_the_file(convolutions, images, tmp_path):
    copy = RuntimeCopy.build(Model.from_proto(convolutions()), tmp_path, digital=("c.*",))

    assert copy.keys == ("a.weight", "b.weight")
    copy.check(images)


def test_unknown_keys_and_wrong_shapes_are_refused(convolutions, tmp_path):
    copy = RuntimeCopy.build(Model.from_proto(convolutions()), tmp_path)

    with pytest.raises(VerificationError, match="no analog weight is called 'nothing'"):
        copy.session({"nothing": np.zeros(3, np.float32)})
    with pytest.raises(VerificationError, match=r"c\.weight"):
        copy.session({"c.weight": np.zeros((2, 16), np.float32)})
    with pytest.raises(VerificationError, match="float64"):
        copy.session({"c.weight": np.zeros((5, 16))})


def test_the_model_is_not_modified(shared_weights, tmp_path):
    before = shared_weights.SerializeToString()

    RuntimeCopy.build(Model.from_proto(shared_weights), tmp_path)

    assert shared_weights.SerializeToString() == before


@pytest.mark.parametrize("name", ["ch_ppocr_mobile_v2.0_cls_infer", "ch_PP-OCRv4_det_infer"])
def test_files_from_elsewhere_keep_their_clean_outputs(shared_data, tmp_path, name):
    from harden.runtime.examples import find_inputs

    model = Model.load(shared_data / "onnx" / f"{name}.onnx")
    copy = RuntimeCopy.build(model, tmp_path)

    copy.check(*find_inputs(model))

    assert len(copy.keys) > 5
