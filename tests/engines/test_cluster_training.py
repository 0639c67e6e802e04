"""Training on a Ray cluster: what one process computes, whatever happens to the workers."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harden.data.embedded import FILES, content
from harden.errors import DivergedError, SettingsError
from harden.pipeline.fit import fit
from harden.pipeline.placement import shares
from harden.settings import FitSettings
from harden.training.listener import Listener
from harden.training.loop import train
from harden.training.problem import Problem

pytestmark = [
    pytest.mark.slow,
    # Ray's own, of itself; by place, because it names modules of its own in them.
    pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning:ray"),
]

SCRIPT = Path(__file__).parent.parent / "training" / "two_processes.py"
CLOSE = {"rtol": 2e-4, "atol": 2e-5}  # as for the processes of torchrun


def loaded(script):
    spec = importlib.util.spec_from_file_location("two_processes", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


two = loaded(str(SCRIPT))


@pytest.fixture
def trainer(cluster):
    ray = pytest.importorskip("ray")
    from harden.training.ray_trainer import ClusterTrainer

    return ClusterTrainer(ray, 2)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def data():
    return two.model(), two.images(60), two.images(30)


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, **CLOSE, msg=lambda text, name=name: f"{name}: {text}")


def test_every_method_is_that_of_one_process(cluster, tmp_path):
    pytest.importorskip("ray")
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    def work(config):
        import importlib.util
        from pathlib import Path

        spec = importlib.util.spec_from_file_location("two_processes", config["script"])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.run(Path(config["folder"]))

    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    config = {"script": str(SCRIPT), "folder": str(tmp_path / "there")}
    storage = RunConfig(name="test", storage_path=str(tmp_path / "storage"))
    TorchTrainer(work, train_loop_config=config, scaling_config=ScalingConfig(num_workers=2), run_config=storage).fit()
    two.run(tmp_path / "here")
    found, expected = (load_file(tmp_path / place / "rank-0.safetensors") for place in ("there", "here"))
    parted = [name for name in expected if name.startswith("short, between batch norms")]
    assert_close(*({k: v for k, v in one.items() if k not in parted} for one in (found, expected)))
    assert len(json.loads((tmp_path / "there" / "rank-1.json").read_text())) == len(two.runs())


def test_a_killed_worker_costs_no_more_than_the_steps_since_the_last_checkpoint(trainer):
    plan, steps = two.plan(steps=300), []

    def kill(record):
        steps.append(record["step"])
        if len(steps) == 100:
            os.kill(a_trainer(), signal.SIGKILL)

    found = trainer(Problem(*data()), plan, Listener(on_step=kill))
    expected = train(Problem(*data()), plan)
    assert sorted(set(steps)) == list(range(1, 301))
    assert [record["step"] for record in found.history] == list(range(1, 301))
    losses = [[record["loss"] for record in one.history] for one in (found, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05, abs=0.02)  # roundings grow over so many steps


def a_trainer():
    """A worker's process; it shows what it runs in its title."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::") and b"Train" in title and b"Controller" not in title:
            return int(path.parent.name)
    raise AssertionError("no worker trains")


def test_an_interrupted_run_goes_on_elsewhere(trainer, tmp_path):
    plan, file = two.plan(steps=6), tmp_path / "checkpoint.safetensors"

    def interrupt(record):
        if record["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(Problem(*data()), plan, Listener(on_step=interrupt), checkpoint=file)
    steps = []
    listener = Listener(on_step=lambda record: steps.append(record["step"]))
    found = train(Problem(*data()), plan, listener, file)
    assert steps[0] >= 3
    assert steps[-1] == 6
    assert_close(found.weights, train(Problem(*data()), plan).weights)


def test_a_training_that_diverges_is_told_as_it_would_be_here(trainer):
    with pytest.raises(DivergedError, match="diverged twice"):
        trainer(Problem(*data()), two.plan(steps=20, lr=1e9, clip=None, warmup=0.0))


def test_fit_trains_on_the_cluster_with_the_same_result(cluster, tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes(content(name))
    common = {"model": str(tmp_path / "digits_cnn.onnx"), "data": str(tmp_path / "train.npz"), "method": "sam"}
    common |= {"test": str(tmp_path / "test.npz"), "limit": 600, "batch_size": 60, "chips": 2, "threads": 1}
    common |= {"profile": ("gaussian:sigma=0.2",), "epochs": 1.0}
    places = {"here": {}, "there": {"engine": "ray", "workers": 2}}
    told = {out: fit(FitSettings(**common, out=str(tmp_path / out), **more)).document for out, more in places.items()}
    for one, other in zip(*(told[out]["training"]["history"] for out in places), strict=True):
        assert other == pytest.approx(one, rel=1e-3, abs=1e-4)
    assert_close(*(load_file(tmp_path / out / "model.safetensors") for out in ("there", "here")))
    assert (tmp_path / "there" / "checkpoint.safetensors").exists()
    assert "processes = 2" in (tmp_path / "there" / "settings.toml").read_text()


def test_a_client_elsewhere_trains_there(cluster, tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes(content(name))
    told = {}
    for out, more in {"here": [], "there": ["--engine", cluster.client, "--workers", "2"]}.items():
        command = [sys.executable, "-m", "harden", "fit", "digits_cnn.onnx", "--profile", "gaussian", "--limit", "400"]
        command += ["--data", "train.npz", "--method", "noise", "--chips", "2", "--batch-size", "60", "--threads", "1"]
        command += ["--epochs", "1", "--out", out, *more, "--json", "--quiet"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900)
        assert done.returncode == 0, done.stderr
        told[out] = json.loads(done.stdout)["training"]["history"]
    for one, other in zip(*told.values(), strict=True):
        assert other == pytest.approx(one, rel=1e-3, abs=1e-4)


def test_more_workers_than_there_are_processors_are_refused(cluster, tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes(content(name))
    named = {"model": str(tmp_path / "digits_cnn.onnx"), "data": str(tmp_path / "train.npz")}
    settings = FitSettings(**named, profile=("gaussian",), engine="ray", workers=64, out=str(tmp_path / "out"))
    with pytest.raises(SettingsError, match=r"the cluster has 2 processors, too few for 64 workers"):
        fit(settings)


def test_workers_are_as_many_as_divide_a_batch():
    assert [shares(128, most) for most in (1, 2, 3, 8, 100)] == [1, 2, 2, 8, 64]
