"""Two processes with half a batch each do what one process does with the whole."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("two_processes.py")
spec = importlib.util.spec_from_file_location("two_processes", SCRIPT)
assert spec is not None
assert spec.loader is not None
two_processes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(two_processes)

# Sums over a batch are taken in another order; a few steps let that grow to some last digits of single precision.
CLOSE = {"rtol": 2e-4, "atol": 2e-5}

Outcome = tuple[dict[str, torch.Tensor], dict[str, Any]]


def outcome(folder: Path, rank: int = 0) -> Outcome:
    return load_file(folder / f"rank-{rank}.safetensors"), json.loads((folder / f"rank-{rank}.json").read_text())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Outcome]:
    """What each of two processes ended with."""
    folder = tmp_path_factory.mktemp("pair")
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    several = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder)],
            env={**os.environ, **meet, "RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    told = [one.communicate(timeout=500)[1] for one in several]
    assert [one.returncode for one in several] == [0, 0], told
    return outcome(folder, 0), outcome(folder, 1)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("single")
    threads = torch.get_num_threads()
    two_processes.run(folder)
    torch.set_num_threads(threads)
    return outcome(folder)


@pytest.mark.parametrize("name", two_processes.runs())
def test_the_weights_and_losses_are_those_of_one_process(name: str, pair, single) -> None:
    (tensors, records), (expected, known) = pair[0], single
    for key, value in expected.items():
        if key.startswith(f"{name}/"):
            torch.testing.assert_close(tensors[key], value, **CLOSE, msg=lambda text, key=key: f"{key}: {text}")
    for step, wanted in zip(records[name]["history"], known[name]["history"], strict=True):
        assert step == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    for judged, wanted in zip(records[name]["validation"], known[name]["validation"], strict=True):
        assert judged == pytest.approx(wanted, abs=1e-5)


def test_all_processes_end_with_the_same_bits(pair) -> None:
    (tensors, records), (others, told) = pair
    assert all(torch.equal(value, others[key]) for key, value in tensors.items())
    assert records == told
