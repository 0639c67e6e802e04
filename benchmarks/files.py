"""Files from anywhere: which of a folder's ONNX files open, can be trained, agree, and let one chip reach the output.

Takes ONNX files, and wheels and source archives with ONNX files in them, at any depth. Each file has a process of its
own, so that one that crashes or hangs costs its own row only.

    python benchmarks/files.py FOLDER [--page docs/files.md] [--largest MIB] [--seconds S] [--out FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import multiprocessing
import re
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from harden.errors import HardenError
from harden.evaluation.plan import Condition
from harden.evaluation.trials import draw_chip
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.pipeline.inspect import inspect
from harden.runtime.copy import RuntimeCopy
from harden.runtime.examples import find_inputs
from harden.runtime.sessions import plain_session
from harden.store import append_line, read_lines

ARCHIVES = (".whl", ".zip", ".tar.gz")
MIB = 2**20
NOISE = "gaussian:sigma=0.1"
HARDENED = "can be hardened"


@dataclass(frozen=True)
class Row:
    """What became of one file.

    Attributes:
        file: Its name, within its package.
        package: The archive it is from, name and version; empty for a file that lay in the folder.
        size: In bytes.
        producer: What wrote it, by its own word.
        opset: Version of ONNX's operators; None where it cannot be read.
        opens: Whether ONNX Runtime takes it.
        trainable: Whether it runs in torch.
        parity: How far torch and ONNX Runtime are apart, of the largest output; None where they were not compared.
        analog: Weights on crossbars.
        reaches: How far a chip with noise of a tenth moves the outputs, of the largest; None without a chip.
        verdict: What ``harden inspect`` says of it, or how the process ended.
    """

    file: str
    package: str = ""
    size: int = 0
    producer: str = ""
    opset: int | None = None
    opens: bool = False
    trainable: bool = False
    parity: float | None = None
    analog: int = 0
    reaches: float | None = None
    verdict: str = ""


def look(path: Path) -> Row:
    """Everything about one file, as ``harden inspect`` and one chip of ``harden eval`` see it."""
    row = Row(path.name, size=path.stat().st_size)
    try:
        model = Model.load(path)
        row = replace(row, producer=model.producer, opset=model.opset or None)
        plain_session(model)
        row = replace(row, opens=True)
        found = inspect(str(path))
    except HardenError as error:
        return replace(row, verdict=str(error).replace(f"{path}: ", "").splitlines()[0])
    row = replace(
        row,
        trainable=found.parity is not None,
        parity=found.parity.max_rel_error if found.parity else None,
        analog=sum(weight["analog"] for weight in found.weights),
        verdict="; ".join(text.replace(f"{path}: ", "") for text in found.obstacles) or HARDENED,
    )
    return row if found.obstacles else replace(row, reaches=_reach(model))


def _reach(model: Model) -> float:
    """How far one chip moves the outputs in ONNX Runtime, of the largest of each; on random inputs."""
    inputs = find_inputs(model)
    with tempfile.TemporaryDirectory() as folder:
        copy = RuntimeCopy.build(model, folder)
        chip = draw_chip(Condition(Profile.parse(NOISE)), copy.uses, seed=0, index=0)
        pairs = list(zip(copy.clean_session().run(*inputs), copy.session(chip).run(*inputs), strict=True))
    moved = 0.0
    for clean, noisy in pairs:
        if clean.shape != noisy.shape:
            return float("inf")  # a detector that sees another number of things
        if clean.size and clean.dtype.kind in "fiu":
            a, b = clean.astype(np.float64), noisy.astype(np.float64)
            moved = max(moved, float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30)))
    return moved


def files(folder: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    """The ONNX files of a folder and of the archives in it, each with its package's name and version."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".onnx" and path.is_file():
            yield "", path
        elif path.name.endswith(ARCHIVES):
            yield from ((_package(path.name), inner) for inner in _unpacked(path, scratch / path.name))


def _package(name: str) -> str:
    stem = re.sub(r"(\.whl|\.zip|\.tar\.gz)$", "", name)
    return " ".join(stem.split("-")[:2] if name.endswith(".whl") else stem.rsplit("-", 1))


def _unpacked(path: Path, folder: Path) -> list[Path]:
    """The ONNX files of an archive, and what may lie beside them with their tensors, in a folder of their own."""
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            names = [item.name for item in archive.getmembers() if item.isfile()]
            chosen = _with_neighbours(names)
            archive.extractall(folder, [archive.getmember(name) for name in chosen], filter="data")
    else:
        with zipfile.ZipFile(path) as archive:
            chosen = _with_neighbours(archive.namelist())
            archive.extractall(folder, chosen)
    return [folder / name for name in sorted(chosen) if name.endswith(".onnx")]


def _with_neighbours(names: list[str]) -> list[str]:
    kinds = (".onnx", ".onnx_data", ".onnx.data", ".weights")
    return [name for name in names if name.endswith(kinds) and not name.startswith(("/", ".."))]


