"""The graph as a module: overrides, keys, batch norms, taps, chains."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import onnxruntime
import pytest
import torch
import toys
from onnx import helper

from harden.errors import ModelError, UnsupportedError
from harden.graph.file import Model

node = helper.make_node


def load(*args, **options):
    return Model.from_proto(toys.proto(*args, **options))


def linear_chain():
    """x @ transpose(w) with w of the torch layout [out, in]."""
    nodes = [node("Transpose", ["w"], ["wt"], "turn"), node("MatMul", ["x", "wt"], ["y"], "product")]
    return load(nodes, {"x": ["n", 3]}, ["y"], {"w": toys.numbers(4, 3)})


def test_parameter_names_are_the_files_own_even_with_dots_and_reserved_words():
    names = ["blocks.0.weight", "training", "forward", "a/b:0", "blocks.0"]
    nodes = [node("Add", ["x", names[0]], ["h0"])]
    nodes += [node("Add", [f"h{i}", name], [f"h{i + 1}"]) for i, name in enumerate(names[1:])]
    model = load(nodes, {"x": [3]}, ["h4"], {name: toys.numbers(3, seed=i) for i, name in enumerate(names)})
    module = model.module()
    assert [name for name, _ in module.named_parameters()] == names
    state = copy.deepcopy(module.state_dict())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    module.load_state_dict(state)
    assert model.with_weights(module.export_weights()) is model
    assert list(copy.deepcopy(module).state_dict()) == names


def test_a_weight_behind_a_transpose_keeps_its_name_and_shows_the_nodes_value():
    module = linear_chain().module()
    (weight,) = module.analog_weights().values()
    assert (weight.key, weight.name, weight.node, weight.op, weight.output_axis) == ("w", "w", "product", "MatMul", 1)
    assert tuple(weight.tensor.shape) == (3, 4)
    weight.tensor.square().sum().backward()
    parameter = dict(module.named_parameters())["w"]
    torch.testing.assert_close(parameter.grad, 2 * parameter.detach())
    x, other = torch.ones(2, 3), torch.full((3, 4), 2.0)
    torch.testing.assert_close(module(x, weights={"w": other}), x @ other)


def test_a_shared_tensor_has_one_key_or_one_for_each_use_and_one_parameter():
    nodes = [node("MatMul", ["x", "w"], ["h"], "first"), node("MatMul", ["h", "w"], ["y"], "second")]
    model = load(nodes, {"x": ["n", 3]}, ["y"], {"w": toys.numbers(3, 3)})
    assert list(model.analog_weights()) == ["w"]
    module = model.with_crossbars("use").module()
    weights = module.analog_weights()
    assert list(weights) == ["w@first", "w@second"]
    assert [name for name, _ in module.named_parameters()] == ["w"]
    x = torch.ones(1, 3)
    w = dict(module.named_parameters())["w"].detach()
    torch.testing.assert_close(module(x, weights={"w@second": 2 * w}), (x @ w) @ (2 * w))
    torch.testing.assert_close(module(x, weights={"w": 2 * w}), (x @ (2 * w)) @ (2 * w))


def test_a_copy_has_weights_of_its_own_and_takes_others_in_their_place():
    module = linear_chain().module()
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.zero_()
        x = torch.ones(2, 3)
        assert module(x).abs().sum() > 0
        assert other(x).abs().sum() == 0
        torch.testing.assert_close(other(x, weights={"w": torch.ones(3, 4)}), x @ torch.ones(3, 4))
        other(x).sum().backward()
        assert all(parameter.grad is None for parameter in module.parameters())


def test_a_first_run_in_inference_mode_does_not_spoil_training():
    nodes = [node("Shape", ["x"], ["s"]), node("Cast", ["s"], ["f"], to=1), node("Mul", ["w", "f"], ["y"])]
    module = load(nodes, {"x": [2, 2]}, ["y"], {"w": toys.numbers(2)}).module()
    with torch.inference_mode():
        module(torch.zeros(2, 2))
    module(torch.zeros(2, 2)).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_a_table_that_is_both_embedding_and_crossbar_gets_a_key_for_the_use():
    nodes = [
        node("Cast", ["x"], ["i"], to=7),
        node("Gather", ["w", "i"], ["e"], "table"),
        node("Transpose", ["w"], ["wt"], perm=[1, 0]),
        node("MatMul", ["e", "wt"], ["y"], "head"),
    ]
    module = load(nodes, {"x": ["n"]}, ["y"], {"w": toys.numbers(5, 3)}).module()
    assert list(module.analog_weights()) == ["w@head"]


def test_digital_globs_name_tensors_or_nodes():
    nodes = [node("MatMul", ["x", "a.w"], ["h"], "first"), node("MatMul", ["h", "b.w"], ["y"], "second")]
    model = load(nodes, {"x": ["n", 3]}, ["y"], {"a.w": toys.numbers(3, 3), "b.w": toys.numbers(3, 3, seed=1)})
    assert list(model.analog_weights(["a.*"])) == ["b.w"]
    assert list(model.analog_weights(["sec*"])) == ["a.w"]


@pytest.mark.parametrize(
    ("op", "weight", "attributes", "axis", "x"),
    [
        ("Conv", (6, 1, 3), {"group": 2}, 0, (1, 2, 8)),
        ("ConvTranspose", (2, 3, 3), {"group": 1}, 1, (1, 2, 8)),
        ("Gemm", (4, 3), {"transB": 1}, 0, (2, 3)),
        ("Gemm", (3, 4), {}, 1, (2, 3)),
        ("MatMul", (3, 4), {}, 1, (2, 3)),
        ("MatMul", (5, 3, 4), {}, 2, (5, 2, 3)),
        ("Einsum", (4, 3), {"equation": "bi,oi->bo"}, 0, (2, 3)),
        ("Einsum", (2, 3, 4), {"equation": "bshd,hde->bse"}, 2, (1, 5, 2, 3)),
    ],
)
def test_the_output_axis_runs_over_the_nodes_outputs(op, weight, attributes, axis, x):
    module = load([node(op, ["x", "w"], ["y"], **attributes)], {"x": x}, ["y"], {"w": toys.numbers(*weight)}).module()
    (found,) = module.analog_weights().values()
    assert (found.output_axis, found.groups) == (axis, attributes.get("group", 1))
    # Zeroing one slice along the output axis silences outputs; the others stay as they were.
    inputs = torch.from_numpy(toys.numbers(*x))
    changed = found.tensor.detach().clone()
    changed.select(axis, 0).zero_()
    before, after = module(inputs), module(inputs, weights={found.key: changed})
    channels = 1 if op.startswith("Conv") else before.dim() - 1
    silent = (after == 0).transpose(0, channels).flatten(1).all(1)
    assert silent.tolist() == [True] + [False] * (before.shape[channels] - 1)
    same = (after == before).transpose(0, channels).flatten(1).all(1)
    assert same.tolist() == [False] + [True] * (before.shape[channels] - 1)


def test_a_left_operand_has_its_rows_as_outputs():
    module = load([node("MatMul", ["w", "x"], ["y"], "n")], {"x": [3, 2]}, ["y"], {"w": toys.numbers(4, 3)}).module()
    assert module.analog_weights()["w"].output_axis == 0


def batch_norm(momentum=0.75):
    names = ["scale", "bias", "mean", "var"]
    tensors = {name: np.abs(toys.numbers(3, seed=i)) for i, name in enumerate(names)}
    bn = node("BatchNormalization", ["x", *names], ["y"], momentum=momentum, epsilon=1e-3)
    return load([bn], {"x": ["n", 3, 4, 4]}, ["y"], tensors)


def test_batch_norm_trains_on_batch_statistics_and_moves_running_ones_only_when_asked():
    module = batch_norm().module()
    native = torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.25)
    native.load_state_dict(
        dict(zip(["weight", "bias", "running_mean", "running_var"], module.export_weights().values(), strict=True)),
        strict=False,
    )
    x = torch.from_numpy(toys.numbers(5, 3, 4, 4))
    before = {name: tensor.clone() for name, tensor in module.export_weights().items()}
    module.train()
    expected = native(x)
    torch.testing.assert_close(module(x), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.export_weights().items())
    torch.testing.assert_close(module(x, update_statistics=True), expected)
    after = module.export_weights()
    torch.testing.assert_close(after["mean"], native.running_mean)
    torch.testing.assert_close(after["var"], native.running_var)
    module.eval()
    module(x, update_statistics=True)
    assert all(torch.equal(tensor, after[name]) for name, tensor in module.export_weights().items())


def test_given_statistics_are_never_written_to():
    module = batch_norm().module().train()
    given = torch.zeros(3)
    module(torch.ones(2, 3, 4, 4), weights={"mean": given}, update_statistics=True)
    assert torch.equal(given, torch.zeros(3))


def test_taps_return_named_values():
    nodes = [node("Relu", ["x"], ["h"]), node("Neg", ["h"], ["y"])]
    module = load(nodes, {"x": [2]}, ["y"]).module()
    x = torch.tensor([1.0, -2.0])
    output, tapped = module(x, taps=("h",))
    assert torch.equal(tapped["h"], torch.tensor([1.0, 0.0]))
    assert torch.equal(output, -tapped["h"])
    with pytest.raises(ModelError, match="no value called 'nothing'"):
        module(x, taps=("nothing",))


def test_shape_arithmetic_is_done_once_a_shape():
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["b"]),
        node("Concat", ["b", "minus"], ["t"], axis=0),
        node("Reshape", ["x", "t"], ["y"]),
    ]
    constants = {"zero": np.array([0]), "minus": np.array([-1])}
    module = load(nodes, {"x": ["n", 2, 2]}, ["y"], constants).module()
    for size in (2, 3, 2):
        assert module(torch.zeros(size, 2, 2)).shape == (size, 4)
    assert [len(plan.steps) for plan in module._plans.values()] == [1, 1]


def test_a_shape_that_depends_on_numbers_is_never_remembered():
    nodes = [node("NonZero", ["x"], ["i"]), node("Shape", ["i"], ["s"]), node("Cast", ["s"], ["y"], to=1)]
    module = load(nodes, {"x": [4]}, ["y"]).module()
    assert module(torch.tensor([1.0, 0, 0, 0])).tolist() == [1, 1]
    assert module(torch.tensor([1.0, 1, 1, 0])).tolist() == [1, 3]


def test_missing_operators_are_named_all_at_once_with_their_nodes():
    nodes = [node("Strange", ["x"], ["a"], "n1"), node("Strange", ["a"], ["b"], "n2"), node("Odd", ["b"], ["y"], "n3")]
    with pytest.raises(UnsupportedError, match=r"2 operators.*Odd \(1: n3\); Strange \(2: n1, n2\)"):
        load(nodes, {"x": [2]}, ["y"]).module()


def test_a_weight_that_cannot_be_trained_is_an_error():
    nodes = [node("Cast", ["w8"], ["w"], to=1), node("MatMul", ["x", "w"], ["y"], "product")]
    with pytest.raises(UnsupportedError, match="MatMul 'product'"):
        load(nodes, {"x": ["n", 3]}, ["y"], {"w8": np.ones((3, 3), np.int8)}).module()


def test_weights_in_constant_nodes_are_parameters_and_go_back_there():
    weight = toys.numbers(3, 4)
    nodes = [
        node("Constant", [], ["w"], value=helper.make_tensor("", 1, [3, 4], weight.tobytes(), raw=True)),
        node("Identity", ["w"], ["same"]),
        node("MatMul", ["x", "same"], ["y"], "product"),
    ]
    model = load(nodes, {"x": ["n", 3]}, ["y"])
    module = model.module()
    assert [name for name, _ in module.named_parameters()] == ["w"]
    tuned = model.with_weights({"w": weight + 1})
    x = toys.numbers(2, 3)
    session = onnxruntime.InferenceSession(tuned.serialize())
    np.testing.assert_allclose(session.run(None, {"x": x})[0], x @ (weight + 1), rtol=1e-5)
    assert tuned.with_weights({"w": weight}).serialize() == model.serialize()


def test_single_numbers_in_arithmetic_are_constants_and_biases_of_size_one_are_not():
    nodes = [node("Conv", ["x", "w", "b"], ["h"]), node("Mul", ["h", "three"], ["y"])]
    tensors = {"w": toys.numbers(1, 2, 1), "b": toys.numbers(1), "three": np.float32([3])}
    module = load(nodes, {"x": ["n", 2, 5]}, ["y"], tensors).module()
    assert [name for name, _ in module.named_parameters()] == ["w", "b"]


def test_wrong_use_is_said_clearly():
    module = linear_chain().module()
    with pytest.raises(ModelError, match=r"takes 1 inputs \(x\), 2 were given"):
        module(torch.zeros(1, 3), torch.zeros(1))
    with pytest.raises(ModelError, match="no weight called 'v'"):
        module(torch.zeros(1, 3), weights={"v": torch.zeros(1)})
    with pytest.raises(ModelError, match=r"'w' has shape \[4, 3\], its node takes \[3, 4\]"):
        module(torch.zeros(1, 3), weights={"w": torch.zeros(4, 3)})
    with pytest.raises(ModelError, match="product: cannot compute MatMul on shapes"):
        module(torch.zeros(1, 7))


def test_nan_weights_are_refused():
    weight = toys.numbers(3, 3)
    weight[0, 0] = np.nan
    with pytest.raises(ModelError, match="NaN or infinity: w"):
        load([node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 3]}, ["y"], {"w": weight}).module()
