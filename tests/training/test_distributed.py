"""Two processes with half a batch each do what one process does with the whole."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harden import distributed
from harden.data.embedded import FILES, content
from harden.errors import SettingsError
from harden.training.batches import Batches

SCRIPT = Path(__file__).with_name("two_processes.py")
spec = importlib.util.spec_from_file_location("two_processes", SCRIPT)
assert spec is not None
assert spec.loader is not None
two_processes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(two_processes)

# Sums over a batch are taken in another order; a few steps let that grow to some last digits of single precision.
CLOSE = {"rtol": 2e-4, "atol": 2e-5}

Outcome = tuple[dict[str, torch.Tensor], dict[str, Any]]


def outcome(folder, rank=0):
    return load_file(folder / f"rank-{rank}.safetensors"), json.loads((folder / f"rank-{rank}.json").read_text())


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def pair(tmp_path_factory, processes):
    """What each of two processes ended with."""
    folder = tmp_path_factory.mktemp("pair")
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes.side_by_side(folder, SCRIPT, str(folder), environments=[{**meet, "RANK": str(rank)} for rank in range(2)])
    return outcome(folder, 0), outcome(folder, 1)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    threads = torch.get_num_threads()
    two_processes.run(folder)
    torch.set_num_threads(threads)
    return outcome(folder)


# Parts of a batch have batch statistics of their own, which one process does not have.
PARTED = "short, between batch norms"


@pytest.mark.parametrize("name", [name for name in two_processes.runs() if name != PARTED])
def test_the_weights_and_losses_are_those_of_one_process(name, pair, single):
    (tensors, records), (expected, known) = pair[0], single
    for key, value in expected.items():
        if key.startswith(f"{name}/"):
            torch.testing.assert_close(tensors[key], value, **CLOSE, msg=lambda text, key=key: f"{key}: {text}")
    for step, wanted in zip(records[name]["history"], known[name]["history"], strict=True):
        assert step == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    for judged, wanted in zip(records[name]["validation"], known[name]["validation"], strict=True):
        assert judged == pytest.approx(wanted, abs=1e-5)


def test_all_processes_end_with_the_same_bits(pair):
    (tensors, records), (others, told) = pair
    assert all(torch.equal(value, others[key]) for key, value in tensors.items())
    assert records == told


@pytest.mark.parametrize(("name", "step"), [("step", 2), ("optimizer", 2), ("between batch norms", 1)])
def test_where_one_process_is_short_of_memory_all_divide_their_batch(name, step, pair):
    for _, records in pair:
        assert records[f"short, {name}"]["memory"] == [{"step": step, "parts": 2, "batch_size": 24}]


@pytest.mark.slow
def test_torchrun_fits_as_one_process_does_and_tells_it_once(tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes(content(name))
    arguments = ["fit", "digits_cnn.onnx", "--profile", "gaussian:sigma=0.2", "--method", "sam", "--limit", "600"]
    arguments += ["--data", "train.npz", "--test", "test.npz", "--batch-size", "60", "--chips", "2", "--threads", "1"]
    arguments += ["--epochs", "1"]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    told = {}
    for out, before in (("one", []), ("two", launch)):
        command = [sys.executable, *before, "-m", "harden", *arguments, "--out", out, "--json", "--quiet"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500)
        assert done.returncode == 0, done.stderr
        told[out] = json.loads(done.stdout)
    for one, two in zip(told["one"]["training"]["history"], told["two"]["training"]["history"], strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-4)
    expected = load_file(tmp_path / "one" / "model.safetensors")
    for key, value in load_file(tmp_path / "two" / "model.safetensors").items():
        torch.testing.assert_close(value, expected[key], **CLOSE)


def test_a_batch_that_cannot_be_shared_equally_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "size", lambda: 5)
    with pytest.raises(SettingsError, match=r"a batch of 24 examples cannot be divided equally among 5 processes"):
        Batches(two_processes.images(60), two_processes.plan(), None)
