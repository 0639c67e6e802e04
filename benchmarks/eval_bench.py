"""How fast are trials against the ways others run them? ``make bench-eval``.

Every way runs the same chips on the same images on the same cores, round after round, so that a busy machine slows all
of them alike. Printed is each one's speed over the clean session's: by the clock, and by processor time, which a busy
machine disturbs less. Noise generation and set-up are included everywhere.

    python benchmarks/eval_bench.py                 # the ResNets of the shared data, or the embedded digits network
    python benchmarks/eval_bench.py MODEL.onnx --data test.parquet --mean .485,.456,.406 --std .229,.224,.225
    python benchmarks/eval_bench.py --aihwkit /path/to/venv/bin/python   # a Python that has aihwkit 1.1.0

aihwkit runs a ResNet-20 of the same shape (its layers cannot be loaded from ONNX), in a process of its own: programming
once a chip, and the images' time from 200 of them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper

from harden.data import embedded
from harden.data.dataset import Dataset
from harden.data.preprocess import resolve_preprocess
from harden.engines import LocalEngine
from harden.evaluation.bench import Bench, open_bench
from harden.evaluation.layout import Layout, available_cores, choose_layout
from harden.evaluation.plan import Condition, Task, TrialPlan
from harden.evaluation.trials import TrialRunner, draw_chip
from harden.evaluation.where import Where
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.runtime.sessions import Session

Way = Callable[[int], None]


def ours(bench: Bench, condition: Condition, layout: Layout) -> Way:
    plan = TrialPlan((condition,), 10**6, 0, bench.feed.batch)
    runner = TrialRunner(bench.periphery, bench.weights, bench.feed, bench.scorer, plan, layout)
    return lambda chip: runner(Task(0, chip)) and None


def clean(bench: Bench, layout: Layout, slots: list[Session]) -> Way:
    def run(chip: int) -> None:
        session = slots[chip % len(slots)]
        for batch, _ in bench.feed:
            session.run(*batch)

    return run


def rewritten(bench: Bench, condition: Condition, model: Model, layout: Layout) -> Way:
    """A new session from a protobuf with the chip's weights inside."""

    def run(chip: int) -> None:
        drawn = draw_chip(condition, bench.weights, seed=0, index=chip)
        proto = onnx.ModelProto()
        proto.CopyFrom(model.proto)
        for tensor in proto.graph.initializer:
            if tensor.name in drawn:
                tensor.CopyFrom(numpy_helper.from_array(drawn[tensor.name].numpy(), tensor.name))
        session = Session(proto.SerializeToString(), threads=layout.threads)
        for batch, _ in bench.feed:
            session.run(*batch)

    return run


def weights_as_inputs(bench: Bench, condition: Condition, model: Model, layout: Layout) -> Way:
    """One session for all chips; the weights are inputs of the graph, so nothing is folded or laid out."""
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    kept = []
    for tensor in list(proto.graph.initializer):
        if tensor.name in bench.weights:
            proto.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
            kept.append(tensor.name)
            proto.graph.initializer.remove(tensor)
    sessions = [Session(proto.SerializeToString(), threads=layout.threads) for _ in range(layout.workers)]
    order = [i.name for i in sessions[0].inputs[1:]]

    def run(chip: int) -> None:
        drawn = draw_chip(condition, bench.weights, seed=0, index=chip)
        values = [drawn[name].numpy() for name in order]
        for batch, _ in bench.feed:
            sessions[chip % len(sessions)].run(*batch, *values)

    return run


def plain_torch(bench: Bench, condition: Condition, model: Model) -> Way:
    module = model.module().eval()

    def run(chip: int) -> None:
        drawn = draw_chip(condition, bench.weights, seed=0, index=chip)
        with torch.inference_mode():
            for batch, _ in bench.feed:
                module(*map(torch.from_numpy, batch), weights=drawn)

    return run


def compare(ways: dict[str, Way], workers: int, rounds: int, images: int) -> dict[str, tuple[float, float]]:
    """Images per second of each way, by the clock and by processor time; rounds are interleaved, one chip a worker."""
    clock, processor = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0.0)
    for index in range(-1, rounds):
        for name, way in ways.items() if index % 2 else reversed(ways.items()):
            began = time.perf_counter(), time.process_time()
            list(LocalEngine(workers).run(way, range(workers)))
            if index >= 0:  # the first round warms up
                clock[name] += time.perf_counter() - began[0]
                processor[name] += time.process_time() - began[1]
    total = rounds * workers * images
    return {name: (total / clock[name], total / processor[name]) for name in ways}


