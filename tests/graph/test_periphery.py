"""The hook around analog nodes: what it sees, what it changes, and that nothing happens without it."""

from __future__ import annotations

import numpy as np
import torch
from onnx import helper
from toys import numbers, proto

from harden.graph.file import Model


def network():
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["b", "r"], ["y"], name="second", transB=1),
    ]
    return Model.from_proto(proto(nodes, {"x": ["n", 3]}, ["y"], {"a": numbers(3, 4), "b": numbers(2, 4, seed=1)}))


def test_it_sees_what_enters_and_leaves_and_puts_its_own_in_place():
    module, x = network().module(), torch.from_numpy(numbers(5, 3, seed=2))
    a, b = module.get_parameter("a"), module.get_parameter("b")
    plain = module(x)
    for _ in range(2):  # traced, then from the plan
        seen = {}

        def double(key, side, tensor, seen=seen):
            seen[key, side] = tensor
            return 2 * tensor

        module.periphery = double
        out = module(x)
        module.periphery = None
        hidden = (2 * x @ a * 2).relu()
        torch.testing.assert_close(seen["a", "input"], x)
        torch.testing.assert_close(seen["a", "output"], 2 * x @ a)
        torch.testing.assert_close(seen["b", "input"], hidden)
        torch.testing.assert_close(seen["b", "output"], b @ (2 * hidden).T)
        torch.testing.assert_close(out, 2 * (b @ (2 * hidden).T))
        assert torch.equal(module(x), plain)


def test_gradients_pass_through_it():
    module = network().module()
    module.periphery = lambda key, side, tensor: tensor * 3 if side == "output" else tensor
    module(torch.from_numpy(np.ones((2, 3), np.float32))).sum().backward()
    with_hook = module.get_parameter("a").grad
    module.periphery = None
    module.zero_grad()
    module(torch.from_numpy(np.ones((2, 3), np.float32))).sum().backward()
    without = module.get_parameter("a").grad
    assert with_hook is not None
    assert without is not None
    torch.testing.assert_close(with_hook, 9 * without)
