"""A stored weight that reaches its product by any road is analog there, or is named with its reason; never silent.

The right value is that of the file with the weight's own numbers replaced, in ONNX Runtime alone.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import toys
from onnx import TensorProto, helper, numpy_helper

from harden.graph.file import Model
from harden.graph.inspection import exact_products, weights_table
from harden.noise.profile import Profile
from harden.runtime.canary import canary
from harden.runtime.copy import RuntimeCopy
from harden.store import scratch

node = helper.make_node
X = toys.numbers(3, 4, seed=1)


def info(name, shape=None, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def stored(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def plain(proto, **inputs):
    """ONNX Runtime's answer, without harden."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, inputs)[0]


def with_tensor(proto, name, array):
    """The file with other numbers in one tensor, wherever it is kept."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    graphs = [copy.graph]
    while graphs:
        graph = graphs.pop()
        for tensor in graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(stored(name, array))
        graphs += [a.g for n in graph.node for a in n.attribute if a.type == onnx.AttributeProto.GRAPH]
    return copy


def arrives(proto, name, feeds, *, axis=None, held=np.asarray):
    """Other numbers for one crossbar do in both runtimes what they do in the file's own tensor.

    ``held`` is what the crossbar holds of the tensor, where something is computed in between.
    """
    model = Model.from_proto(proto)
    weights = model.analog_weights()
    (key,) = (key for key, weight in weights.items() if weight.name == name)
    weight = weights[key]
    if axis is not None:
        assert weight.output_axis == axis
    own = next(slot.array() for slot in model.program.stored.values() if slot.name == name)
    other = (own + 0.5 * toys.numbers(*own.shape, seed=7)).astype(own.dtype)
    want = plain(with_tensor(proto, name, other), **feeds)
    assert not toys.agrees(plain(proto, **feeds), want)
    values = {key: torch.from_numpy(np.ascontiguousarray(held(other)))}
    inputs = tuple(feeds.values())
    with scratch() as folder, torch.no_grad():
        copy = RuntimeCopy.build(model, folder)
        copy.check(*inputs)
        assert toys.agrees(copy.session(values).run(*inputs)[0], want)
        module = model.module().eval()
        for _ in range(2):  # traced, then planned
            assert toys.agrees(module(*map(torch.from_numpy, inputs), weights=values).numpy(), want)
    assert canary(model, inputs).tensors == len(weights)
    return weight


# Loops


def recurrent(op, turned=False):
    """h' = tanh(x_t w + h r), written as Keras' converter writes it: weights in the state, or sliced beside x."""
    w, r = toys.numbers(4, 5, seed=2) / 2, toys.numbers(5, 5, seed=3) / 2
    cell = [
        node("MatMul", ["x_t", "w_in"], ["a"]),
        node("MatMul", ["h_in", "r_in"], ["b"]),
        node("Add", ["a", "b"], ["s"]),
        node("Tanh", ["s"], ["h_out"]),
        node("Identity", ["w_in"], ["w_out"]),
        node("Identity", ["r_in"], ["r_mid"]),
        node("Identity", ["r_mid"], ["r_out"]),
    ]
    begins = [
        node("Shape", ["x"], ["n"], start=1, end=2),
        node("Concat", ["n", "five"], ["to"], axis=0),
        node("ConstantOfShape", ["to"], ["h0"]),
    ]
    tensors = {"w": w, "r": r, "five": np.array([5])}
    if turned:  # carried as [outputs, inputs], and turned in every step
        cell[:1] = [node("Transpose", ["w_in"], ["w_t"], perm=[1, 0]), node("MatMul", ["x_t", "w_t"], ["a"])]
        tensors["w"] = np.ascontiguousarray(w.T)
    if op == "Loop":
        body = helper.make_graph(
            [node("Gather", ["x", "i"], ["x_t"]), *cell, node("Identity", ["c"], ["c_out"])],
            "body",
            [
                info("i", [], TensorProto.INT64),
                info("c", [], TensorProto.BOOL),
                info("h_in"),
                info("w_in"),
                info("r_in"),
            ],
            [info("c_out", [], TensorProto.BOOL), info("h_out"), info("w_out"), info("r_out")],
        )
        loop = node("Loop", ["steps", "", "h0", "w", "r"], ["y", "w_end", "r_end"], body=body)
        begins += [node("Shape", ["x"], ["t"], start=0, end=1), node("Squeeze", ["t"], ["steps"])]
    else:
        body = helper.make_graph(
            cell,
            "body",
            [info("h_in"), info("w_in"), info("r_in"), info("x_t")],
            [info("h_out"), info("w_out"), info("r_out")],
        )
        loop = node("Scan", ["h0", "w", "r", "x"], ["y", "w_end", "r_end"], body=body, num_scan_inputs=1)
    return toys.proto([*begins, loop], {"x": ["t", "n", 4]}, {"y": ["n", 5]}, tensors)


@pytest.mark.parametrize("op", ["Loop", "Scan"])
@pytest.mark.parametrize("name", ["w", "r"])
def test_weights_that_a_loop_carries_unchanged_are_analog(op, name):
    proto = recurrent(op)
    arrives(proto, name, {"x": toys.numbers(6, 2, 4, seed=4)}, axis=1)
    assert set(Model.from_proto(proto).analog_weights()) == {"w", "r"}


@pytest.mark.parametrize("op", ["Loop", "Scan"])
def test_weights_that_a_loop_turns_in_every_step_are_analog(op):
    """Keras' ConvLSTM2D splits its carried kernel within the loop."""
    arrives(recurrent(op, turned=True), "w", {"x": toys.numbers(6, 2, 4, seed=4)}, axis=1, held=np.transpose)


