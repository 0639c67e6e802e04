#!/usr/bin/env bash
# onnxruntime 1.32.0 computes a QDQ MatMul with uint8 activations and int8 weights wrongly on x86 without VNNI, silently.
#
# QuantizeLinear, DequantizeLinear and MatMul say (8 products of 255 and 127) = 259080. The kernel on integers that takes
# their place adds pairs of products in 16 bits, which saturate at 32767: 131068. session.disable_quant_qdq = 1 or a
# processor with VNNI give the right number. Seen on an AVX-512 processor without VNNI: 260000 right, 132000 by default
# (in steps of 2000).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import numpy as np, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

N = h.make_node
nodes = [
    N("QuantizeLinear", ["x", "one", "zero"], ["xq"]), N("DequantizeLinear", ["xq", "one", "zero"], ["xr"]),
    N("DequantizeLinear", ["w", "one"], ["wr"]), N("MatMul", ["xr", "wr"], ["h"]),
    N("QuantizeLinear", ["h", "step", "zero"], ["hq"]), N("DequantizeLinear", ["hq", "step", "zero"], ["y"]),
]
tensors = {"w": np.full((8, 4), 127, np.int8), "one": np.float32(1), "zero": np.uint8(0), "step": np.float32(2000)}
value = h.make_tensor_value_info
graph = h.make_graph(nodes, "g", [value("x", T.FLOAT, [1, 8])], [value("y", T.FLOAT, [1, 4])],
                     [nh.from_array(np.asarray(a), n) for n, a in tensors.items()])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8).SerializeToString()

def run(**entries):
    options = ort.SessionOptions()
    for key, entry in entries.items():
        options.add_session_config_entry(key.replace("__", "."), entry)
    return float(ort.InferenceSession(model, options).run(None, {"x": np.full((1, 8), 255, np.float32)})[0][0, 0])

usual, written, right = run(), run(session__disable_quant_qdq="1"), 2000.0 * round(8 * 255 * 127 / 2000)
vnni = "vnni" in open("/proc/cpuinfo").read()
print(f"right {right:.0f}, as written {written:.0f}, by default {usual:.0f}; VNNI: {vnni}")
expected = right if vnni else 2000.0 * round(4 * 32767 / 2000)
raise SystemExit(0 if (written, usual) == (right, expected) else "the behaviour has changed")
PYTHON
