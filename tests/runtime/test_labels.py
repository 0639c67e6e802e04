"""What nodes are called: the noise of a weight reaches the node in ONNX Runtime that the module means by its label.

ONNX Runtime refuses two nodes of one name in a graph; two that go by one label are no trouble to it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from harden.errors import UnsupportedError
from harden.graph.file import Model
from harden.graph.folding import fold_batch_norms
from harden.graph.insertion import Insertion, insert
from harden.runtime.canary import canary, check_noise
from harden.runtime.copy import RuntimeCopy
from harden.runtime.rewrite import split_uses
from harden.runtime.sessions import Session, plain_session
from harden.streams import numpy_generator
from harden.transforms.clamp import clamp_activations

node = helper.make_node
SIZE = 4
X = numpy_generator(0, "labels", "x").standard_normal((3, SIZE)).astype(np.float32)


def matrix(name):
    return numpy_generator(0, "labels", name).standard_normal((SIZE, SIZE)).astype(np.float32)


def tensor(name):
    return numpy_helper.from_array(matrix(name), name)


def info(name, kind=TensorProto.FLOAT, shape=("n", SIZE)):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, tensors=(), functions=(), others=None):
    stored = [tensor(name) for name in tensors]
    stored += [numpy_helper.from_array(array, name) for name, array in (others or {}).items()]
    graph = helper.make_graph(list(nodes), "g", [info("x")], [info("y")], stored)
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid("my", 1)] if functions else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))


def chain(names):
    """A MatMul with a weight of its own for each name, one behind the other."""
    values = ["x", *(f"h{i}" for i in range(1, len(names))), "y"]
    nodes = [node("MatMul", [values[i], f"w{i}"], [values[i + 1]], name=name) for i, name in enumerate(names)]
    return model(nodes, [f"w{i}" for i in range(len(names))])


def filled(name):
    """A nameless ConstantOfShape that makes a weight, before a node that is called as it would be."""
    fill = node("ConstantOfShape", ["shape"], ["f"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.5]))
    nodes = [fill, node("MatMul", ["x", "f"], ["h"], name=name), node("MatMul", ["h", "w"], ["y"])]
    return model(nodes, ["w"], others={"shape": np.array([SIZE, SIZE])})


def layer(name="m"):
    """A local function ``Relu(a w) v`` in which v is a tensor of its own."""
    body = [
        node("Constant", [], ["v"], value=tensor("v")),
        node("MatMul", ["a", "w"], ["h"], name=name),
        node("Relu", ["h"], ["r"]),
        node("MatMul", ["r", "v"], ["b"]),
    ]
    return helper.make_function("my", "Layer", ["a", "w"], ["b"], body, [helper.make_opsetid("", 17)])


def called(first, second, inner):
    calls = [
        node("Layer", ["x", "w0"], ["h"], domain="my", name=first),
        node("Layer", ["h", "w1"], ["y"], domain="my", name=second),
    ]
    return model(calls, ["w0", "w1"], functions=[layer(inner)])


def nested():
    """An If whose branches have a tensor and a node of one name each, and names outside that look like those within."""

    def branch(number):
        weight = numpy_helper.from_array(matrix(f"branch{number}"), "u")
        nodes = [
            node("MatMul", ["x", "u"], [f"p{number}"], name="m"),
            node("Layer", [f"p{number}", "w"], [f"q{number}"], domain="my", name="call"),
        ]
        return helper.make_graph(nodes, "branch", [], [info(f"q{number}")], [weight])

    nodes = [
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Greater", ["s", "zero"], ["c"]),
        node("MatMul", ["x", "w0"], ["h0"], name="if/then_branch/m"),
        node("MatMul", ["h0", "w1"], ["h1"], name="if/then_branch/m#2"),
        node("If", ["c"], ["h2"], name="if", then_branch=branch(0), else_branch=branch(1)),
        node("MatMul", ["h1", "w2"], ["h3"], name="m"),
        node("Add", ["h2", "h3"], ["y"]),
    ]
    return model(nodes, ["w", "w0", "w1", "w2"], functions=[layer()], others={"zero": np.array(0, np.float32)})


def agree(proto, folder, *inputs):
    """Hold ONNX Runtime to torch for noise on each crossbar alone; gives the node of each key of a use."""
    (folder / "tensors").mkdir()
    agree_with(Model.from_proto(proto), folder / "tensors", *inputs)
    return agree_with(Model.from_proto(proto).with_crossbars("use"), folder, *inputs)


def agree_with(loaded, folder, *inputs):
    copy, module = RuntimeCopy.build(loaded, folder), loaded.module().eval()
    for x in inputs or (X,):
        copy.check(x)
        for key, use in copy.uses.items():
            noisy = {key: use.tensor.detach() + torch.from_numpy(matrix("noise"))}
            with torch.no_grad():
                expected = module(torch.from_numpy(x), weights=noisy).numpy()
            np.testing.assert_allclose(copy.session(noisy).run(x)[0], expected, rtol=1e-3, atol=1e-3)
        check_noise(copy, module, (x,))
    return {key: use.node for key, use in copy.uses.items()}


@pytest.mark.parametrize(
    "names",
    [("MatMul_2", "MatMul_2#2", ""), ("MatMul_2", "MatMul_2#2", "", "MatMul_2#2#2"), ("", "MatMul_0", ""), ("", "")],
)
def test_noise_reaches_the_node_that_is_meant_whatever_the_nodes_are_called(names, tmp_path):
    nodes = agree(chain(names), tmp_path)
    assert len(set(nodes.values())) == len(names)


def test_a_tensor_that_nodes_of_like_names_share_gets_the_noise_of_each(tmp_path):
    proto = chain(("MatMul_2", "MatMul_2#2", "", "MatMul_2#2#2"))
    for item in proto.graph.node:
        item.input[1] = "w0"
    ends = ("", "#2", "#2#2", "#2#2#2")
    assert list(agree(proto, tmp_path)) == [f"w0@MatMul_2{end}" for end in ends]


@pytest.mark.parametrize("name", ["ConstantOfShape_0", "a", ""])
def test_a_fill_has_no_label_of_its_own(name, tmp_path):
    assert agree(filled(name), tmp_path) == {"f": name or "MatMul_1", "w": "MatMul_2"}


@pytest.mark.parametrize(("first", "second", "inner"), [("one", "two", "m"), ("one", "two", ""), ("", "", "")])
def test_each_call_of_a_local_function_has_noise_of_its_own(first, second, inner, tmp_path):
    nodes = agree(called(first, second, inner), tmp_path)
    a, b, m = first or "Layer_0", second or "Layer_1", inner or "MatMul_1"
    assert nodes == {"w0": f"{a}/{m}", f"v@{a}/MatMul_3": f"{a}/MatMul_3"} | {
        "w1": f"{b}/{m}", f"v@{b}/MatMul_3": f"{b}/MatMul_3",
    }  # fmt: skip


def test_noise_reaches_nodes_in_branches_and_in_the_functions_they_call(tmp_path):
    nodes = agree(nested(), tmp_path, np.abs(X), -np.abs(X))
    assert len(set(nodes.values())) == 9
    assert "if/then_branch/m#2#2" in nodes.values()


@pytest.mark.parametrize(("per", "count"), [("use", 14), ("tensor", 5)])
def test_noise_reaches_nodes_of_branches_within_functions_that_call_functions(per, count, tmp_path):
    """A branch reads a value from outside it, has one of a like name, and an attribute that the call sets."""

    def branch(number):
        weight = numpy_helper.from_array(matrix(f"branch{number}"), "u")
        nodes = [
            node("MatMul", ["p", "u"], ["h"], name="m"),
            node("LeakyRelu", ["h"], ["l"]),
            node("Layer", ["l", "w"], ["q"], domain="my", name="call"),
        ]
        nodes[1].attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
        return helper.make_graph(nodes, "branch", [], [info("q")], [weight])

    body = [
        node("MatMul", ["a", "w"], ["p"], name="m"),
        node("ReduceSum", ["p"], ["s"], keepdims=0),
        node("Cast", ["s"], ["c"], to=TensorProto.BOOL),
        node("If", ["c"], ["b"], name="if", then_branch=branch(0), else_branch=branch(1)),
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
    function = helper.make_function("my", "Outer", ["a", "w"], ["b"], body, opsets, attributes=["slope"])
    calls = [
        node("Outer", ["x", "w0"], ["h"], domain="my", name="one", slope=0.5),
        node("Outer", ["h", "w1"], ["y"], domain="my", name="two", slope=0.25),
    ]
    proto = model(calls, ["w0", "w1"], [layer(), function])
    loaded = Model.from_proto(proto).with_crossbars(per)
    uses = loaded.analog_weights()
    assert len({use.node for use in uses.values()}) == len(uses) == count
    changed = {key: replace(use, tensor=use.tensor + torch.from_numpy(matrix(key))) for key, use in uses.items()}
    for x in (X, np.zeros_like(X)):
        for chosen in (uses, changed):
            got = plain(split_uses(proto, chosen).proto, x)
            weights = {key: use.tensor for key, use in chosen.items()}
            with torch.no_grad():
                expected = loaded.module().eval()(torch.from_numpy(x), weights=weights).numpy()
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


def plain(proto, x):
    return Session(proto.SerializeToString()).run(x)[0]


def test_a_function_with_an_attribute_an_omitted_input_and_a_result_passed_through():
    """ONNX Runtime has no such functions; ONNX's own evaluator runs the file, and what it becomes."""
    body = [
        node("Clip", ["a", "low"], ["c"], name="clip"),
        node("LeakyRelu", ["c"], ["l"], name="leak"),
        node("MatMul", ["l", "w"], ["b"], name="m"),
    ]
    body[1].attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    function = helper.make_function(
        "my", "Leaky", ["a", "w", "low"], ["b", "a"], body, [helper.make_opsetid("", 17)], attributes=["slope"]
    )
    calls = [
        node("Leaky", ["x", "w0"], ["h", "same"], domain="my", name="one", slope=0.5),
        node("Leaky", ["h", "w1", "low"], ["g"], domain="my", name="two", slope=0.25),
        node("Add", ["g", "same"], ["y"]),
    ]
    proto = model(calls, ["w0", "w1"], [function], {"low": np.array(-0.5, np.float32)})
    uses = Model.from_proto(proto).analog_weights()
    assert {key: use.node for key, use in uses.items()} == {"w0": "one/m", "w1": "two/m"}
    leaky = np.where(X < 0, 0.5 * X, X) @ matrix("w0")
    clipped = np.maximum(leaky, -0.5)
    expected = np.where(clipped < 0, 0.25 * clipped, clipped) @ matrix("w1") + X
    (got,) = ReferenceEvaluator(split_uses(proto, uses).proto).run(None, {"x": X})
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("change", [fold_batch_norms, lambda m: insert(m, [Insertion("h2", "Neg", ())])])
def test_a_change_of_the_graph_moves_no_label_and_gives_no_name_twice(change):
    """The name that a nameless node goes by may be another's; ONNX Runtime would refuse the file."""
    norm = ["h0", "scale", "bias", "mean", "variance"]
    nodes = [
        node("Constant", [], ["k"], value=tensor("k")),
        node("Conv", ["x4", "c"], ["h0"]),
        node("BatchNormalization", norm, ["h1"]),
        node("Flatten", ["h1"], ["h2"], name="MatMul_5"),
        node("Relu", ["h2"], ["h3"], name="Conv_1"),
        node("MatMul", ["h3", "w"], ["y"]),
    ]
    vectors = dict.fromkeys(norm[1:], np.ones(SIZE, np.float32))
    proto = model(nodes, ["w"], others={"c": np.ones((SIZE, SIZE, 1, 1), np.float32), **vectors})
    del proto.graph.input[:]
    proto.graph.input.append(info("x4", shape=("n", SIZE, 1, 1)))
    loaded = Model.from_proto(proto)
    changed = change(loaded)
    labels = [node.label for node in changed.program.nodes]
    assert [label for label in labels if label in {node.label for node in loaded.program.nodes}] == [
        node.label for node in loaded.program.nodes if node.label in labels
    ]
    assert {"Conv_1", "MatMul_5", "Conv_1#2", "MatMul_5#2"} <= set(labels)
    assert [use.node for use in changed.analog_weights().values()] == ["Conv_1", "MatMul_5#2"]
    plain_session(changed)


