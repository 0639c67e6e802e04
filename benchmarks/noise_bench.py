"""How long a chip of timm resnet18 (11.7 million weights) takes to draw, against bare ``normal_``.

``python benchmarks/noise_bench.py [PROFILE ...]`` prints nanoseconds per weight: the best of several runs, in elapsed
time and in processor time (on a busy machine only the latter means something). The limits are 10 ns for gaussian and
60 ns for pcm.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch

from harden.noise.profile import Profile
from harden.streams import generator

STAGES = [(64, 64, 2), (128, 64, 2), (256, 128, 2), (512, 256, 2)]
LIMITS = {"gaussian": 10.0, "pcm": 60.0}


def resnet18() -> dict[str, torch.Tensor]:
    """Weights of resnet18's shapes, normally distributed."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)}
    for stage, (outputs, inputs, blocks) in enumerate(STAGES, start=1):
        for block in range(blocks):
            shapes[f"layer{stage}.{block}.conv1.weight"] = (outputs, outputs if block else inputs, 3, 3)
            shapes[f"layer{stage}.{block}.conv2.weight"] = (outputs, outputs, 3, 3)
        if outputs != inputs:
            shapes[f"layer{stage}.0.downsample.0.weight"] = (outputs, inputs, 1, 1)
    shapes["fc.weight"] = (1000, 512)
    return {name: torch.empty(shape).normal_(generator=generator(0, name)) for name, shape in shapes.items()}


def best(action: Callable[[int], object], runs: int = 7) -> tuple[float, float]:
    """The smallest elapsed and processor seconds of several runs."""
    elapsed, processor = [], []
    for run in range(runs):
        start, used = time.perf_counter(), time.process_time()
        action(run)
        elapsed.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return min(elapsed), min(processor)


def main() -> None:
    torch.set_num_threads(1)
    weights = resnet18()
    count = sum(tensor.numel() for tensor in weights.values())
    numbers = [torch.empty_like(tensor) for tensor in weights.values()]
    stream = generator(0, "bare")
    bare, bare_used = best(lambda _: [tensor.normal_(generator=stream) for tensor in numbers])
    scale = 1e9 / count
    print(f"{count / 1e6:.1f} million weights, one thread; nanoseconds per weight")
    print(f"{'':24}{'elapsed':>9}{'processor':>11}{'normal_ =':>11}{'limit':>7}")
    print(f"{'normal_':24}{bare * scale:9.1f}{bare_used * scale:11.1f}{1:11.1f}")
    for text in sys.argv[1:] or ["gaussian", "rram1", "fefet6", "pcm", "pcm:compensation=none", "rram_wan", "bitflip"]:
        profile = Profile.parse(text)
        took, used = best(lambda index, profile=profile: profile.chip(weights, seed=0, index=index))
        limit = f"{LIMITS[text]:7.0f}" if text in LIMITS else ""
        print(f"{text:24}{took * scale:9.1f}{used * scale:11.1f}{used / bare_used:11.1f}{limit}")


if __name__ == "__main__":
    main()