def _distinct(found: Iterator[tuple[str, Path]], largest: int) -> Iterator[tuple[str, Path]]:
    """Every file once, and none that is larger."""
    seen: set[bytes] = set()
    for package, path in found:
        digest = hashlib.sha256(path.read_bytes()).digest()
        if digest not in seen and path.stat().st_size <= largest:
            seen.add(digest)
            yield package, path


def run(path: Path, seconds: int) -> Row:
    """The row of one file, from a process of its own."""
    row = Row(path.name, size=path.stat().st_size)
    with tempfile.NamedTemporaryFile() as answer:
        child = multiprocessing.get_context("fork").Process(target=_answer, args=(path, Path(answer.name)))
        child.start()
        child.join(seconds)
        if child.is_alive():
            child.kill()
            child.join()
            return replace(row, verdict=f"took more than {seconds} s")
        text = Path(answer.name).read_text()
    ended = child.exitcode or 0
    if ended == 0:
        return Row(**json.loads(text))
    how = f"signal {-ended}" if ended < 0 else text
    return replace(row, verdict=f"crashed: {how}")


def _answer(path: Path, answer: Path) -> None:
    """In the child: write the row, or what was raised."""
    try:
        answer.write_text(json.dumps(asdict(look(path))))
    except Exception as error:
        answer.write_text(f"{type(error).__name__}: {error}")
        sys.exit(1)


def table(rows: list[Row]) -> list[str]:
    """A line for each file."""
    lines = [
        "| file | package | producer | opens | trainable | parity | analog weights | one chip | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: (row.verdict != HARDENED, row.package, row.file)):
        cells = [row.file, row.package, row.producer or "not said", "yes" if row.opens else "no"]
        cells += ["yes" if row.trainable else "no", "-" if row.parity is None else f"{row.parity:.0e}", str(row.analog)]
        cells += ["-" if row.reaches is None else f"{row.reaches:.1%}", _plain(row.verdict)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text).replace("|", "\\|").replace("\n", " ")[:280]


def page(rows: list[Row], largest: int) -> str:
    """The outcome as a page of the documentation."""
    passed = sum(row.verdict == HARDENED for row in rows)
    producers = {row.producer.split()[0] for row in rows if row.producer}
    versions = (
        f"torch {torch.__version__.split('+')[0]}, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}"
    )
    intro = (
        f"{len(rows)} ONNX files of {len({row.package for row in rows if row.package})} packages, by {len(producers)} "
        f"producers: **{passed} can be hardened**, and of each other one the reason is told. `make bench-files "
        f"FOLDER=...` on a folder of wheels, {time.strftime('%Y-%m-%d')}, {versions}, one thread of an x86 processor. "
        f"Files above {largest} MiB are left out; equal files of several packages count once."
    )
    chip = (
        f"- **one chip**: how far the noise of one chip (`{NOISE}`) moves an output in ONNX Runtime, of the largest; "
        "`inf` where it changes how many things a detector sees;"
    )
    lines = [
        "# Files from elsewhere",
        "",
        intro,
        "",
        "- **opens**: ONNX Runtime takes the file;",
        "- **trainable**: it runs in torch, its weights as parameters;",
        "- **parity**: the largest difference between torch and ONNX Runtime on random inputs, of the largest output;",
        chip,
        "- **verdict**: what `harden inspect` says, which asks what `harden eval` and `harden fit` ask.",
        "",
        *table(rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("files.jsonl"), help="rows; a run goes on where one stopped")
    parser.add_argument("--page", type=Path, help="write the outcome as a page of the documentation")
    parser.add_argument("--largest", type=int, default=64, metavar="MIB", help="leave larger files out")
    parser.add_argument("--seconds", type=int, default=240, help="for one file")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rows = [Row(**row) for row in read_lines(arguments.out)] if arguments.out.exists() else []
    done = {(row.package, row.file, row.size) for row in rows}
    with tempfile.TemporaryDirectory() as scratch:
        chosen = _distinct(files(arguments.folder, Path(scratch)), arguments.largest * MIB)
        for package, path in sorted(chosen, key=lambda item: item[1].stat().st_size):
            if (package, path.name, path.stat().st_size) in done:
                continue
            row = replace(run(path, arguments.seconds), package=package)
            rows.append(row)
            append_line(arguments.out, asdict(row))
            print(f"{row.package:34.34} {row.file:40.40} {row.producer:20.20} {row.analog:5} {_plain(row.verdict)}")
            sys.stdout.flush()
    counts = Counter(row.verdict == HARDENED for row in rows)
    print(f"{len(rows)} files: {counts[True]} can be hardened")
    if arguments.page:
        arguments.page.write_text(page(rows, arguments.largest), encoding="utf-8")


if __name__ == "__main__":
    main()