@pytest.mark.parametrize(("along", "axis"), [(0, 2), (1, 2), (2, 1)])
def test_a_scan_over_stored_weights_has_the_whole_stack_on_a_crossbar(along, axis):
    stack = np.moveaxis(toys.numbers(3, 4, 4, seed=5) / 2, 0, along)
    cell = [node("MatMul", ["h", "w_t"], ["p"]), node("Tanh", ["p"], ["h_out"])]
    body = helper.make_graph(cell, "body", [info("h"), info("w_t")], [info("h_out")])
    scan = node("Scan", ["x", "w"], ["y"], body=body, num_scan_inputs=1, scan_input_axes=[along])
    weight = arrives(toys.proto([scan], {"x": ["n", 4]}, ["y"], {"w": stack}), "w", {"x": X}, axis=axis)
    assert tuple(weight.tensor.shape) == stack.shape


# Chosen and scaled by what is fed


def experts(slices):
    nodes = [
        node("ReduceMax", ["x"], ["m"], axes=[1], keepdims=0),
        node("Greater", ["m", "zero"], ["b"]),
        node("Cast", ["b"], ["e"], to=TensorProto.INT64),
        node("Gather", ["w", "e"], ["chosen"]),
        node("Unsqueeze", ["x", "one"], ["row"]),
        node("MatMul", ["row", *(["turned"] if slices == "out-in" else ["chosen"])], ["p"], name="product"),
        node("Squeeze", ["p", "one"], ["y"]),
    ]
    if slices == "out-in":
        nodes.insert(4, node("Transpose", ["chosen"], ["turned"], perm=[0, 2, 1]))
    shape = (2, 4, 5) if slices == "in-out" else (2, 5, 4)
    tensors = {"w": toys.numbers(*shape, seed=6), "zero": np.float32(0.8), "one": np.array([1])}
    return toys.proto(nodes, {"x": ["n", 4]}, ["y"], tensors)


@pytest.mark.parametrize(("slices", "axis"), [("in-out", 2), ("out-in", 1)])
def test_experts_are_on_a_crossbar_as_the_whole_stack(slices, axis):
    weight = arrives(experts(slices), "w", {"x": X}, axis=axis)
    assert weight.tensor.dim() == 3