_AIHWKIT = """
import json, sys, time, torch
from aihwkit.inference import PCMLikeNoiseModel
from aihwkit.nn.conversion import convert_to_analog
from aihwkit.simulator.configs import InferenceRPUConfig
torch.set_num_threads(int(sys.argv[1])); n = int(sys.argv[2])
class Block(torch.nn.Module):
    def __init__(s, i, o, t):
        super().__init__()
        s.a = torch.nn.Conv2d(i, o, 3, t, 1, bias=False); s.b = torch.nn.BatchNorm2d(o)
        s.c = torch.nn.Conv2d(o, o, 3, 1, 1, bias=False); s.d = torch.nn.BatchNorm2d(o); s.t, s.p = t, (o - i) // 2
    def forward(s, x):
        y = s.d(s.c(torch.relu(s.b(s.a(x)))))
        if s.p: x = torch.nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, s.p, s.p))
        return torch.relu(x + y)
layers = [torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False), torch.nn.BatchNorm2d(16), torch.nn.ReLU()]
for i, o, t in [(16,16,1)]*3 + [(16,32,2)] + [(32,32,1)]*2 + [(32,64,2)] + [(64,64,1)]*2: layers.append(Block(i, o, t))
net = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 10))
config = InferenceRPUConfig(); config.noise_model = PCMLikeNoiseModel(g_max=25.0)
analog = convert_to_analog(net, config).eval(); x = torch.zeros(100, 3, 32, 32)
def program(): analog.program_analog_weights(); analog.drift_analog_weights(1.0)
def forward():
    with torch.no_grad(): analog(x); analog(x)
def timed(work):
    work(); a, b = time.perf_counter(), time.process_time(); work()
    return time.perf_counter() - a, time.process_time() - b
print(json.dumps([n / (p + f * n / 200) for p, f in zip(timed(program), timed(forward))]))
"""


def aihwkit(python: str, cores: int, images: int) -> tuple[float, float]:
    done = subprocess.run(
        [python, "-c", _AIHWKIT, str(cores), str(images)], capture_output=True, text=True, check=True, timeout=1800
    )
    clock, processor = json.loads(done.stdout.splitlines()[-1])
    return float(clock), float(processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--data")
    parser.add_argument("--mean", default="0.485,0.456,0.406")
    parser.add_argument("--std", default="0.229,0.224,0.225")
    parser.add_argument("--input-size", type=int)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", default="gaussian:sigma=0.1")
    parser.add_argument("--aihwkit", help="a Python that has aihwkit; left out, aihwkit is skipped")
    parser.add_argument("--only-ours", action="store_true")
    options = parser.parse_args()
    if options.model:
        bench_model(options.model, options.data, options)
        return
    shared = Path(os.environ.get("HARDEN_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if shared.is_dir():
        for name in ("resnet20_jpeg_bn", "resnet32_bn"):
            bench_model(shared / "models" / f"{name}.onnx", shared / "cifar10" / "test.parquet", options)
    else:
        options.mean, options.std = None, None
        with tempfile.TemporaryDirectory() as folder:
            for name in ("digits_cnn.onnx", "test.npz"):
                (Path(folder) / name).write_bytes(embedded.content(name))
            bench_model(Path(folder) / "digits_cnn.onnx", Path(folder) / "test.npz", options)


def bench_model(path: str | Path, source: str | Path, options: argparse.Namespace) -> None:
    mean, std = ([float(v) for v in text.split(",")] if text else None for text in (options.mean, options.std))
    size = (options.input_size, options.input_size) if options.input_size else None
    model = Model.load(path)
    preprocess = resolve_preprocess(model.preprocess, mean=mean, std=std, input_size=size)
    data = Dataset.open(source, preprocess, limit=options.images)
    condition = Condition(Profile.parse(options.profile))
    cores = available_cores()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = open_bench(model, data, Path(folder), Where())
        layout, _ = choose_layout(bench.copy, bench.feed.some_batches(), cores, 1.0)
        slots = [bench.copy.clean_session(threads=layout.threads) for _ in range(layout.workers)]
        ways = {"clean session": clean(bench, layout, slots), "harden": ours(bench, condition, layout)}
        if not options.only_ours:
            ways |= {
                "session from a rewritten protobuf": rewritten(bench, condition, model, layout),
                "weights as graph inputs": weights_as_inputs(bench, condition, model, layout),
                "plain PyTorch": plain_torch(bench, condition, model),
            }
        rates = compare(ways, layout.workers, options.rounds, len(data))
    if options.aihwkit:
        rates["aihwkit, ResNet-20"] = aihwkit(options.aihwkit, cores, len(data))
    limit = rates["clean session"]
    print(f"{Path(path).name}, {len(data)} images per chip, layout {layout}, batch {bench.feed.batch}")
    for name, (clock, processor) in rates.items():
        ratios = f"{clock / limit[0]:7.3f} (clock) {processor / limit[1]:7.3f} (processor)"
        print(f"  {name:34s} {clock:9.1f} images/s {ratios}")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
