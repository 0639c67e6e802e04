"""What an output means, whatever stands behind the function that gave it its meaning; right values by numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys
from onnx import helper, numpy_helper

from harden.graph.file import Model
from harden.tasks import heads
from harden.tasks.classification import divergence

Z = toys.numbers(7, 3)


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], **attributes)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def model(tail, width=3, shape=None, **tensors):
    """A matrix product followed by these nodes; the last one's output is the model's."""
    weights = {"w": toys.numbers(4, width), **tensors}
    return toys.model(
        [node("MatMul", ["x", "w"], "z"), *tail], {"x": ["n", 4]}, {tail[-1].output[0]: shape or ["n", width]}, weights
    )


AXIS = {"axis": np.array([1])}
SOFTMAX, SIGMOID = node("Softmax", ["z"], "p", axis=1), node("Sigmoid", ["z"], "p")
TAILS = {
    "softmax": ([SOFTMAX], {}),
    "identity": ([SOFTMAX, node("Identity", ["p"], "y")], {}),
    "unsqueeze": ([SOFTMAX, node("Unsqueeze", ["p", "axis"], "y")], AXIS),
    "reshape": ([SOFTMAX, node("Reshape", ["p", "target"], "y")], {"target": np.array([-1, 1, 3])}),
    "flatten": ([SOFTMAX, node("Flatten", ["p"], "y")], {}),
    "cast twice": ([SOFTMAX, node("Cast", ["p"], "d", to=11), node("Cast", ["d"], "y", to=1)], {}),
    "log of softmax": ([SOFTMAX, node("Log", ["p"], "y")], {}),
    "log softmax": ([node("LogSoftmax", ["z"], "y", axis=1)], {}),
    "exp of log softmax": ([node("LogSoftmax", ["z"], "l", axis=1), node("Exp", ["l"], "y")], {}),
    "written out": (
        [node("Exp", ["z"], "e"), node("ReduceSum", ["e", "axis"], "s", keepdims=1), node("Div", ["e", "s"], "y")],
        AXIS,
    ),
    "clip": ([SOFTMAX, node("Clip", ["p"], "y")], {}),
    "transposed": (
        [SOFTMAX, node("Unsqueeze", ["p", "axis"], "u"), node("Transpose", ["u"], "y", perm=[0, 2, 1])],
        AXIS,
    ),
    "mean of two": ([SOFTMAX, node("Mean", ["p", "p"], "y")], {}),
}


@pytest.mark.parametrize("name", TAILS)
def test_class_probabilities_are_found_behind_what_moves_them(name):
    tail, tensors = TAILS[name]
    network = model(
        tail, shape=["n", None, None] if name in ("unsqueeze", "reshape", "transposed") else None, **tensors
    )
    (head,) = heads(network)
    x = toys.numbers(5, 4, seed=1)
    z = x @ toys.numbers(4, 3)
    with torch.no_grad():
        given = network.module()(torch.from_numpy(x)).numpy()
        trained = head.logits(network.module([head.value])(torch.from_numpy(x)))
    np.testing.assert_allclose(np.exp(head.log_probabilities(given)), softmax(z), atol=1e-5)
    np.testing.assert_allclose(trained.softmax(1).numpy(), softmax(z), atol=1e-5)


BINARY = {
    "logit": ([node("Identity", ["z"], "y")], {}),
    "sigmoid": ([SIGMOID], {}),
    "squeeze": ([SIGMOID, node("Squeeze", ["p", "axis"], "y")], AXIS),
    "identity": ([SIGMOID, node("Identity", ["p"], "y")], {}),
    "pair": ([SIGMOID, node("Sub", ["one", "p"], "q"), node("Concat", ["q", "p"], "y", axis=1)], {"one": np.ones(1)}),
}


@pytest.mark.parametrize("name", BINARY)
def test_one_number_is_the_probability_of_class_one(name):
    tail, tensors = BINARY[name]
    shape = {"squeeze": ["n"], "pair": ["n", 2]}.get(name)
    network = model(tail, width=1, shape=shape, **tensors)
    (head,) = heads(network)
    x = toys.numbers(5, 4, seed=1)
    p = 1 / (1 + np.exp(-(x @ toys.numbers(4, 1))))
    with torch.no_grad():
        given = network.module()(torch.from_numpy(x)).numpy()
        trained = head.logits(network.module([head.value])(torch.from_numpy(x)))
    np.testing.assert_allclose(np.exp(head.log_probabilities(given)), np.hstack([1 - p, p]), atol=1e-6)
    np.testing.assert_allclose(trained.softmax(1).numpy(), np.hstack([1 - p, p]), atol=1e-6)


def test_the_other_order_of_a_pair_is_another_class():
    tail = [SIGMOID, node("Sub", ["one", "p"], "q"), node("Concat", ["p", "q"], "y", axis=1)]
    network = model(tail, width=1, shape=["n", 2], one=np.ones(1))
    (head,) = heads(network)
    x = torch.from_numpy(toys.numbers(5, 4, seed=1))
    p = torch.sigmoid(x @ torch.from_numpy(toys.numbers(4, 1)))
    trained = head.logits(network.module([head.value])(x)).softmax(1)
    torch.testing.assert_close(trained, torch.cat([p, 1 - p], 1))


def test_sigmoids_of_several_classes_are_shares_of_their_sum():
    (head,) = heads(network := model([SIGMOID]))
    x = torch.from_numpy(toys.numbers(5, 4, seed=1))
    p = torch.sigmoid(x @ torch.from_numpy(toys.numbers(4, 3)))
    right = p / p.sum(1, keepdim=True)
    torch.testing.assert_close(head.logits(network.module([head.value])(x)).softmax(1), right)
    np.testing.assert_allclose(np.exp(head.log_probabilities(p.numpy())), right.numpy(), atol=1e-6)


def test_quantised_probabilities_are_probabilities():
    tail = [SOFTMAX, node("QuantizeLinear", ["p", "s", "o"], "q"), node("DequantizeLinear", ["q", "s", "o"], "y")]
    made = toys.proto(
        [node("MatMul", ["x", "w"], "z"), *tail], {"x": ["n", 4]}, {"y": ["n", 3]},
        {"w": toys.numbers(4, 3), "s": np.float32(1 / 255), "o": np.uint8(0)},
    )  # fmt: skip
    (head,) = heads(Model.from_proto(made))
    assert (head.meaning, head.value) == ("probabilities", "z")


def test_branches_that_agree_say_what_they_are():
    def branch(name, factor):
        tensors = [numpy_helper.from_array(np.float32(factor), f"{name}k")]
        nodes = [node("Mul", ["z", f"{name}k"], f"{name}m"), node("Softmax", [f"{name}m"], f"{name}p", axis=1)]
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(f"{name}p", 1, ["n", 3])], tensors)

    flag = node("Greater", ["total", "zero"], "flag")
    tail = [
        node("ReduceSum", ["z"], "total", keepdims=0), flag,
        node("If", ["flag"], "y", then_branch=branch("a", 1), else_branch=branch("b", 2)),
    ]  # fmt: skip
    (head,) = heads(model(tail, zero=np.zeros(())))
    assert (head.meaning, head.value) == ("probabilities", "y")


def test_outputs_that_no_input_feeds_and_class_numbers_are_no_heads():
    nodes = [
        node("MatMul", ["x", "w"], "z"), node("Identity", ["w"], "anchors"),
        node("ArgMax", ["z"], "label", axis=1, keepdims=0), node("Softmax", ["z"], "p", axis=1),
    ]  # fmt: skip
    made = toys.proto(nodes, {"x": ["n", 4]}, {"anchors": [4, 3], "p": ["n", 3]}, {"w": toys.numbers(4, 3)})
    made.graph.output.insert(1, helper.make_tensor_value_info("label", 7, ["n"]))
    (head,) = heads(Model.from_proto(made))
    assert (head.index, head.name) == (2, "p")


def test_logits_come_as_they_are_to_the_bit():
    (head,) = heads(network := model([node("Identity", ["z"], "y")]))
    output = network.module([head.value])(torch.from_numpy(toys.numbers(5, 4)))
    assert head.logits(output).data_ptr() == output.data_ptr()


def test_divergence_of_probabilities_is_that_of_their_logits_at_any_temperature():
    (head,) = heads(model([SOFTMAX, node("Clip", ["p"], "y")]))
    a, b = torch.from_numpy(Z), torch.from_numpy(toys.numbers(7, 3, seed=2))
    found = divergence(head.logits(a.softmax(1)), head.logits(b.softmax(1)), 3.0)
    torch.testing.assert_close(found, divergence(a, b, 3.0))
