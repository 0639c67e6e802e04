"""Every objective trained for a few steps, by one process or by one of several: ``python two_processes.py FOLDER``.

The other processes are found through the environment, as torchrun sets it. Results go to FOLDER/rank-K.safetensors, the
tensors of each run behind its name, and to FOLDER/rank-K.json.
"""

from __future__ import annotations

import contextlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from harden import distributed
from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.registry import METHODS
from harden.streams import numpy_generator
from harden.training.loop import train
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem

STEPS = 2
OPTIONS: dict[str, dict[str, Any]] = {"nft_irs": {"hidden": 8, "heads": 2}, "consistency": {"count": 2}}
LEVERS: dict[str, dict[str, Any]] = {
    "match": {"objective": "match"},
    "features": {"teacher": "self", "teacher_match": "both"},
    "penalties": {"range_penalty": 0.01, "kurtosis_penalty": 0.01, "label_smoothing": 0.1, "clip": "search"},
    "converters": {"profiles": ("gaussian:sigma=0.1,adc_bits=6,output_noise=0.05", "rram1")},
    "adamw": {"optimizer": "adamw", "augment": "off", "batch_norm_reestimation": "on"},
}

# Where memory does not suffice, once, in the second process; and the call in which it does not.
SHORT = {
    "step": ("harden.methods.noise.Method.step", 2),
    "optimizer": ("torch.optim.SGD.step", 2),
    "selection": ("harden.training.selection.Selector.on", 2),
    "between batch norms": ("harden.distributed.gathered", 2),
}
STILL = {"method": "noise", "freeze_batch_norms": 1.0}  # parts of a batch have no statistics of their own


def objectives() -> list[str]:
    return [name for name in METHODS.names() if METHODS.module(name).Method.kind == "objective"]


def runs() -> dict[str, dict[str, Any]]:
    """What differs from run to run: every objective as it is, and one objective under every lever."""
    methods = {name: {"method": name, "options": OPTIONS.get(name, {})} for name in objectives()}
    levers = {f"noise, {name}": {"method": "noise", **more} for name, more in LEVERS.items()}
    short = {f"short, {name}": {"method": "noise"} if "norms" in name else STILL for name in SHORT}
    return {**methods, **levers, **short}


@contextlib.contextmanager
def short_of_memory(name: str) -> Iterator[None]:
    """The run of this name finds too little memory, in the second of two processes."""
    place = name.removeprefix("short, ")
    if place not in SHORT or distributed.rank() != 1:
        yield
        return
    target, last = SHORT[place]
    real, calls = pkgutil.resolve_name(target), []

    def fail(*args: Any, **named: Any) -> Any:
        calls.append(target)
        if len(calls) == last:
            raise MemoryError
        return real(*args, **named)

    with mock.patch(target, fail):
        yield
    assert len(calls) >= last


def model() -> Model:
    """Conv, batch norm, Relu, twice, and a Gemm: 3 x 6 x 6 images, 3 classes."""
    rng = numpy_generator(0, "small")
    tensors = {"fc": rng.normal(0, 0.5, (3, 6))}
    nodes, last, channels = [], "x", 3
    for i in (1, 2):
        tensors |= {f"conv{i}": rng.normal(0, 0.4, (6, channels, 3, 3)), f"g{i}": np.ones(6), f"b{i}": np.zeros(6)}
        tensors |= {f"m{i}": np.zeros(6), f"v{i}": np.ones(6)}
        nodes += [
            helper.make_node("Conv", [last, f"conv{i}"], [f"c{i}"], name=f"conv{i}", pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", [f"c{i}", *(f"{t}{i}" for t in "gbmv")], [f"n{i}"], name=f"bn{i}"),
            helper.make_node("Relu", [f"n{i}"], [f"r{i}"], name=f"relu{i}"),
        ]
        last, channels = f"r{i}", 6
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "fc"], ["y"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in tensors.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return Model.from_proto(proto)


def images(examples: int) -> Dataset:
    rng = numpy_generator(0, "images", examples)
    labels = np.arange(examples) % 3
    values = rng.integers(0, 160, (examples, 6, 6, 3)) + 30 * labels[:, None, None, None]
    plain = Preprocess(mean=(0.5,) * 3, std=(0.25,) * 3)
    return Dataset.from_arrays(values.astype(np.uint8), labels, plain)


def plan(**fields: Any) -> TrainingPlan:
    texts = fields.pop("profiles", ("gaussian:sigma=0.1",))
    conditions = tuple(Condition(Profile.parse(text)) for text in texts)
    common: dict[str, Any] = {"method": "noise", "steps": STEPS, "batch_size": 24, "lr": 0.02}
    common |= {"selections": 1, "selection_chips": 2, "batch_norm_reestimation": "off"}
    return TrainingPlan(**{**common, "conditions": conditions, **fields})


def run(folder: Path) -> None:
    torch.set_num_threads(1)
    tensors, records = {}, {}
    for name, fields in runs().items():
        with short_of_memory(name):
            trained = train(Problem(model(), images(60), images(30)), plan(**fields))
        tensors |= {f"{name}/{key}": value.contiguous() for key, value in trained.weights.items()}
        records[name] = {"history": trained.history}
        records[name]["validation"] = [selection.document() for selection in trained.validation]
        records[name]["memory"] = trained.levers.get("memory")
    save_file(tensors, folder / f"rank-{distributed.rank()}.safetensors")
    (folder / f"rank-{distributed.rank()}.json").write_text(json.dumps(records))


if __name__ == "__main__":
    with distributed.joined():
        run(Path(sys.argv[1]))
