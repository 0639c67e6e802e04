"""Gradients of every differentiable operator against numerical ones, on the inputs of the ONNX project's node tests."""

from __future__ import annotations

import conformance
import numpy as np
import onnx
import pytest
import torch
import toys

from harden.graph.file import Model
from harden.graph.ops import MICROSOFT, operators

LARGEST = 20_000
CASES_EACH = 3
FLOATS = (torch.float32, torch.float64)

# Straight-through rounding has the gradient that training wants, not the numerical one; test_quantized.py holds it.
# Sequences and nested graphs hand tensors on; test_control.py holds those.
ELSEWHERE = {
    "QuantizeLinear", "DequantizeLinear",
    "Loop", "If", "Scan", "SequenceConstruct", "SequenceInsert", "SequenceErase", "SequenceAt", "ConcatFromSequence",
    "SplitToSequence", "Optional", "OptionalGetElement",
}  # fmt: skip
INTEGERS = np.array([[0, 2], [1, 3]])
MATRIX, OTHER, ROW = toys.numbers(4, 6), toys.numbers(6, 4, seed=1), toys.numbers(6, seed=2)
IMAGE = toys.numbers(1, 2, 4, 4)
# Operators without a node test that has gradients: op, domain, opset, inputs (integers are constants), attributes.
OWN = [
    ("Gelu", MICROSOFT, 1, [MATRIX], {}),
    ("FastGelu", MICROSOFT, 1, [MATRIX, ROW], {}),
    ("BiasGelu", MICROSOFT, 1, [MATRIX, ROW], {}),
    ("QuickGelu", MICROSOFT, 1, [MATRIX], {"alpha": 1.5}),
    ("FusedMatMul", MICROSOFT, 1, [MATRIX, OTHER], {"transA": 1, "transB": 1, "alpha": 0.5}),
    ("SkipLayerNormalization", MICROSOFT, 1, [MATRIX, MATRIX[::-1].copy(), ROW, ROW + 1, ROW + 2], {}),
    ("Mod", "", 18, [MATRIX, np.float32([0.7])], {"fmod": 1}),
    ("Trilu", "", 18, [MATRIX], {}),
    ("GlobalLpPool", "", 18, [IMAGE], {"p": 3}),
    ("Where", "", 18, [MATRIX > 0, MATRIX, ROW], {}),
    ("TopK", "", 18, [MATRIX, np.array([2])], {}),
    ("OneHot", "", 18, [INTEGERS, np.array(4), np.float32([0.5, 2])], {}),
    ("Compress", "", 18, [MATRIX, np.array([True, False, True])], {"axis": 0}),
    ("Scatter", "", 9, [MATRIX, INTEGERS, OTHER[:2, :2].copy()], {"axis": 1}),
    (
        "MaxUnpool",
        "",
        18,
        [IMAGE[:, :1, :1, :2].copy(), np.array([[[[1, 6]]]])],
        {"kernel_shape": [2, 2], "strides": [2, 2]},
    ),
    ("Upsample", "", 9, [IMAGE, np.float32([1, 1, 2, 2])], {"mode": "linear"}),
    ("Resize", "", 19, [IMAGE, np.float32([]), np.float32([1, 1, 0.6, 1.7])], {"mode": "cubic", "antialias": 1}),
    ("Cast", "", 18, [MATRIX], {"to": 11}),
    ("CastLike", "", 18, [MATRIX, np.float64([0])], {}),
    ("Identity", "", 18, [MATRIX], {}),
    ("Dropout", "", 10, [MATRIX], {}),
    ("Erf", "", 18, [MATRIX], {}),
]
CONSTANT = {"Upsample": (1,), "Resize": (1, 2), "CastLike": (1,), "Mod": (1,)}


def differentiable():
    own = {(domain, op) for op, domain, *_ in OWN}
    keys = [key for key, versions in sorted(operators().items()) if versions[-1].gradient]
    return [key for key in keys if key[1] not in ELSEWHERE and key not in own]


def smooth(tensor):
    """Double precision, moved off ties and kinks by a little."""
    steps = torch.arange(tensor.numel(), dtype=torch.float64).reshape(tensor.shape)
    return (tensor.double() + 0.0137 * torch.sin(12.9898 * (steps + 1))).requires_grad_()


def check(case, key):
    """Compare gradients for one case; False where it has none to compare."""
    module = Model.from_proto(case.model).module().eval()
    node = next((n for n in module.program.nodes if (n.domain, n.op) == key), None)
    if node is None or len(module.program.nodes) > 1:
        return False
    given = [conformance.value(item) for item in case.data[0][0]]
    places = [
        i
        for i, (value, item) in enumerate(zip(module.program.inputs, given, strict=True))
        if isinstance(item, torch.Tensor)
        and item.dtype in FLOATS
        and bool(item.isfinite().all())
        and 0 < item.numel() <= LARGEST
        and all(node.differentiable(p) for p, v in enumerate(node.inputs) if v == value)
    ]
    if not places or any(isinstance(item, torch.Tensor) and item.numel() > LARGEST for item in given):
        return False
    doubled = [item.double() if isinstance(item, torch.Tensor) and item.dtype in FLOATS else item for item in given]

    return compare(module, doubled, places)


def compare(module, inputs, places):
    """Compare gradients by the inputs at ``places``; False where there are none."""

    def function(*chosen):
        given = list(inputs)
        for place, tensor in zip(places, chosen, strict=True):
            given[place] = tensor
        outputs = module(*given)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(o for o in outputs if isinstance(o, torch.Tensor) and o.is_floating_point() and o.requires_grad)

    chosen = tuple(smooth(inputs[place]) for place in places)
    if not function(*chosen):
        return False
    return torch.autograd.gradcheck(function, chosen, fast_mode=True, atol=1e-4, rtol=1e-3, eps=1e-6)


@pytest.mark.parametrize("key", differentiable(), ids=lambda key: key[1])
def test_gradients_are_the_numerical_ones(key):
    checked = 0
    for case in conformance.cases():
        if key in case.operators and not conformance.excluded(case.name) and checked < CASES_EACH:
            checked += check(case, key)
    assert checked, "no node test has gradients to compare"


@pytest.mark.parametrize("case", OWN, ids=lambda case: f"{case[1]}{case[0]}")
def test_gradients_of_operators_without_node_tests(case):
    op, domain, opset, arrays, attributes = case
    names = [f"x{i}" for i in range(len(arrays))]
    results = ["y", "i"] if op == "TopK" else ["y"]
    node = onnx.helper.make_node(op, names, results, domain=domain, **attributes)
    proto = toys.proto([node], {}, ["y"], opset=opset)
    if domain:
        proto.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    for name, array in zip(names, arrays, strict=True):
        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        proto.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
    module = Model.from_proto(proto).module().eval()
    tensors = [torch.from_numpy(array) for array in arrays]
    places = [i for i, t in enumerate(tensors) if t.is_floating_point() and i not in CONSTANT.get(op, ())]
    assert compare(module, [t.double() if t.is_floating_point() else t for t in tensors], places)
