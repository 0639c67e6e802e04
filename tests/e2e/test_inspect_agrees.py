"""``inspect``, ``fit --dry-run`` and ``fit`` say the same of a file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import toys
from onnx import TensorProto, helper, numpy_helper

from harden.cli import main
from harden.pipeline.inspect import inspect

node = helper.make_node
W, V = toys.numbers(8, 6) * 0.5, toys.numbers(6, 3, seed=1) * 0.5


def network(first, tensors, last=(), opset=21, **options):
    """x [n, 8] -> what ``first`` makes of it, ``h`` -> Relu -> MatMul -> ``z`` -> what ``last`` makes of that."""
    nodes = [*first, node("Relu", ["h"], ["r"], "relu"), node("MatMul", ["r", "v"], ["z"], "last"), *last]
    end = {"y" if last else "z": None}
    return toys.proto(nodes, {"x": ["n", 8]}, end, {"v": V, **tensors}, opset=opset, ir_version=10, **options)


def product(weight, name="first"):
    return node("MatMul", ["x", weight], ["h"], name)


def rounded(matrix):
    scale = np.float32(np.abs(matrix).max() / 127)
    return {"q": np.round(matrix / scale).astype(np.int8), "s": scale}


def halves():
    nodes = [
        node("Cast", ["x"], ["c"], to=TensorProto.FLOAT16),
        node("MatMul", ["c", "w"], ["g"], "first"),
        node("Cast", ["g"], ["h"], to=TensorProto.FLOAT),
    ]
    return network(nodes, {"w": W.astype(np.float16)})


def static_quantisation():
    edges = {"xs": np.float32(0.05), "xz": np.uint8(128)}
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        node("DequantizeLinear", ["q", "s"], ["d"]),
        node("MatMul", ["xd", "d"], ["h"], "first"),
    ]
    return network(nodes, {**rounded(W), **edges})


def clipped():
    nodes = [
        node("QuantizeLinear", ["w", "s", "o"], ["q"]),
        node("Clip", ["q", "a", "b"], ["c"]),
        node("DequantizeLinear", ["c", "s", "o"], ["d"]),
        product("d"),
    ]
    limits = {"o": np.int8(0), "a": np.int8(-127), "b": np.int8(127)}
    return network(nodes, {"w": W, "s": np.float32(np.abs(W).max() / 127), **limits})


def local_functions():
    proto = network([node("Layer", ["x", "w"], ["h"], "call", domain="pkg")], {"w": W})
    version = [helper.make_opsetid("", 21)]
    body = [node("MatMul", ["a", "b"], ["o"], "inner")]
    proto.functions.append(helper.make_function("pkg", "Layer", ["a", "b"], ["o"], body, version))
    proto.opset_import.append(helper.make_opsetid("pkg", 1))
    return proto


def initializers_among_the_inputs():
    proto = network([product("w")], {"w": W}, opset=8)
    proto.ir_version = 3
    stored = [(item.name, numpy_helper.to_array(item).shape) for item in proto.graph.initializer]
    proto.graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in stored)
    return proto


def foreign(nodes, tensors, domain, last=()):
    proto = network(nodes, tensors, last)
    proto.opset_import.append(helper.make_opsetid(domain, 1))
    return proto


def integers():
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["a", "as", "az"]),
        node("MatMulInteger", ["a", "q", "az"], ["i"], "first"),
        node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["f", "as"], ["h"]),
    ]
    return network(nodes, rounded(W))


def computed_scale():
    tensors = {"q": rounded(W)["q"], "e": np.float32(-4)}
    return network([node("Exp", ["e"], ["s"]), node("DequantizeLinear", ["q", "s"], ["d"]), product("d")], tensors)


def nothing_analog():
    return toys.proto([node("Mul", ["x", "w"], ["z"])], {"x": ["n", 8]}, {"z": None}, {"w": toys.numbers(8)})


def newer():
    proto = network([product("w")], {"w": W})
    proto.ir_version = 99
    return proto


def random_weights():
    nodes = [node("RandomNormal", [], ["w"], shape=[8, 6], seed=1.0), product("w")]
    return toys.proto([*nodes, node("Relu", ["h"], ["z"])], {"x": ["n", 8]}, {"z": None})


SOUND = {
    "plain": lambda: network([product("w")], {"w": W}),
    "a Constant node": lambda: network(
        [node("Constant", [], ["w"], value=numpy_helper.from_array(W)), product("w")], {}
    ),
    "halves": halves,
    "weights of eight bits": lambda: network([node("DequantizeLinear", ["q", "s"], ["d"]), product("d")], rounded(W)),
    "static quantisation": static_quantisation,
    "rounded and clipped": clipped,
    "local functions": local_functions,
    "initializers among the inputs": initializers_among_the_inputs,
    "a weight that is an output": lambda: network([product("w")], {"w": W}, [node("Identity", ["z"], ["y"])]),
}
REFUSED = {
    "layers on integers": integers,
    "a computed scale": computed_scale,
    "nothing analog": nothing_analog,
    "newer than ONNX Runtime": newer,
    "an operator nobody knows": lambda: foreign([node("Odd", ["x"], ["h"], domain="com.acme")], {}, "com.acme"),
    "weights nobody stores": random_weights,
}


@pytest.mark.parametrize("name", [*SOUND, *REFUSED])
def test_inspect_and_fit_say_the_same(name, tmp_path, monkeypatch, capsys, pace):
    pace(severity_scales=(0.0, 1.0), ranking_passes=8, ranking_chips=3)
    monkeypatch.chdir(tmp_path)
    onnx.save({**SOUND, **REFUSED}[name](), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=toys.numbers(60, 8, seed=3), y=np.arange(60) % 3)
    words = ["fit", "model.onnx", "--data", "data.npz", "--mean", "0", "--std", "1", "--method", "noise"]
    words += ["--profile", "gaussian:sigma=0.05", "--chips", "2", "--epochs", "1", "--threads", "1", "--out", "run"]
    codes = []
    for more in (["--dry-run"], []):
        with pytest.raises(SystemExit) as caught:
            main([*words, "--second-try", "off", *more])
        codes.append(caught.value.code)
    said = capsys.readouterr().err
    assert (inspect("model.onnx").trainable, codes) == ((True, [0, 0]) if name in SOUND else (False, [3, 3])), said