def conditional(how):
    """One of two matrices, chosen by the sum of the inputs."""
    tensors = {"u": toys.numbers(4, 5, seed=8), "v": toys.numbers(4, 5, seed=9), "zero": np.float32(0)}
    nodes = [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Greater", ["s", "zero"], ["c"])]
    if how == "Where":
        nodes.append(node("Where", ["c", "u", "v"], ["w"]))
    else:
        then, other = [], []
        ends = ("u", "v")
        if how == "If through Identity":
            then, other, ends = [node("Identity", ["u"], ["a"])], [node("Identity", ["v"], ["b"])], ("a", "b")
        inner = {}
        if how == "If with tensors of its own":
            inner = {name: [stored(name, tensors.pop(name))] for name in ("u", "v")}
        branches = {
            "then_branch": helper.make_graph(then, "t", [], [info(ends[0])], inner.get("u", [])),
            "else_branch": helper.make_graph(other, "e", [], [info(ends[1])], inner.get("v", [])),
        }
        nodes.append(node("If", ["c"], ["w"], name="if", **branches))
    nodes.append(node("MatMul", ["x", "w"], ["y"], name="product"))
    return toys.proto(nodes, {"x": ["n", 4]}, {"y": ["n", 5]}, tensors)


@pytest.mark.parametrize("how", ["Where", "If through Identity", "If with tensors of its own"])
def test_weights_that_a_condition_chooses_are_crossbars_of_their_own(how):
    proto = conditional(how)
    assert len(Model.from_proto(proto).analog_weights()) == 2
    arrives(proto, "u", {"x": np.abs(X)}, axis=1)
    arrives(proto, "v", {"x": -np.abs(X)}, axis=1)


@pytest.mark.parametrize("demodulated", [False, True])
def test_modulated_convolutions_are_analog_where_the_modulation_begins(demodulated):
    """StyleGAN's: one weight, scaled for each example by its style, and normalised again."""
    nodes = [
        node("ReduceMean", ["x"], ["style"], axes=[2, 3], keepdims=1),
        node("Reshape", ["style", "to"], ["s"]),
        node("Mul", ["w", "s"], ["m"], name="modulate"),
    ]
    weight = "m"
    if demodulated:
        nodes += [
            node("Mul", ["m", "m"], ["sq"]),
            node("ReduceSum", ["sq", "axes"], ["sum"]),
            node("Sqrt", ["sum"], ["d"]),
            node("Div", ["m", "d"], ["n"]),
        ]
        weight = "n"
    nodes += [node("Squeeze", [weight, "zero"], ["k"]), node("Conv", ["x", "k"], ["y"], kernel_shape=[3, 3])]
    tensors = {
        "w": toys.numbers(1, 5, 4, 3, 3, seed=3),
        "to": np.array([-1, 1, 4, 1, 1]),
        "axes": np.array([2, 3, 4]),
        "zero": np.array([0]),
    }
    proto = toys.proto(nodes, {"x": [1, 4, 6, 6]}, ["y"], tensors)
    arrives(proto, "w", {"x": 1 + toys.numbers(1, 4, 6, 6)}, axis=1)


def test_a_gain_on_what_inputs_feed_is_no_weight():
    """Rotary tables spread over heads, and the gain of a norm of queries, multiply activations."""
    nodes = [
        node("MatMul", ["x", "w"], ["q"]),
        node("Mul", ["q", "table"], ["turned"]),
        node("Mul", ["turned", "gain"], ["scaled"]),
        node("Transpose", ["x"], ["k"], perm=[0, 2, 1]),
        node("MatMul", ["scaled", "k"], ["y"], name="scores"),
    ]
    tensors = {"w": toys.numbers(4, 4), "table": toys.numbers(3, 4, seed=1), "gain": toys.numbers(4, seed=2)}
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 3, 4]}, ["y"], tensors))
    assert set(model.analog_weights()) == {"w"}
    assert [(p.node, p.name, p.reason) for p in exact_products(model)] == [
        ("scores", "table", "multiplied with what inputs feed, on its way")
    ]


