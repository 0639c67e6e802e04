"""Does label smoothing, or a teacher's temperature, undo clipping? The digits network, with and without the clip.

``python benchmarks/smoothing_bench.py [--sigma 0.2] [--steps 120] [--chips 20] [--seeds 2]``

Every row is trained without noise or under it, with the clip at 2 standard deviations and without, and judged on the
test digits: clean accuracy, and the mean over chips. All rows see the same batches and chips.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import harden
from harden.data.embedded import content
from harden.noise.profile import Profile

ROWS: dict[str, dict[str, Any]] = {
    "labels": {},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "label smoothing 0.2": {"label_smoothing": 0.2},
    "teacher, temperature 1": {"teacher": "clean", "temperature": 1.0},
    "teacher, temperature 2": {"teacher": "clean", "temperature": 2.0},
    "teacher, temperature 4": {"teacher": "clean", "temperature": 4.0},
}
METHODS = ("none", "noise")
CLIPS = (None, 2.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sigma", type=float, default=0.2)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--chips", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    profile = Profile.load("gaussian", sigma=options.sigma)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("digits_cnn.onnx", "train.npz", "test.npz"):
            Path(folder, name).write_bytes(content(name))
        model = harden.load(Path(folder, "digits_cnn.onnx"))
        train, test = (harden.Dataset.open(Path(folder, f"{part}.npz"), model.preprocess) for part in ("train", "test"))
    columns = [f"{method}, {'clip 2' if clip else 'no clip'}" for method in METHODS for clip in CLIPS]
    print(f"gaussian:sigma={options.sigma}, {options.steps} steps, {options.chips} chips, {options.seeds} seeds: ")
    print("mean accuracy over chips (clean)\n")
    print(f"| learns from | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for row, levers in ROWS.items():
        cells = []
        for method in METHODS:
            for clip in CLIPS:
                found = [
                    judged(model, profile, train, test, options, method, {**levers, "clip": clip}, seed)
                    for seed in range(options.seeds)
                ]
                noisy, clean = np.mean(found, axis=0)
                cells.append(f"{noisy:.3f} ({clean:.3f})")
        print(f"| {row} | {' | '.join(cells)} |", flush=True)


def judged(
    model: Any, profile: Profile, train: Any, test: Any, options: Any, method: str, levers: dict[str, Any], seed: int
) -> tuple[float, float]:
    fitted = harden.fit(
        model, train, profile=profile, method=method, seed=seed, steps=options.steps, batch_size=64, lr=0.05,
        selections=1, selection_chips=2, selection_examples=100, **levers,
    )  # fmt: skip
    document = harden.evaluate(fitted.model, profile, test, chips=options.chips, seed=0).document
    return document["conditions"][0]["accuracy"]["mean"], document["clean"]["accuracy"]


if __name__ == "__main__":
    main()
