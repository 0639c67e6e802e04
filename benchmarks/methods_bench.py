"""Step time of every objective against a step of plain training, beside what its passes alone would cost.

``python benchmarks/methods_bench.py [--model FILE.onnx] [--batch 128] [--runs 8] [--malloc default] [METHOD ...]``

A step is forward and backward, noise included, the optimizer not. The passes of a step are counted while it runs, and
priced: a forward pass by its kind (with a gradient or without, in training or not, as a teacher's is), a backward pass,
and for ``nft_irs`` the passes of its heads. ``overhead`` is what the step takes beyond that: noise draws, the attack's
arithmetic, distances, and memory. All prices are measured in turn with the steps, round by round, so that both see the
same machine, and the smallest processor time of each counts (elapsed with ``--elapsed``, for a quiet machine).
``--malloc default`` leaves the C library as it is, to see what ``harden.training.allocation`` saves.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch

from harden import methods
from harden.graph.file import Model
from harden.methods._passes import count_passes
from harden.methods.base import Batch
from harden.noise.profile import Profile
from harden.noise.sampler import NoiseSampler
from harden.registry import METHODS
from harden.streams import generator
from harden.tasks import Examples
from harden.tasks.classification import Task
from harden.training.allocation import pages_kept

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("HARDEN_SHARED_DATA", ROOT.parent / "shared" / "data"))


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    net, batch = network(options.model, options.batch)
    clock = time.perf_counter if options.elapsed else time.process_time
    print(f"{options.model.name}, batch {options.batch}, {options.threads} threads, load {os.getloadavg()[0]:.1f}\n")
    print(
        "| method | passes | step, ms | step / clean step | passes / clean step | overhead |\n|---|---|---|---|---|---|"
    )
    names = [name for name in options.methods or METHODS.names() if METHODS.module(name).Method.kind == "objective"]
    with pages_kept() if options.malloc == "kept" else nullcontext():
        for name in names:
            one = Priced(name, net, batch)
            step, clean, passes = one.measure(clock, options.runs)
            print(
                f"| {name} | {one.objective.cost} | {1e3 * step:.0f} | {step / clean:.2f} | {passes / clean:.2f} | "
                f"{step / passes - 1:+.0%} |",
                flush=True,
            )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*")
    parser.add_argument("--model", type=Path, default=SHARED / "models" / "resnet20_jpeg_bn.onnx")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--malloc", choices=("kept", "default"), default="kept")
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
    return net, Batch((x,), torch.arange(size) % classes, Task(model, Examples(0, None, str(path), classes)))


class Priced:
    """A step of a method, and all that its passes are made of.

    Args:
        name: The method.
        net: The network, in training.
        batch: What a step sees.
    """

    def __init__(self, name: str, net: Any, batch: Batch) -> None:
        self.objective = methods.load(methods.resolve(name))
        self.objective.prepare(net, batch)
        self._net, self._batch = net, batch
        self._frozen = copy.deepcopy(net).eval().requires_grad_(False)
        profile = Profile.parse("gaussian:sigma=0.1")
        weights = lambda: {**net.analog_weights(), **self.objective.analog_weights()}  # noqa: E731
        self._sampler = NoiseSampler(profile, weights, seed=0, path=("bench",))
        self._heads = self._detached_heads() if hasattr(self.objective, "feedback") else None

    def measure(self, clock: Callable[[], float], runs: int) -> tuple[float, float, float]:
        """Seconds of a step, of a clean step, and of the step's passes alone."""
        passes = count_passes(type(self._net), self._step)
        declared = self.objective.passes_a_step()
        if (passes.forward.total(), passes.backward) != declared:
            raise SystemExit(f"the step declares {declared} passes and makes {passes}")
        prices: dict[Any, Callable[[], Any]] = {
            kind: lambda kind=kind: self._forward(clock, *kind) for kind in passes.forward if kind != (True, True)
        }
        prices |= {"step": lambda: _timed(clock, self._step), "clean": lambda: self._clean(clock)}
        if self._heads is not None:
            prices["heads"] = partial(_timed, clock, self._heads)
        found: dict[Any, list[Any]] = {key: [] for key in prices}
        for _ in range(runs):
            for key, measure in prices.items():
                found[key].append(measure())
        forward, backward = (min(part) for part in zip(*found.pop("clean"), strict=True))
        least = {key: min(values) for key, values in found.items()} | {(True, True): forward}
        cost = sum(count * least[kind] for kind, count in passes.forward.items()) + passes.backward * backward
        return least["step"], forward + backward, cost + least.get("heads", 0.0)

    def _step(self) -> None:
        result = self.objective.step(self._net, self._batch, self._sampler)
        if result.gradients is None:
            result.loss.backward()
        self._forget()

    def _clean(self, clock: Callable[[], float]) -> tuple[float, float]:
        """Seconds of a forward and of a backward pass of plain training."""
        start = clock()
        loss = self._batch.loss(self._net(*self._batch.inputs, update_statistics=True))
        middle = clock()
        loss.backward()
        end = clock()
        self._forget()
        return middle - start, end - middle

    def _forward(self, clock: Callable[[], float], training: bool, graded: bool) -> float:
        """Seconds of a forward pass alone: without a gradient, or as a teacher has it."""
        net = self._net if training else self._frozen
        with torch.set_grad_enabled(graded):
            return _timed(clock, lambda: net(*self._batch.inputs))

    def _detached_heads(self) -> Callable[[], None]:
        """Forward and backward through the heads alone, on features of the clean network."""
        with torch.no_grad():
            _, features = self._net(*self._batch.inputs, taps=self.objective.taps)
        features = {tap: value.requires_grad_() for tap, value in features.items()}

        def run() -> None:
            outputs = self.objective.feedback(features, self.objective.analog_weights())
            torch.stack([out.sum() for out in outputs]).sum().backward()
            self._forget()
            for value in features.values():
                value.grad = None

        return run

    def _forget(self) -> None:
        for parameter in (*self._net.parameters(), *self.objective.parameters().values()):
            parameter.grad = None


def _timed(clock: Callable[[], float], action: Callable[[], None]) -> float:
    start = clock()
    action()
    return clock() - start


if __name__ == "__main__":
    main()