def test_keys_of_its_own_beside_fed_ones_are_named():
    """MultiheadAttention's bias_k: a stored row behind the fed ones."""
    nodes = [
        node("Concat", ["x", "bias_k"], ["k"], axis=0),
        node("Transpose", ["k"], ["kt"]),
        node("MatMul", ["x", "kt"], ["y"], name="scores"),
    ]
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 4]}, ["y"], {"bias_k": toys.numbers(2, 4)}))
    assert model.analog_weights() == {}
    assert [(p.node, p.name, p.reason) for p in exact_products(model)] == [
        ("scores", "bias_k", "joined with what inputs feed, on its way")
    ]
    (row,) = weights_table(model)
    assert (row["analog"], row["digital_reason"]) == (False, "joined with what inputs feed, on its way")


def test_what_is_also_read_elsewhere_stays_exact_and_is_named():
    nodes = [
        node("Gather", ["table", "i"], ["e"]),
        node("Transpose", ["x"], ["k"]),
        node("MatMul", ["e", "k"], ["s"], name="scores"),
        node("MatMul", ["s", "x"], ["m"]),
        node("Add", ["m", "e"], ["y"], name="residual"),
    ]
    proto = toys.proto(nodes, {"x": ["n", 4]}, ["y"], {"table": toys.numbers(9, 4)})
    proto.graph.input.append(info("i", ["m"], TensorProto.INT64))
    model = Model.from_proto(proto)
    assert model.analog_weights() == {}
    assert [(p.node, p.name, p.reason) for p in exact_products(model)] == [
        ("scores", "table", "read by an output of the graph as well")
    ]


# Expanded to the batch


def batch_of(*tail):
    """Nodes that make the shape [n, *tail] for the batch size n of x."""
    return [node("Shape", ["x"], ["n"], start=0, end=1), node("Concat", ["n", "tail"], ["to"], axis=0)], {
        "tail": np.array(tail)
    }


def latents():
    nodes, tensors = batch_of(3, 4)
    nodes += [
        node("Expand", ["q", "to"], ["queries"]),
        node("Transpose", ["x"], ["k"], perm=[0, 2, 1]),
        node("MatMul", ["queries", "k"], ["s"], name="scores"),
        node("Softmax", ["s"], ["p"]),
        node("MatMul", ["p", "x"], ["y"], name="mix"),
    ]
    return toys.proto(nodes, {"x": ["n", 5, 4]}, ["y"], tensors | {"q": toys.numbers(1, 3, 4, seed=3)})


def test_learned_queries_are_analog_up_to_the_expand():
    weight = arrives(latents(), "q", {"x": toys.numbers(2, 5, 4)}, axis=1)
    assert tuple(weight.tensor.shape) == (1, 3, 4)


def test_a_weight_expanded_for_bmm_is_analog_up_to_the_expand():
    nodes, tensors = batch_of(4, 6)
    nodes += [node("Expand", ["w", "to"], ["ws"]), node("MatMul", ["x", "ws"], ["y"])]
    proto = toys.proto(nodes, {"x": ["n", 5, 4]}, ["y"], tensors | {"w": toys.numbers(4, 6, seed=3)})
    arrives(proto, "w", {"x": toys.numbers(2, 5, 4)}, axis=1)


