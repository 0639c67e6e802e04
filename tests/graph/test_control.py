"""Branches, loops and sequences, folding, and batch sizes."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import onnxruntime
import pytest
import torch
import toys
from onnx import TensorProto, helper, numpy_helper

from harden.errors import ModelError
from harden.graph.file import Model
from harden.graph.folding import fold_batch_norms
from harden.graph.taps import choose_taps

node = helper.make_node


def value(name, kind=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def agrees_with_runtime(model, *inputs):
    module = model.module().eval()
    ours = module(*map(torch.from_numpy, inputs))
    ours = ours if isinstance(ours, tuple) else (ours,)
    session = onnxruntime.InferenceSession(model.serialize())
    theirs = session.run(None, dict(zip(module.input_names, inputs, strict=True)))
    assert all(toys.agrees(a.detach().numpy(), b) for a, b in zip(ours, theirs, strict=True))
    return ours


def test_a_branch_on_shapes_is_resolved_when_the_shape_is_known():
    wide = helper.make_graph([node("Neg", ["x"], ["a"])], "wide", [], [value("a")])
    narrow = helper.make_graph([node("Abs", ["x"], ["b"])], "narrow", [], [value("b")])
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "one"], ["columns"]),
        node("Greater", ["columns", "three"], ["c"]),
        node("If", ["c"], ["y"], then_branch=wide, else_branch=narrow),
    ]
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", "m"]}, ["y"], {"one": np.array(1), "three": np.array(3)}))
    agrees_with_runtime(model, toys.numbers(2, 5))
    agrees_with_runtime(model, toys.numbers(2, 2))
    module = model.module()
    module(torch.zeros(2, 5))
    assert [step.node.op for step in next(iter(module._plans.values())).steps] == ["Neg", "If"]


def test_a_loop_trains_the_weights_in_its_body_and_those_it_captures():
    body = helper.make_graph(
        [
            node("MatMul", ["state", "w"], ["p"], "product"),
            node("Add", ["p", "outer"], ["q"]),
            node("Tanh", ["q"], ["next"]),
            node("Identity", ["go"], ["again"]),
            node("Identity", ["next"], ["seen"]),
        ],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("state")],
        [value("again", TensorProto.BOOL, []), value("next"), value("seen")],
        [numpy_helper.from_array(toys.numbers(3, 3), "w")],
    )
    nodes = [node("Loop", ["count", "", "x"], ["y", "all"], "loop", body=body)]
    model = Model.from_proto(
        toys.proto(nodes, {"x": [2, 3]}, ["y", "all"], {"count": np.array(3), "outer": toys.numbers(3)})
    )
    _, seen = agrees_with_runtime(model, toys.numbers(2, 3))
    assert seen.shape == (3, 2, 3)
    module = model.module()
    assert {name for name, _ in module.named_parameters()} == {"w", "outer"}
    module(torch.from_numpy(toys.numbers(2, 3)))[0].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    (key,) = module.analog_weights()
    silent, _ = module(torch.from_numpy(toys.numbers(2, 3)), weights={key: torch.zeros(3, 3)})
    torch.testing.assert_close(silent, torch.tanh(dict(module.named_parameters())["outer"]).expand(2, 3))


def test_a_scan_agrees():
    body = helper.make_graph(
        [node("Add", ["total", "item"], ["sum"]), node("Mul", ["sum", "item"], ["out"])],
        "body",
        [value("total", shape=[3]), value("item", shape=[3])],
        [value("sum"), value("out")],
    )
    nodes = [node("Scan", ["x0", "x"], ["y", "z"], body=body, num_scan_inputs=1, scan_input_directions=[1])]
    model = Model.from_proto(toys.proto(nodes, {"x0": [3], "x": [4, 3]}, ["y", "z"]))
    agrees_with_runtime(model, toys.numbers(3), toys.numbers(4, 3))


def test_an_endless_loop_is_stopped():
    body = helper.make_graph(
        [node("Identity", ["go"], ["again"]), node("Identity", ["state"], ["next"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("state")],
        [value("again", TensorProto.BOOL, []), value("next")],
    )
    nodes = [node("Loop", ["", "yes", "x"], ["y"], "loop", body=body)]
    model = Model.from_proto(toys.proto(nodes, {"x": [1]}, ["y"], {"yes": np.array(True)}))
    with pytest.raises(ModelError, match="runs more than"):
        model.module()(torch.zeros(1))


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_folding_changes_the_nodes_and_not_the_outputs(op, biased, groups):
    shape = (6, 4 // groups, 3, 3) if op == "Conv" else (4, 6 // groups, 3, 3)
    norm = {f"bn.{name}": np.abs(toys.numbers(6, seed=i)) + 0.1 for i, name in enumerate(("g", "b", "m", "v"))}
    tensors = {"conv.w": toys.numbers(*shape), **({"conv.b": toys.numbers(6)} if biased else {}), **norm}
    layer = ["x", "conv.w", *(["conv.b"] if biased else [])]
    nodes = [
        node(op, layer, ["h"], "conv", group=groups),
        node("BatchNormalization", ["h", *norm], ["n"], "bn", epsilon=1e-2),
        node("Relu", ["n"], ["y"]),
    ]
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 4, 6, 6]}, ["y"], tensors))
    folded = fold_batch_norms(model)
    assert [n.op_type for n in folded.proto.graph.node] == [op, "Relu"]
    assert (model.batch_norm, folded.batch_norm) == ("kept", "folded")
    assert set(folded.tensors()) == {"conv.w", "conv.b" if biased else "bn.b"}
    x = toys.numbers(2, 4, 6, 6)
    (ours,) = agrees_with_runtime(folded, x)
    before = onnxruntime.InferenceSession(model.serialize()).run(None, {"x": x})[0]
    assert toys.agrees(ours.detach().numpy(), before)


def test_a_batch_norm_that_is_not_alone_behind_its_convolution_stays():
    norm = {f"bn{i}": np.abs(toys.numbers(6, seed=i)) for i in range(4)}
    nodes = [
        node("Conv", ["x", "w"], ["h"]),
        node("BatchNormalization", ["h", *norm], ["n"]),
        node("Add", ["h", "n"], ["y"]),
    ]
    tensors = {"w": toys.numbers(6, 4, 1, 1), **norm}
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 4, 6, 6]}, ["y"], tensors))
    assert fold_batch_norms(model) is model


def test_a_weight_that_two_convolutions_share_is_folded_for_each():
    norm = {f"bn{i}": np.abs(toys.numbers(4, seed=i)) + 0.1 for i in range(4)}
    nodes = [
        node("Conv", ["x", "w"], ["h"], "first"),
        node("BatchNormalization", ["h", *norm], ["n"]),
        node("Conv", ["n", "w"], ["y"], "second"),
    ]
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 4, 6, 6]}, ["y"], {"w": toys.numbers(4, 4, 1, 1), **norm}))
    folded = fold_batch_norms(model)
    x = toys.numbers(1, 4, 6, 6)
    (ours,) = agrees_with_runtime(folded, x)
    assert toys.agrees(ours.detach().numpy(), agrees_with_runtime(model, x)[0].detach().numpy())


def fixed(reshape):
    nodes = [
        node("Conv", ["x", "w"], ["h"]),
        node("Reshape", ["h", "s"], ["f"]),
        node("MatMul", ["f", "v"], ["y"]),
    ]
    tensors = {"w": toys.numbers(3, 2, 2, 2), "s": np.array(reshape), "v": toys.numbers(12, 2)}
    proto = toys.proto(nodes, {"x": [4, 2, 3, 3]}, ["y"], tensors)
    proto.graph.output[0].CopyFrom(value("y", shape=[4, 2]))
    return Model.from_proto(proto)


@pytest.mark.parametrize("reshape", [[4, 12], [4, -1], [-1, 12], [0, -1]])
def test_a_fixed_batch_size_is_opened_where_the_graph_allows(reshape):
    model = fixed(reshape)
    assert model.batch_size == 4
    opened = model.open_batch()
    assert opened is not None
    assert opened.batch_size is None
    x = toys.numbers(7, 2, 3, 3)
    (ours,) = agrees_with_runtime(opened, x)
    part = onnxruntime.InferenceSession(model.serialize()).run(None, {"x": x[:4]})[0]
    assert toys.agrees(ours.detach().numpy()[:4], part)


def test_a_graph_that_mixes_examples_stays_as_it_is():
    assert mixing().open_batch() is None


def mixing():
    """Each batch of four less its mean: a graph that no other batch size fits."""
    nodes = [
        node("MatMul", ["x", "w"], ["h"]),
        node("ReduceMean", ["h"], ["m"], axes=[0]),
        node("Sub", ["h", "m"], ["y"]),
    ]
    return Model.from_proto(toys.proto(nodes, {"x": [4, 3]}, ["y"], {"w": toys.numbers(3, 2)}))


def test_a_module_made_for_one_batch_size_takes_others():
    model = fixed([4, 12])
    module, session = model.module(), onnxruntime.InferenceSession(model.serialize())
    x = toys.numbers(7, 2, 3, 3)
    theirs = np.concatenate([session.run(None, {"x": part})[0] for part in (x[:4], x[3:])])[[0, 1, 2, 3, 5, 6, 7]]
    out, taps = module(torch.from_numpy(x), taps=["h"])
    assert toys.agrees(out.detach().numpy(), theirs)
    assert taps["h"].shape == (7, 3, 2, 2)
    weights = {"w": torch.zeros(3, 2, 2, 2)}
    assert not module(torch.from_numpy(x), weights=weights).any()
    copy = deepcopy(module)
    out.sum().backward()
    with torch.no_grad():
        for parameter in module.parameters():
            assert parameter.grad is not None
            parameter -= parameter.grad
    assert torch.equal(module(torch.from_numpy(x))[:4], module(torch.from_numpy(x[:4])))
    assert torch.equal(copy(torch.from_numpy(x)), out)


def test_a_graph_that_cannot_be_opened_runs_in_pieces():
    model = mixing()
    module, session = model.module(), onnxruntime.InferenceSession(model.serialize())
    x = toys.numbers(6, 3)
    filled = np.concatenate([x, x[-1:], x[-1:]])
    theirs = np.concatenate([session.run(None, {"x": filled[at : at + 4]})[0] for at in (0, 4)])[:6]
    out = module(torch.from_numpy(x))
    assert toys.agrees(out.detach().numpy(), theirs)
    out.square().sum().backward()
    assert module.get_parameter("w").grad.abs().sum() > 0
    seen = []
    module.observe(lambda _node, _arguments, outputs: seen.append(outputs), torch.from_numpy(x))
    assert len(seen) == 3
    with pytest.raises(ModelError, match="batches of 4 examples, and there are none"):
        module(torch.zeros(0, 3))


def test_values_without_one_row_an_example_do_not_run_in_pieces():
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("ReduceMean", ["h"], ["y"], keepdims=0)]
    model = Model.from_proto(toys.proto(nodes, {"x": [4, 3]}, ["y"], {"w": toys.numbers(3, 2)}))
    assert model.module()(torch.ones(4, 3)).shape == ()
    with pytest.raises(ModelError, match="made for batches of 4 examples"):
        model.module()(torch.ones(3, 3))


def residual():
    """Two residual blocks, each two products, between a stem and a head."""
    nodes = [node("MatMul", ["x", "stem"], ["b0"])]
    tensors = {"stem": toys.numbers(4, 8), "head": toys.numbers(8, 2)}
    for block in range(2):
        for layer in "ac":
            tensors[f"w{block}{layer}"] = toys.numbers(8, 8, seed=block)
        nodes += [
            node("MatMul", [f"b{block}", f"w{block}a"], [f"h{block}"]),
            node("Relu", [f"h{block}"], [f"r{block}"]),
            node("MatMul", [f"r{block}", f"w{block}c"], [f"o{block}"]),
            node("Add", [f"b{block}", f"o{block}"], [f"b{block + 1}"]),
        ]
    nodes.append(node("MatMul", ["b2", "head"], ["y"]))
    return Model.from_proto(toys.proto(nodes, {"x": ["n", 4]}, ["y"], tensors))


def test_taps_are_never_inside_a_branch():
    module = residual().module()
    taps = choose_taps(module, (torch.zeros(3, 4),), 9)
    assert [(tap.name, tap.shape) for tap in taps] == [("b0", (3, 8)), ("b1", (3, 8)), ("b2", (3, 8))]
    (middle,) = choose_taps(module, (torch.zeros(3, 4),), 1)
    assert middle.name == "b1"
    assert [tap.name for tap in choose_taps(module, (torch.zeros(3, 4),), 2, ["r1", "b1"])] == ["r1", "b1"]


def test_too_few_places_for_taps_is_an_error_that_says_so():
    model = Model.from_proto(
        toys.proto([node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 4]}, ["y"], {"w": toys.numbers(4, 2)})
    )
    with pytest.raises(ModelError, match="0 tensors through which everything passes"):
        choose_taps(model.module(), (torch.zeros(1, 4),), 3)
    with pytest.raises(ModelError, match="'w' is not a floating-point tensor that the inputs feed"):
        choose_taps(model.module(), (torch.zeros(1, 4),), 1, ["w"])
