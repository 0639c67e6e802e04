#!/usr/bin/env bash
# onnxruntime 1.32.0 gives other bits when the IR version of a file of version 3 is raised to 4.
#
# Before version 4 every initializer had to be listed as an input, and is a constant all the same; from 4 on such an
# initializer is a default that callers may override, so that nothing is folded or fused with it. Outputs of the same
# numbers differ then by 1e-4 (of 274). Raise the version and take the initializers out of the inputs: equal bits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import numpy as np, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

ort.set_default_logger_severity(3)
draw = np.random.default_rng(0)
shapes = {"w1": (16, 3, 3, 3), "b1": (16,), "g": (16,), "b": (16,), "m": (16,), "v": (16,), "w2": (16, 16, 3, 3), "b2": (16,)}
tensors = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
tensors["v"] = np.abs(tensors["v"]) + np.float32(0.5)
norm, N = ("g", "b", "m", "v"), h.make_node
nodes = [
    N("Conv", ["x", "w1", "b1"], ["h1"], pads=[1] * 4), N("BatchNormalization", ["h1", *norm], ["h2"]), N("Relu", ["h2"], ["h3"]),
    N("Conv", ["h3", "w2", "b2"], ["h4"], pads=[1] * 4), N("BatchNormalization", ["h4", *norm], ["y"]),
]
x, value = draw.normal(size=(4, 3, 8, 8)).astype(np.float32), h.make_tensor_value_info

def run(version, listed):
    inputs = [value("x", T.FLOAT, ["n", 3, 8, 8]), *(value(n, T.FLOAT, shapes[n]) for n in listed)]
    graph = h.make_graph(nodes, "g", inputs, [value("y", T.FLOAT, ["n", 16, 8, 8])], [nh.from_array(a, n) for n, a in tensors.items()])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 8)], ir_version=version)
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]

three, raised, constants = run(3, shapes), run(4, shapes), run(4, ())
print(f"raised: off by {np.abs(three - raised).max():.1e} of {np.abs(three).max():.0f}; inputs removed: {np.abs(three - constants).max():.1e}")
raise SystemExit(0 if np.array_equal(three, constants) and not np.array_equal(three, raised) else "the behaviour has changed")
PYTHON
