"""Models over 2 GiB, which no single protobuf can hold: read, trained, and written back beside their numbers."""

from __future__ import annotations

import resource
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import toys
from onnx import TensorProto, helper

from harden.graph.file import Model

ROWS, WIDTH = 2**23 + 2**18, 64  # 2.06 GiB in single precision
BYTES = ROWS * WIDTH * 4
node = helper.make_node

ROUND_TRIP = """
import sys
import torch
from harden.graph.file import Model
torch.set_num_threads(1)
model = Model.load(sys.argv[1])
module = model.module()
module(torch.tensor([[0, 3]])).square().sum().backward()
with torch.no_grad():
    head = module.get_parameter("head")
    head -= head.grad
model.with_weights({"head": head}).save(sys.argv[2])
"""


def write(path):
    """An embedding in a sparse file beside the model, with numbers in its first rows and its last, and a head."""
    nodes = [node("Gather", ["table", "x"], ["e"]), node("MatMul", ["e", "head"], ["y"])]
    proto = toys.proto(nodes, {"x": ["n", 2]}, ["y"], {"head": toys.numbers(WIDTH, 3)})
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    table = TensorProto(name="table", data_type=TensorProto.FLOAT, dims=[ROWS, WIDTH])
    table.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "table.bin"), ("offset", "0"), ("length", str(BYTES))):
        table.external_data.add(key=key, value=value)
    proto.graph.initializer.append(table)
    with (path.parent / "table.bin").open("wb") as file:
        file.write(toys.numbers(4, WIDTH).tobytes())
        file.seek(BYTES - 4 * WIDTH)
        file.write(toys.numbers(1, WIDTH, seed=1).tobytes())
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.slow
def test_a_model_over_two_gibibytes_is_trained_and_written_back_in_bounded_memory(tmp_path):
    source = write(tmp_path / "large.onnx")
    target = tmp_path / "out" / "large.onnx"
    target.parent.mkdir()
    subprocess.run([sys.executable, "-c", ROUND_TRIP, str(source), str(target)], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    # The model, the parameter and its gradient, the changed model, its copy with references, the bytes to write.
    assert peak < 6.5 * BYTES

    assert (target.parent / "table.bin").stat().st_size == BYTES
    with (tmp_path / "table.bin").open("rb") as a, (target.parent / "table.bin").open("rb") as b:
        while block := a.read(2**26):
            assert b.read(2**26) == block
    before, after = (
        {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(p, load_external_data=False).graph.initializer[:1]}
        for p in (source, target)
    )
    assert (before["head"] != after["head"]).any()
    x = np.array([[0, ROWS - 1]])
    (theirs,) = onnxruntime.InferenceSession(target).run(None, {"x": x})
    rows = np.concatenate([toys.numbers(4, WIDTH)[:1], toys.numbers(1, WIDTH, seed=1)])
    assert toys.agrees(theirs[0], rows @ after["head"])
    assert Model.load(target).parameters == ROWS * WIDTH + 3 * WIDTH
