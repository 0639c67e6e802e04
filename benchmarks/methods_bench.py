"""Step time of every objective against a step of plain training, beside the passes that it needs.

``python benchmarks/methods_bench.py [--model FILE.onnx] [--batch 128] [--runs 5] [--threads 2] [METHOD ...]``

A step is forward and backward, noise included, the optimizer not. A clean step (``none``) is run beside every step of a
method, so that both see the same machine; the ratio is that of the smallest processor times, or of elapsed times with
``--elapsed``, which only means something on a quiet machine. ``passes`` is what the method's forward and backward
passes alone would cost, from the clean network's own forward and backward times; ``overhead`` is the rest. The noise
draws of a method (its own, and one for each pass through noisy weights) are part of the overhead.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from harden import methods
from harden.graph.file import Model
from harden.methods.base import Batch
from harden.noise.profile import Profile
from harden.noise.sampler import NoiseSampler
from harden.registry import METHODS
from harden.streams import generator
from harden.training.tasks import Labels

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("HARDEN_SHARED_DATA", ROOT.parent / "shared" / "data"))


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    net, batch = network(options.model, options.batch)
    clock = time.perf_counter if options.elapsed else time.process_time
    forward, backward = passes(net, batch, clock, options.runs)
    load = os.getloadavg()[0]
    print(f"{options.model.name}, batch {options.batch}, {options.threads} threads, load {load:.1f}")
    print(f"clean forward {1e3 * forward:.0f} ms, backward {1e3 * backward:.0f} ms\n")
    print("| method | passes | step / clean step | passes / clean step | overhead |\n|---|---|---|---|---|")
    for name in options.methods or METHODS.names():
        method = METHODS.module(methods.resolve(name)).Method
        if method.kind != "objective":
            continue
        ratio = against_clean(name, net, batch, clock, options.runs)
        count_forward, count_backward = method.passes
        expected = (count_forward * forward + count_backward * backward) / (forward + backward)
        print(f"| {name} | {method.cost} | {ratio:.2f} | {expected:.2f} | {ratio / expected - 1:+.0%} |", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*")
    parser.add_argument("--model", type=Path, default=SHARED / "models" / "resnet20_jpeg_bn.onnx")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--elapsed", action="store_true")
    options = parser.parse_args()
    if not options.model.exists():
        parser.error(f"{options.model} is absent; give --model FILE.onnx, or set HARDEN_SHARED_DATA")
    return options


def network(path: Path, size: int) -> tuple[Any, Batch]:
    model = Model.load(path)
    shape = [dim if isinstance(dim, int) else size for dim in model.inputs[0].shape]
    x = torch.empty(size, *shape[1:]).normal_(generator=generator(0, "bench"))
    net = model.module().train()
    with torch.no_grad():
        classes = net(x).shape[1]
    return net, Batch((x,), torch.arange(size) % classes, Labels())


def stepper(name: str, net: Any, batch: Batch) -> Callable[[], None]:
    objective = methods.load(name)
    objective.prepare(net, batch)
    profile = Profile.parse("gaussian:sigma=0.1")
    sampler = NoiseSampler(
        profile, lambda: {**net.analog_weights(), **objective.analog_weights()}, seed=0, path=("bench",)
    )

    def step() -> None:
        result = objective.step(net, batch, sampler)
        if result.gradients is None:
            result.loss.backward()
        for parameter in net.parameters():
            parameter.grad = None

    return step


def against_clean(name: str, net: Any, batch: Batch, clock: Callable[[], float], runs: int) -> float:
    step, clean = stepper(name, net, batch), stepper("none", net, batch)
    step()
    clean()
    times: dict[str, list[float]] = {"method": [], "clean": []}
    for _ in range(runs):
        for label, action in (("clean", clean), ("method", step)):
            start = clock()
            action()
            times[label].append(clock() - start)
    return min(times["method"]) / min(times["clean"])


def passes(net: Any, batch: Batch, clock: Callable[[], float], runs: int) -> tuple[float, float]:
    """Seconds of a clean forward and of a clean backward pass."""
    forward, backward = [], []
    for _ in range(runs + 1):
        start = clock()
        loss = batch.loss(net(*batch.inputs))
        middle = clock()
        loss.backward()
        backward.append(clock() - middle)
        forward.append(middle - start)
    return min(forward), min(backward)


if __name__ == "__main__":
    main()