def test_projections_of_expanded_latents_are_analog_and_the_latents_are_their_input():
    nodes, tensors = batch_of(3, 4)
    nodes += [
        node("Expand", ["q", "to"], ["latents"]),
        node("MatMul", ["latents", "w"], ["queries"], name="project"),
        node("Transpose", ["x"], ["k"], perm=[0, 2, 1]),
        node("MatMul", ["queries", "k"], ["s"], name="scores"),
        node("MatMul", ["s", "x"], ["m"], name="mix"),
        node("Add", ["m", "latents"], ["y"]),
    ]
    tensors |= {"q": toys.numbers(3, 4, seed=3), "w": toys.numbers(4, 4, seed=4)}
    proto = toys.proto(nodes, {"x": ["n", 5, 4]}, ["y"], tensors)
    assert set(Model.from_proto(proto).analog_weights()) == {"w"}
    arrives(proto, "w", {"x": toys.numbers(2, 5, 4)}, axis=1)


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(("stored_as", "axis"), [("query", -2), ("key", -2), ("value", -1)])
def test_one_rule_over_opsets_for_stored_operands_of_attention(stored_as, axis, expanded):
    """What is analog as MatMul, Softmax, MatMul is analog as Attention (opset 23), on the same axis."""
    nodes, tensors = batch_of(2, 5, 4)
    tensors["w"] = toys.numbers(1, 2, 5, 4, seed=3)
    if expanded:
        nodes.append(node("Expand", ["w", "to"], ["ws"]))
    stored = "ws" if expanded else "w"
    q, k, v = (stored if name == stored_as else "x" for name in ("query", "key", "value"))
    single = [node("Attention", [q, k, v], ["y"], name="attention", scale=0.5)]
    written_out = [
        node("Transpose", [k], ["kt"], perm=[0, 1, 3, 2]),
        node("Mul", [q, "half"], ["qs"]),
        node("MatMul", ["qs", "kt"], ["s"], name="scores"),
        node("Softmax", ["s"], ["p"]),
        node("MatMul", ["p", v], ["y"], name="mix"),
    ]
    x = toys.numbers(2 if expanded else 1, 2, 5, 4)
    for opset, last in ((24, single), (18, written_out)):
        inner = nodes if expanded else []
        extra = {"half": np.float32(0.5)} | (tensors if expanded else {"w": tensors["w"]})
        proto = toys.proto([*inner, *last], {"x": ["n", 2, 5, 4]}, ["y"], extra, opset=opset, ir_version=10)
        turned = opset == 18 and not expanded and stored_as == "key"
        scaled = opset == 18 and not expanded and stored_as == "query"
        held = (lambda w: w.swapaxes(2, 3)) if turned else (lambda w: w * np.float32(0.5)) if scaled else np.asarray
        arrives(proto, "w", {"x": x}, axis=4 + (-1 if turned else axis), held=held)


# One tensor, one crossbar


def unrolled(steps, per_step=()):
    """h <- 0.9 h + x_t w + h r, as torch's dynamo exporter unrolls a cell: nodes of its own for each step."""
    nodes, state = [], "h0"
    for t in range(steps):
        w, r = "w", "r"
        if "Transpose" in per_step:
            nodes += [node("Transpose", [w], [f"w{t}"], perm=[1, 0]), node("Transpose", [r], [f"r{t}"], perm=[1, 0])]
            w, r = f"w{t}", f"r{t}"
        nodes += [
            node("Gather", ["x", f"i{t}"], [f"x{t}"]),
            node("MatMul", [f"x{t}", w], [f"a{t}"], name=f"in{t}"),
            node("MatMul", [state, r], [f"b{t}"], name=f"state{t}"),
            node("Add", [f"a{t}", f"b{t}"], [f"h{t + 1}"]),
        ]
        state = f"h{t + 1}"
    tensors = {"w": np.ones((1, 1)), "r": np.full((1, 1), 0.95), "h0": np.zeros((1, 1))}
    tensors = {name: value.astype(np.float32) for name, value in tensors.items()}
    tensors |= {f"i{t}": np.array(t) for t in range(steps)}
    nodes[-1].output[0] = "y"
    return toys.proto(nodes, {"x": [steps, "n", 1]}, ["y"], tensors)


