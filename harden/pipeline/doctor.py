"""``harden doctor``: is this machine fit to run harden?"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harden import streams
from harden.errors import HardenError
from harden.evaluation.layout import available_cores
from harden.graph.file import Model
from harden.pipeline.environment import environment
from harden.runtime.canary import canary

# By extra: the package that it brings, and what for.
_EXTRAS = {
    "datasets": ("datasets", "data sets of the Hugging Face hub"),
    "ray": ("ray", "more than one machine"),
    "sign": ("model_signing", "report --sign"),
    "tensorboard": ("tensorboard", "fit --track tensorboard"),
    "trackio": ("trackio", "fit --track trackio"),
}


PURPOSES = {name: purpose for name, (_, purpose) in _EXTRAS.items()}


def doctor() -> dict[str, Any]:
    """Versions, processors, optional packages, and the canary on a small graph.

    Returns:
        ``environment``, ``cores``, ``gpus``, ``extras`` (installed or not), ``canary`` (``passed``, ``detail``),
        ``healthy``.
    """
    import torch

    cores = available_cores()
    try:
        checked = canary(_toy_model(), (_normal("input", 4, 3, 8, 8),))
        answer = {"passed": True, "detail": f"noise reaches {checked.tensors} weights in ONNX Runtime"}
    except HardenError as error:
        answer = {"passed": False, "detail": str(error)}
    return {
        "schema": "harden.doctor/1",
        "environment": environment(cores).to_json(),
        "cores": cores,
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "extras": {name: importlib.util.find_spec(package) is not None for name, (package, _) in _EXTRAS.items()},
        "canary": answer,
        "healthy": answer["passed"],
    }


def _normal(name: str, *shape: int) -> np.ndarray:
    return streams.numpy_generator(0, "doctor", name).standard_normal(shape, dtype=np.float32)


def _toy_model() -> Model:
    """Conv, batch norm, ReLU, pooling, Gemm: the rewrites that have hidden noise before."""
    values = {
        "conv.weight": _normal("conv", 8, 3, 3, 3),
        "bn.weight": np.ones(8, np.float32),
        "bn.bias": np.zeros(8, np.float32),
        "bn.mean": np.zeros(8, np.float32),
        "bn.var": np.ones(8, np.float32),
        "fc.weight": _normal("fc", 5, 8),
        "fc.bias": np.zeros(5, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["input", "conv.weight"], ["a"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "bn.weight", "bn.bias", "bn.mean", "bn.var"], ["b"], "bn"),
        helper.make_node("Relu", ["b"], ["c"], "relu"),
        helper.make_node("GlobalAveragePool", ["c"], ["d"], "pool"),
        helper.make_node("Flatten", ["d"], ["e"], "flatten"),
        helper.make_node("Gemm", ["e", "fc.weight", "fc.bias"], ["output"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "doctor",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    proto.ir_version = 9
    onnx.checker.check_model(proto)
    return Model.from_proto(proto, source="a toy graph")
