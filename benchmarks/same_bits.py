"""Two checkouts side by side: do the same commands still give the same bits?

    python benchmarks/same_bits.py ../before .
    python benchmarks/same_bits.py ../before . --only eval

Runs fits of several methods, evaluations of several profiles with the analyses, and a comparison with each checkout's
own code on the digits that it ships, one thread each, and compares the hardened files and the logs of chips byte for
byte, and the documents value by value. Left out: seconds and rates, versions, paths, and a document's schema. RENAMED
are keys that mean the same. For a refactoring; where results are meant to change, it says where they do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RENAMED = {"profiles": "conditions"}
PASSING = {"seconds", "runtime", "schema", "environment", "command", "check_command", "settings", "sha256_of_report"}
DATA = ["--threads", "1", "--data", "train.npz", "--test", "test.npz", "--profile", "gaussian:sigma=0.2"]
SHORT = ["--epochs", "2", "--chips", "6"]
EVAL = ["--threads", "1", "--data", "test.npz", "--chips", "12"]
COMMANDS: dict[str, list[str]] = {
    "fit-distill": ["fit", "digits_cnn.onnx", *DATA, *SHORT, "--controls", "--ablation", "--out", "fit-distill"],
    "fit-noise": [
        *["fit", "digits_cnn.onnx", *DATA, *SHORT, "--method", "noise", "--column-scaling", "on"],
        *["--rescale-first", "on", "--kurtosis-penalty", "0.001", "--label-smoothing", "0.1", "--noise-ramp", "0.3"],
        *["--clip-anneal", "0.2", "--clamp-activations", "99.9%", "--allow-new-nodes", "--out", "fit-noise"],
    ],
    "fit-nft": [
        "fit",
        "digits_cnn.onnx",
        *DATA,
        *SHORT,
        "--method",
        "nft",
        "--protect",
        "auto:10%",
        "--out",
        "fit-nft",
    ],
    "fit-auto": ["fit", "digits_cnn.onnx", *DATA, *SHORT, "--method", "auto", "--out", "fit-auto"],
    "fit-scales": [
        *["fit", "digits_cnn.onnx", *DATA, *SHORT, "--train-sigma-scale", "1,1.5", "--objective", "match"],
        *["--teacher", "clean", "--out", "fit-scales"],
    ],
    "fit-rescale": ["fit", "digits_cnn.onnx", *DATA, "--chips", "6", "--method", "rescale", "--out", "fit-rescale"],
    "eval-gaussian": [
        *["eval", "fit-noise/model.onnx", *EVAL, "--profile", "gaussian:sigma=0.2", "--column-baseline"],
        *["--also", "per_chip", "--also", "worst_case", "--also", "landscape", "--also", "sensitivity"],
        *["--threshold", "0.8", "--require", "p05_accuracy>=0.1", "--keep-worst", "1", "--out", "eval-gaussian"],
    ],
    "eval-pcm": ["eval", "fit-noise/model.onnx", *EVAL, "--profile", "pcm", "--at", "1h,30d", "--out", "eval-pcm"],
    "eval-rram": ["eval", "fit-noise/model.onnx", *EVAL, "--profile", "rram1:sigma_d=0.1", "--out", "eval-rram"],
    "eval-match": [
        *["eval", "fit-noise/model.onnx", *EVAL, "--profile", "gaussian:sigma=0.1", "--objective", "match"],
        *["--out", "eval-match"],
    ],
    "compare": [
        *["compare", "digits_cnn.onnx", "fit-distill/model.onnx", "fit-noise/model.onnx", *EVAL],
        *["--profile", "gaussian:sigma=0.2", "--out", "compare"],
    ],
}


def run(checkout: Path, folder: Path, only: str) -> None:
    """All commands with one checkout's code; what is there already is not run again."""
    embedded = checkout / "harden" / "data" / "embedded"
    for name in ("digits_cnn.onnx", "train.npz", "test.npz"):
        (folder / name).write_bytes((embedded / name).read_bytes())
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
    for name, command in COMMANDS.items():
        if only not in name and not (only == "eval" and name == "fit-noise"):
            continue
        done = subprocess.run(
            [sys.executable, "-m", "harden", *command], cwd=folder, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            print(f"{checkout}: {name} ended with {done.returncode}\n{done.stderr[-2000:]}")


def values(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a document by its path, without what passes."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key not in PASSING:
                yield from values(value, f"{path}.{RENAMED.get(key, key)}")
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from values(value, f"{path}[{index}]")
    else:
        yield path, document


def differences(old: Path, new: Path) -> Iterator[str]:
    """What differs between the folders of two checkouts, a line each."""
    files = sorted(path.relative_to(old) for path in old.rglob("*") if path.is_file())
    for name in files:
        other = new / name
        if not other.exists():
            yield f"{name}: is missing"
        elif name.suffix in (".onnx", ".jsonl", ".npz") or name.name == "model.safetensors":
            if (old / name).read_bytes() != other.read_bytes():
                yield f"{name}: other bytes"
        elif name.suffix == ".json":
            before, after = (dict(values(json.loads((side / name).read_text()))) for side in (old, new))
            for path in before.keys() | after.keys():
                if before.get(path) != after.get(path):
                    yield f"{name}: {path}: {before.get(path, 'absent')!r} -> {after.get(path, 'absent')!r}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--only", default="", help="commands whose names contain this")
    parser.add_argument(
        "--keep", type=Path, help="a folder for the runs; what an earlier call left there is used again"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        kept = options.keep or Path(scratch)
        folders = []
        for side in ("old", "new"):
            folder = kept / side
            folder.mkdir(parents=True, exist_ok=True)
            run(getattr(options, side), folder, options.only)
            folders.append(folder)
        lines = list(differences(*folders))
    print("\n".join(lines) or "the same bits")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
