"""A weight is planted behind roads of every kind, in any order: it is analog, never silently exact.

What analog numbers do is told without harden: by the file with the planted tensor's own replaced, in ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnxruntime
import torch
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from harden.graph.file import Model
from harden.graph.inspection import weights_table
from harden.runtime.canary import canary
from harden.runtime.copy import RuntimeCopy
from harden.store import scratch

X = toys.numbers(3, 4, seed=1)
W = toys.numbers(4, 5, seed=2)


def info(name, kind=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


@dataclass
class Road:
    """A graph that grows: ``value`` is the planted weight so far, with ``batched`` an axis of examples in front."""

    value: str = "w"
    batched: bool = False
    nodes: list = field(default_factory=list)
    tensors: dict = field(default_factory=lambda: {"w": W})
    functions: list = field(default_factory=list)
    count: int = 0

    def name(self, what):
        self.count += 1
        return f"{what}{self.count}"

    def add(self, op, inputs, **attributes):
        output = self.name(op)
        self.nodes.append(helper.make_node(op, inputs, [output], name=self.name(f"{op}_node"), **attributes))
        return output

    def constant(self, array):
        name = self.name("k")
        self.tensors[name] = np.asarray(array)
        return name

    def positive(self):
        """A fed number above 0."""
        size = self.add("ReduceMax", [self.add("Abs", ["x"])], keepdims=0)
        return self.add("Add", [size, self.constant(np.float32(0.5))])

    def condition(self):
        """A fed truth."""
        return self.add("Greater", [self.positive(), self.constant(np.float32(0))])


def identity(road):
    road.value = road.add("Identity", [road.value])


def turned_and_back(road):
    order = [0, 2, 1] if road.batched else [1, 0]
    road.value = road.add("Transpose", [road.add("Transpose", [road.value], perm=order)], perm=order)


def flat_and_back(road):
    flat = road.add("Reshape", [road.value, road.constant([-1, 20])])
    road.value = road.add("Reshape", [flat, road.constant([-1, 4, 5] if road.batched else [4, 5])])


def cast_and_back(road):
    road.value = road.add("Cast", [road.add("Cast", [road.value], to=TensorProto.DOUBLE)], to=TensorProto.FLOAT)


def cut_and_joined(road):
    ends = [(0, 2), (2, 4)]
    axis = road.constant([-2])
    parts = [road.add("Slice", [road.value, road.constant([a]), road.constant([b]), axis]) for a, b in ends]
    road.value = road.add("Concat", parts, axis=-2)


def scaled(road):
    road.value = road.add("Mul", [road.value, road.positive()])


def chosen_by_where(road):
    other = road.constant(toys.numbers(4, 5, seed=3))
    road.value = road.add("Where", [road.condition(), road.value, other])


def chosen_by_if(road):
    branches = {}
    for key, source in (("then_branch", road.value), ("else_branch", road.constant(toys.numbers(4, 5, seed=4)))):
        out = road.name("branch")
        if road.batched and key == "else_branch":
            source = road.value
        inner = [helper.make_node("Identity", [source], [out], name=road.name("inner"))]
        branches[key] = helper.make_graph(inner, key, [], [info(out)])
    road.value = road.add("If", [road.condition()], **branches)


def expert(road):
    if road.batched:
        return
    axis = road.constant([0])
    others = road.add("Unsqueeze", [road.constant(toys.numbers(4, 5, seed=5)), axis])
    stack = road.add("Concat", [others, road.add("Unsqueeze", [road.value, axis])], axis=0)
    road.value = road.add("Gather", [stack, road.add("Cast", [road.condition()], to=TensorProto.INT64)])


def expanded(road):
    if road.batched:
        return
    examples = road.add("Shape", ["x"], start=0, end=1)
    road.value = road.add("Expand", [road.value, road.add("Concat", [examples, road.constant([4, 5])], axis=0)])
    road.batched = True


def through_a_function(road):
    body = [helper.make_node("Identity", ["a"], ["b"], name="inside")]
    name = road.name("Pass")
    road.functions.append(helper.make_function("my", name, ["a"], ["b"], body, [helper.make_opsetid("", 18)]))
    road.value = road.add(name, [road.value], domain="my")


STEPS = [
    *(identity, turned_and_back, flat_and_back, cast_and_back, cut_and_joined, scaled, chosen_by_where, chosen_by_if),
    *(expert, expanded, through_a_function),
]


def product(road, weight, left="x"):
    """The nodes of the product in a nested graph or the main one, and its output."""
    if not road.batched:
        return [helper.make_node("MatMul", [left, weight], ["p"], name="product")]
    axis = road.constant([1])
    return [
        helper.make_node("Unsqueeze", [left, axis], ["row"], name="row"),
        helper.make_node("MatMul", ["row", weight], ["wide"], name="product"),
        helper.make_node("Squeeze", ["wide", axis], ["p"], name="narrow"),
    ]


def directly(road):
    road.nodes += [*product(road, road.value), helper.make_node("Identity", ["p"], ["y"])]


def in_a_loop(road):
    """A Loop that carries the weight unchanged, and adds the product up three times."""
    nodes = [
        *product(road, "w_in"),
        helper.make_node("Add", ["sum_in", "p"], ["sum_out"]),
        helper.make_node("Identity", ["w_in"], ["w_out"]),
        helper.make_node("Identity", ["go"], ["go_out"]),
    ]
    begins = [info("i", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("sum_in"), info("w_in")]
    body = helper.make_graph(
        nodes, "body", begins, [info("go_out", TensorProto.BOOL, []), info("sum_out"), info("w_out")]
    )
    zero = road.add("Mul", [road.add("MatMul", ["x", road.constant(toys.numbers(4, 5))]), road.constant(np.float32(0))])
    inputs = [road.constant(np.int64(3)), "", zero, road.value]
    road.nodes.append(helper.make_node("Loop", inputs, ["y", "w_end"], name="loop", body=body))


def in_a_scan(road):
    """A Scan with the weight in its state, over the examples."""
    if road.batched:
        directly(road)
        return
    row = road.constant([1, 4])
    nodes = [
        helper.make_node("Reshape", ["x_t", row], ["left"]),
        *product(road, "w_in", "left"),
        helper.make_node("Identity", ["w_in"], ["w_out"]),
    ]
    body = helper.make_graph(nodes, "body", [info("w_in"), info("x_t")], [info("w_out"), info("p")])
    road.nodes.append(
        helper.make_node("Scan", [road.value, "x"], ["w_end", "y"], name="scan", body=body, num_scan_inputs=1)
    )


ENDS = [directly, in_a_loop, in_a_scan]


def answer(proto):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(proto.SerializeToString(), options).run(["y"], {"x": X})[0]


@settings(max_examples=20)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=4), end=st.sampled_from(ENDS))
def test_a_planted_weight_is_analog(steps, end):
    road = Road()
    for step in steps:
        step(road)
    end(road)
    proto = toys.proto(road.nodes, {"x": ["n", 4]}, ["y"], road.tensors, opset=18)
    proto.functions.extend(road.functions)
    if road.functions:
        proto.opset_import.append(helper.make_opsetid("my", 1))
    model = Model.from_proto(proto)
    module = model.module().eval()
    keys = [use.key for use in module.uses if "w" in use.names]
    (row,) = (row for row in weights_table(model) if row["name"] == "w")
    assert keys  # named at the least, and on these roads always analog
    assert row["analog"] or row["digital_reason"] == f"computed into {keys[0]}"
    other = (W + 0.5 * toys.numbers(4, 5, seed=7)).astype(np.float32)
    changed = toys.proto(road.nodes, {"x": ["n", 4]}, ["y"], road.tensors | {"w": other}, opset=18)
    changed.functions.extend(road.functions)
    changed.opset_import.extend(proto.opset_import[1:])
    want = answer(changed)
    assert not toys.agrees(answer(proto), want)
    # The crossbar holds what is made of the tensor before anything fed: a module with other numbers says what that is.
    key = keys[0]
    tuned = Model.from_proto(changed).module().eval()
    values = {key: tuned.analog_weights()[key].tensor.detach()}
    with scratch() as folder, torch.no_grad():
        assert toys.agrees(RuntimeCopy.build(model, folder).session(values).run(X)[0], want)
        result = module(torch.from_numpy(X), weights=values)
        assert toys.agrees((result[0] if isinstance(result, tuple) else result).numpy(), want)
    assert key not in canary(model, (X,)).inert