@pytest.mark.parametrize("per_step", [(), ("Transpose",)])
def test_a_leaky_integrator_unrolled_moves_as_in_closed_form(per_step):
    """With one draw of the two weights, the answer to ones is w (1 - r^20) / (1 - r)."""
    steps = 20
    model = Model.from_proto(unrolled(steps, per_step))
    weights = model.analog_weights()
    assert {key: weight.uses for key, weight in weights.items()} == {"w": steps, "r": steps}
    assert len(model.with_crossbars("use").analog_weights()) == 2 * steps
    x = np.ones((steps, 1, 1), np.float32)
    spread = []
    profile = Profile.load("gaussian", sigma=0.05)
    with scratch() as folder:
        copy = RuntimeCopy.build(model, folder)
        for index in range(25):
            chip = profile.chip(weights, seed=0, index=index)
            got = copy.session(chip).run(x)[0].item()
            w, r = chip["w"].item(), chip["r"].item()
            np.testing.assert_allclose(got, w * (1 - r**steps) / (1 - r), rtol=1e-4)
            module = model.module()
            np.testing.assert_allclose(module(torch.from_numpy(x), weights=chip).item(), got, rtol=1e-4)
            spread.append(got)
    separate = model.with_crossbars("use")
    alone = []
    with scratch() as folder:
        copy = RuntimeCopy.build(separate, folder)
        for index in range(25):
            alone.append(copy.session(profile.chip(copy.uses, seed=0, index=index)).run(x)[0].item())
    assert np.std(spread) > 1.5 * np.std(alone)


def test_siamese_branches_are_one_crossbar_and_parts_without_common_numbers_are_several():
    nodes = [
        node("MatMul", ["x", "w"], ["a"], name="left"),
        node("Relu", ["a"], ["r"]),
        node("MatMul", ["r", "w"], ["b"], name="right"),
        node("Slice", ["packed", "zero", "four"], ["first"]),
        node("Slice", ["packed", "four", "eight"], ["second"]),
        node("MatMul", ["b", "first"], ["c"], name="one"),
        node("MatMul", ["c", "second"], ["y"], name="two"),
    ]
    tensors = {"w": toys.numbers(4, 4), "packed": toys.numbers(8, 4, seed=1)}
    tensors |= {"zero": np.array([0]), "four": np.array([4]), "eight": np.array([8])}
    proto = toys.proto(nodes, {"x": ["n", 4]}, ["y"], tensors)
    assert set(Model.from_proto(proto).analog_weights()) == {"w", "packed@one", "packed@two"}
    arrives(proto, "w", {"x": X}, axis=1)


def test_parts_that_overlap_are_one_crossbar_of_the_whole_tensor():
    nodes = [
        node("Slice", ["w", "zero", "four"], ["first"]),
        node("Slice", ["w", "two", "six"], ["second"]),
        node("MatMul", ["x", "first"], ["c"], name="one"),
        node("MatMul", ["c", "second"], ["y"], name="two"),
    ]
    tensors = {"w": toys.numbers(6, 4, seed=1)}
    tensors |= {name: np.array([at]) for name, at in (("zero", 0), ("two", 2), ("four", 4), ("six", 6))}
    proto = toys.proto(nodes, {"x": ["n", 4]}, ["y"], tensors)
    weight = arrives(proto, "w", {"x": X})
    assert tuple(weight.tensor.shape) == (6, 4)


def test_a_crossbar_with_a_digital_use_is_digital():
    nodes = [node("MatMul", ["x", "w"], ["a"], name="left"), node("MatMul", ["a", "w"], ["y"], name="right")]
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 4]}, ["y"], {"w": toys.numbers(4, 4)}))
    assert model.analog_weights(["right"]) == {}
    assert set(model.with_crossbars("use").analog_weights(["right"])) == {"w@left"}
    assert {p.reason for p in exact_products(model, ["right"])} == {"left digital by --digital"}