def test_both_weights_of_a_recurrent_node_that_share_a_tensor_get_noise_of_their_own(tmp_path):
    values = numpy_generator(0, "labels", "rnn").standard_normal((1, SIZE, SIZE)).astype(np.float32)
    nodes = [node("RNN", ["x", "w", "w"], ["y"], name="r", hidden_size=SIZE)]
    graph = helper.make_graph(
        nodes, "g", [info("x", shape=(3, 2, SIZE))], [info("y", shape=(3, 1, 2, SIZE))],
        [numpy_helper.from_array(values, "w")],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = numpy_generator(0, "labels", "sequence").standard_normal((3, 2, SIZE)).astype(np.float32)
    assert len(canary(Model.from_proto(proto), (x,)).inert) == 0


def test_a_function_of_another_opset_says_why_its_weights_cannot_be_replaced(tmp_path):
    proto = called("one", "two", "m")
    proto.functions[0].opset_import[0].version = 15
    with pytest.raises(UnsupportedError, match="'Layer' is written for opset 15 and the model for 17"):
        RuntimeCopy.build(Model.from_proto(proto), tmp_path)


def test_a_value_within_a_function_is_not_taken_for_one_of_the_graph_with_its_name():
    body = [node("MatMul", ["a", "w"], ["p"]), node("Relu", ["p"], ["h"]), node("Neg", ["h"], ["b"])]
    function = helper.make_function("my", "Neg", ["a", "w"], ["b"], body, [helper.make_opsetid("", 17)])
    nodes = [
        node("Relu", ["x"], ["h"], name="relu"),
        node("Neg", ["h", "w"], ["y"], domain="my", name="call"),
    ]
    loaded = Model.from_proto(model(nodes, ["w"], [function]))
    x = torch.from_numpy(X)
    clamped, record = clamp_activations(loaded, [(x,)], 100.0)
    assert record["activations"] == 2
    module, changed = loaded.module().eval(), clamped.module().eval()
    with torch.no_grad():
        assert torch.equal(module(x), changed(x))


NAMES = st.lists(st.sampled_from(["", "a", "a#2", "a#2#2", "a#3", "MatMul_0", "MatMul_2", "Constant_1"]), max_size=6)


@given(names=NAMES, constants=st.sets(st.integers(0, 5)), inner=NAMES)
def test_both_sides_mean_the_same_node_by_a_label(names, constants, inner):
    """Weights tell the nodes apart: each is read by one node only, on both sides."""
    names, nodes, value = [*names, "a"], [], "x"
    for index, name in enumerate(names):
        if index in constants:
            nodes.append(node("Constant", [], [f"w{index}"], name=name, value=tensor(f"w{index}")))
        nodes.append(node("MatMul", [value, f"w{index}"], [f"h{index}"], name=name))
        value = f"h{index}"
    body, previous = [], "a"
    for index, name in enumerate(inner):
        body += [node("Constant", [], [f"v{index}"], name=name, value=tensor(f"v{index}"))]
        body += [node("MatMul", [previous, f"v{index}"], [f"p{index}"], name=name)]
        previous = f"p{index}"
    body.append(node("Neg", [previous], ["b"]))
    function = helper.make_function("my", "Inner", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    nodes.append(node("Inner", [value], ["y"], domain="my", name=names[0]))
    proto = model(nodes, [f"w{i}" for i in range(len(names)) if i not in constants], [function])
    loaded = Model.from_proto(proto)
    uses = loaded.analog_weights()
    rewritten = split_uses(proto, uses)
    readers = {name: item for item in rewritten.proto.graph.node for name in item.input}
    assert len({use.node for use in uses.values()}) == len(names) + len(inner)
    for key, use in uses.items():
        reads = readers[rewritten.initializers[key]].output[0]
        within = use.name.startswith("v")
        assert reads.endswith(("/p" if within else "h") + use.name[1:])
