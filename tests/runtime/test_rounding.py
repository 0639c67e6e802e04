"""Files that round on their way: one step of their type is no fault, and what is one is still found."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from onnx import TensorProto, helper

from harden.errors import CanaryError
from harden.graph.file import Model
from harden.runtime.canary import canary, check_noise
from harden.runtime.copy import RuntimeCopy
from harden.runtime.parity import difference, parity
from harden.runtime.rounding import Rounding
from harden.runtime.sessions import Session

node = helper.make_node
WIDTH = 48


def weights(layers=6, seed=0):
    """Square weights that keep the size of what goes through them."""
    return [toys.numbers(WIDTH, WIDTH, seed=seed + at) * np.float32(1.4 / WIDTH**0.5) for at in range(layers)]


def product(at, value, weight, turned):
    """A layer; one that is ``turned`` takes its weight transposed."""
    if at == turned:
        return node("Gemm", [value, weight], [f"h{at}"], f"m{at}", transB=1)
    return node("MatMul", [value, weight], [f"h{at}"], f"m{at}")


def half(matrices, turned=None):
    """Layers in half precision with a Relu between them."""
    nodes, value = [], "x"
    for at in range(len(matrices)):
        nodes += [product(at, value, f"w{at}", turned), node("Relu", [f"h{at}"], [f"r{at}"])]
        value = f"r{at}"
    nodes[-1].output[0] = "y"
    tensors = {f"w{at}": matrix.astype(np.float16) for at, matrix in enumerate(matrices)}
    return Model.from_proto(toys.proto(nodes, {"x": ["n", WIDTH]}, ["y"], tensors, dtype=TensorProto.FLOAT16))


def eight_bits(matrices, turned=None):
    """Layers whose weights and outputs are rounded to eight bits, as static quantisation writes them."""
    nodes, value = [], "x"
    tensors = {"s": np.float32(0.04), "z": np.uint8(0)}
    for at, matrix in enumerate(matrices):
        scale = np.float32(np.abs(matrix).max() / 127)
        tensors |= {f"w{at}": np.round(matrix / scale).astype(np.int8), f"s{at}": scale}
        nodes += [
            node("DequantizeLinear", [f"w{at}", f"s{at}"], [f"d{at}"]),
            product(at, value, f"d{at}", turned),
            node("QuantizeLinear", [f"h{at}", "s", "z"], [f"q{at}"]),
            node("DequantizeLinear", [f"q{at}", "s", "z"], [f"r{at}"]),
        ]
        value = f"r{at}"
    nodes[-1].output[0] = "y"
    return Model.from_proto(toys.proto(nodes, {"x": ["n", WIDTH]}, ["y"], tensors))


def examples(kind, count=64):
    return toys.numbers(count, WIDTH, seed=99).astype(np.float16 if kind is half else np.float32)


def exact(matrices, x):
    """The layers in double precision, from the halves that the file holds."""
    for matrix in matrices:
        x = np.maximum(x @ matrix.astype(np.float16).astype(np.float64), 0)
    return x


def test_half_precision_is_told_from_an_error():
    model, x = half(weights()), examples(half)
    right = exact(weights(), x.astype(np.float64))
    found = Session(model.runnable).run(x)[0]
    assert np.abs(found - right).max() < 4 * 2**-11 * np.abs(right).max()
    agreement = parity(model, (x,))
    assert agreement.passed
    assert agreement.max_rel_error > 0  # which single precision would not have to allow
    assert canary(model, (x[:4],)).tensors == 6


@pytest.mark.parametrize("kind", [half, eight_bits])
@pytest.mark.parametrize("layer", [0, 3, 5])
def test_a_misread_transpose_is_found_all_the_same(kind, layer, tmp_path):
    copy = RuntimeCopy.build(kind(weights()), tmp_path)
    misread = kind(weights(), turned=layer).module()
    with pytest.raises(CanaryError):
        check_noise(copy, misread, (examples(kind)[:4],))


@pytest.mark.parametrize("kind", [half, eight_bits])
@pytest.mark.parametrize("lost", ["w0", "w5"])
def test_noise_that_does_not_arrive_is_found_all_the_same(kind, lost, tmp_path):
    model = kind(weights())
    copy = RuntimeCopy.build(model, tmp_path)

    class OneLost:
        uses, rounding = copy.uses, copy.rounding

        def session(self, values=None, *, threads=1):
            return copy.session({k: v for k, v in (values or {}).items() if k != lost}, threads=threads)

    with pytest.raises(CanaryError) as caught:
        check_noise(OneLost(), model.module(), (examples(kind)[:4],))
    assert caught.value.where == lost


def test_a_number_on_an_edge_may_fall_on_either_side():
    """Halves of a step are rounded to even; a sum in another order is a last bit off, and then a whole step."""
    nodes = [
        node("MatMul", ["x", "w"], ["h"]),
        node("QuantizeLinear", ["h", "s", "z"], ["q"]),
        node("MaxPool", ["q"], ["p"], kernel_shape=[1]),
        node("DequantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    tensors = {"w": np.ones((4, 4), np.float32), "s": np.float32(0.25), "z": np.uint8(0)}
    program = Model.from_proto(toys.proto(nodes, {"x": [1, 2, 4]}, ["y"], tensors)).program
    rounding = Rounding.of(program)
    assert rounding.step == 2**-9
    assert rounding.grids == (0.25,)
    assert rounding.allowances(lambda x, w: x, (np.zeros(3),), {}, (np.zeros(3),)) == [0.25]


@pytest.mark.parametrize(
    ("kind", "step"), [(TensorProto.FLOAT, 2**-24), (TensorProto.FLOAT16, 2**-11), (TensorProto.BFLOAT16, 2**-8)]
)
def test_only_what_is_computed_in_halves_counts(kind, step):
    nodes = [node("Cast", ["x"], ["c"], to=kind), node("Cast", ["c"], ["y"], to=TensorProto.FLOAT)]
    assert Rounding.of(Model.from_proto(toys.proto(nodes, {"x": [2]}, ["y"])).program).step == step


def test_last_bits_that_a_network_under_noise_makes_large_are_no_fault(tmp_path):
    """Forty layers at the edge of chaos: a last bit of a weight moves the outputs by more than the rule allows."""
    nodes, value, matrices = [], "x", [toys.numbers(WIDTH, WIDTH, seed=at) * np.float32(0.4) for at in range(40)]
    for at in range(len(matrices)):
        nodes += [node("MatMul", [value, f"w{at}"], [f"h{at}"], f"m{at}"), node("Tanh", [f"h{at}"], [f"r{at}"])]
        value = f"r{at}"
    nodes[-1].output[0] = "y"
    tensors = {f"w{at}": matrix for at, matrix in enumerate(matrices)}
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", WIDTH]}, ["y"], tensors))
    x = toys.numbers(4, WIDTH, seed=7)
    right, found = x.astype(np.float64), Session(model.runnable).run(x)[0]
    for matrix in matrices:
        right = np.tanh(right @ matrix.astype(np.float64))
    assert not difference(right, found).passed  # ONNX Runtime itself, against double precision
    assert canary(model, (x,)).tensors == 40


def test_halves_that_are_stored_only_ask_for_no_allowance():
    nodes = [node("Cast", ["w"], ["v"], to=TensorProto.FLOAT), node("MatMul", ["x", "v"], ["y"])]
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 4]}, ["y"], {"w": np.ones((4, 2), np.float16)}))
    assert Rounding.of(model.program) == Rounding()
    assert parity(model, (toys.numbers(3, 4),)).passed


def test_integers_may_differ_by_the_floor_and_truths_by_nothing():
    assert not difference(np.array([3, 4]), np.array([3, 5])).passed
    assert difference(np.array([3, 4]), np.array([3, 5]), floor=1.0).passed
    assert not difference(np.array([3, 4]), np.array([3, 6]), floor=1.0).passed
    assert not difference(np.array([True]), np.array([False]), floor=0.5).passed
