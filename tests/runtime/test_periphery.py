"""Converters and output noise in ONNX Runtime: the numbers that torch computes, and the file untouched."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from harden.errors import UnsupportedError, VerificationError
from harden.graph.file import Model
from harden.noise.periphery import ChipPeriphery, Periphery
from harden.noise.profile import Profile
from harden.runtime.copy import RuntimeCopy
from harden.runtime.periphery import PeripheryCopy, insert
from harden.streams import numpy_generator
from harden.transforms import ranges

ALL = Periphery(dac_bits=5, adc_bits=6, output_noise=0.02)


def both(proto, periphery, x, folder, noise=None):
    """Outputs of one chip with a periphery, in torch and in ONNX Runtime."""
    model = Model.from_proto(proto)
    module, weights = model.module().eval(), model.analog_weights()
    found = periphery.ranges(ranges.calibrate(module, weights, [(torch.from_numpy(x),)]))
    shapes = {key: tuple(o.shape) for key, (_, o) in ranges.layers(module, weights, torch.from_numpy(x)).items()}
    copy = PeripheryCopy(RuntimeCopy.build(model, folder), periphery, found, lambda _: shapes)
    copy.check(x)
    chip = noise.chip(weights, seed=1, index=2) if noise else {key: use.tensor for key, use in weights.items()}
    session = copy.session(chip, seed=1, path=("chip", 2))
    module.periphery = ChipPeriphery(periphery, found, 1, ("chip", 2))
    with torch.no_grad():
        mine = torch.stack([module(torch.from_numpy(x), weights=chip) for _ in range(2)]).numpy()
    return mine, np.stack([session.run(x)[0] for _ in range(2)])


@pytest.fixture
def mlp():
    tensors = {
        "a": numpy_generator(0, "a").integers(-4, 5, (6, 8)),
        "b": numpy_generator(0, "b").integers(-4, 5, (5, 8)),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "b"], ["y"], name="last", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 6])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    "periphery",
    [Periphery(dac_bits=4), Periphery(adc_bits=4), Periphery(input_range=1.5, output_range=9.0)],
    ids=["dac", "adc", "clip"],
)
def test_whole_numbers_come_out_alike(periphery, mlp, tmp_path):
    # The first layer's sums are exact, so no value lies on different sides of a tie in the two runtimes.
    x = numpy_generator(0, "x").integers(-7, 8, (32, 6)).astype(np.float32)
    mine, theirs = both(mlp, periphery, x, tmp_path)
    np.testing.assert_allclose(theirs, mine, atol=1e-6 * np.abs(mine).max())
    plain = Model.from_proto(mlp).module()(torch.from_numpy(x)).detach().numpy()
    assert not np.allclose(mine[0], plain)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_convolutions_agree_but_for_ties(batch_norm, convolutions, images, tmp_path):
    mine, theirs = both(convolutions(batch_norm=batch_norm), ALL, images, tmp_path, Profile.load("gaussian"))
    # A sum that rounding puts on either side of a tie moves its layer by one code, and only that.
    scale = np.abs(mine).max()
    assert np.abs(theirs - mine).max() < 0.1 * scale
    assert (np.abs(theirs - mine) < 1e-4 * scale).mean() > 0.8
    assert np.abs(mine[0] - mine[1]).max() > 1e-3 * scale  # noise is drawn anew for every pass


def test_a_matmul_and_a_gemm_agree_with_noise(mlp, tmp_path):
    x = numpy_generator(0, "x").standard_normal((64, 6)).astype(np.float32)
    mine, theirs = both(mlp, ALL, x, tmp_path, Profile.load("gaussian"))
    assert (np.abs(theirs - mine) < 1e-4 * np.abs(mine).max()).mean() > 0.99


def test_a_crossbar_with_several_uses_has_converters_and_noise_at_each(shared_weights, tmp_path):
    model = Model.from_proto(shared_weights)
    x = numpy_generator(0, "x").standard_normal((64, 6)).astype(np.float32)
    seen = ranges.layers(model.module(), model.analog_weights(), torch.from_numpy(x))
    assert set(seen) == {"w@one", "w@two", "k"}  # w and its transpose are one crossbar, and two places
    mine, theirs = both(shared_weights, ALL, x, tmp_path, Profile.load("gaussian"))
    assert (np.abs(theirs - mine) < 1e-4 * np.abs(mine).max()).mean() > 0.95


def test_the_file_and_the_plain_copy_stay_as_they_are(mlp, tmp_path):
    model = Model.from_proto(mlp)
    before = model.serialize()
    copy = RuntimeCopy.build(model, tmp_path)
    plain = copy.path.read_bytes()
    found = dict.fromkeys(copy.keys, ((-1.0, 1.0), (-1.0, 1.0)))
    PeripheryCopy(copy, ALL, found, lambda _: {})
    assert model.serialize() == before
    assert copy.path.read_bytes() == plain


def test_a_layer_without_signal_gets_no_nodes(mlp, tmp_path):
    copy = RuntimeCopy.build(Model.from_proto(mlp), tmp_path)
    nothing = ((0.0, 0.0), (0.0, 0.0))
    made = PeripheryCopy(copy, ALL, dict.fromkeys(copy.keys, nothing), lambda _: {})
    x = np.ones((3, 6), np.float32)
    assert np.array_equal(made.session().run(x)[0], copy.session().run(x)[0])


def test_old_opsets_are_refused(mlp):
    mlp.opset_import[0].version = 10
    with pytest.raises(UnsupportedError, match="opset 11"):
        insert(mlp, {}, ALL, {})


def test_half_precision_converts_bit_for_bit(mlp, tmp_path):
    for tensor in mlp.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for value in (*mlp.graph.input, *mlp.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    copy = RuntimeCopy.build(Model.from_proto(mlp), tmp_path)
    found = dict.fromkeys(copy.keys, ((-2.0, 2.0), (-9.0, 9.0)))
    made = PeripheryCopy(copy, Periphery(dac_bits=8, adc_bits=7), found, lambda _: {})
    made.check(numpy_generator(0, "x").standard_normal((64, 6)).astype(np.float16))


def test_a_converter_that_does_not_convert_is_found(mlp, tmp_path):
    copy = RuntimeCopy.build(Model.from_proto(mlp), tmp_path)
    made = PeripheryCopy(
        copy, Periphery(adc_bits=4), dict.fromkeys(copy.keys, ((-1.0, 1.0), (-9.0, 9.0))), lambda _: {}
    )
    proto = onnx.load_from_string(made._raw)
    for node in proto.graph.node:
        if node.op_type == "Round":
            node.op_type = "Floor"
    made._raw = proto.SerializeToString()
    with pytest.raises(VerificationError, match="does not convert"):
        made.check(numpy_generator(0, "x").standard_normal((8, 6)).astype(np.float32))
