"""The same results as anywhere, whatever happens to the workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import harden
from harden.data.embedded import content
from harden.errors import DataError, SettingsError
from harden.pipeline.compare import compare
from harden.pipeline.evaluate import evaluate
from harden.pipeline.fit import fit
from harden.settings import CompareSettings, EvalSettings, FitSettings

# A cluster of several processes does not come up in Ray's own time limits where the machine is loaded.
pytestmark = pytest.mark.slow


def square(task):
    return task * task


def test_results_keep_the_order_of_the_tasks(engine):
    assert list(engine().run(square, range(50))) == [k * k for k in range(50)]


def test_work_is_done_by_other_processes_side_by_side(engine, tmp_path):
    def meet(_):
        (tmp_path / str(os.getpid())).touch()
        for _ in range(3000):
            if len(list(tmp_path.iterdir())) >= 2:
                break
            time.sleep(0.1)
        return os.getpid()

    pids = set(engine().run(meet, range(4)))
    assert os.getpid() not in pids
    assert len(pids) >= 2


def test_the_function_is_fetched_once_a_worker(engine, tmp_path):
    assert sorted(set(engine().run(Counted(tmp_path), range(40)))) == list(range(40))
    assert 1 <= len(list(tmp_path.iterdir())) <= 6


class Counted:
    """Leaves a file behind each time it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __setstate__(self, state):
        self.__dict__.update(state)
        (self.folder / f"{os.getpid()}-{time.time_ns()}").touch()

    def __call__(self, task):
        return task


def test_an_error_of_the_function_is_raised_as_it_was(engine):
    def work(task):
        if task == 3:
            raise DataError("three is no good", where="the task", fix="Take four")
        return task

    found = []
    with pytest.raises(DataError, match=r"the task: three is no good\. Take four"):
        found.extend(engine().run(work, range(1000)))
    assert found == [0, 1, 2]


def test_tasks_are_taken_only_a_little_ahead(engine):
    taken = []

    def tasks():
        for k in range(1000):
            taken.append(k)
            yield k

    results = engine(2).run(square, tasks())
    next(results)
    assert len(taken) <= 16
    results.close()


def test_those_under_way_are_told_when_a_run_ends_early(engine):
    told = []
    results = engine().run(square, range(100), lambda: told.append(True))
    next(results)
    results.close()
    assert told == [True]


def test_a_killed_worker_costs_a_second_try(engine, tmp_path):
    def work(task):
        mark = tmp_path / str(task)
        if task in (2, 5) and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    assert list(engine().run(work, range(12))) == list(range(12))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "5"]


def test_a_straggler_is_overtaken(engine, tmp_path):
    def work(task):
        mark = tmp_path / str(task)
        if task == 4 and not mark.exists():
            mark.touch()
            time.sleep(600)
        return task

    began = time.monotonic()
    assert list(engine(patience=3.0, least_s=1.0).run(work, range(12))) == list(range(12))
    assert time.monotonic() - began < 300


def test_a_node_that_leaves_takes_nothing_with_it(engine, cluster, tmp_path):
    ray = pytest.importorskip("ray")
    node = cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    cluster.wait_for_nodes()

    def work(task):
        time.sleep(0.3)
        return task, ray.get_runtime_context().get_node_id()

    found, left = [], False
    for one in engine().run(work, range(40)):
        found.append(one)
        if not left and len({place for _, place in found}) == 2:
            cluster.remove_node(node, allow_graceful=False)
            left = True
    assert left
    assert [task for task, _ in found] == list(range(40))


def test_other_versions_are_refused(engine, monkeypatch):
    from harden.engines import ray as module

    monkeypatch.setattr(module, "versions", lambda: {"harden": "0.0.1"})
    with pytest.raises(SettingsError, match=r"other versions.*not 0\.0\.1"):
        list(engine().run(square, range(2)))


def test_as_many_workers_as_asked_for(engine):
    assert engine(1).workers == 1
    assert engine(99).workers == engine().workers
    with pytest.raises(SettingsError, match="at least one"):
        engine(0)


@pytest.fixture
def folder(tmp_path):
    for name in ("digits_cnn.onnx", "test.npz"):
        (tmp_path / name).write_bytes(content(name))
    return tmp_path


NOISY = "gaussian:sigma=0.1,adc_bits=5,dac_bits=6,output_noise=0.02"


def settings(folder, kind=EvalSettings, **more):
    known = {"model": str(folder / "digits_cnn.onnx"), "data": str(folder / "test.npz"), "limit": 100, "threads": 2}
    return kind(**{**known, "profile": ("rram1", NOISY), "chips": 6, **more})


def numbers(record):
    document = record.document
    told = {key: value for key, value in document.items() if key not in ("runtime", "settings", "command")}
    return json.loads(json.dumps(told))


def trials(out):
    return sorted((out / "trials.jsonl").read_bytes().splitlines())


def test_an_evaluation_on_the_cluster_is_byte_for_byte_that_of_this_machine(folder, cluster):
    here = evaluate(settings(folder, out=str(folder / "here")))
    for workers in (1, None):
        out = folder / f"ray-{workers}"
        there = evaluate(settings(folder, out=str(out), engine="ray", workers=workers))
        assert trials(out) == trials(folder / "here")
        assert numbers(there) == numbers(here)
        assert there.runtime.engine == "ray"


def test_an_evaluation_begun_on_the_cluster_is_finished_here(folder, cluster):
    whole, out = settings(folder, out=str(folder / "whole")), str(folder / "out")
    evaluate(whole)

    def stop(stage, done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(settings(folder, out=out, engine="ray"), stop)
    assert len(trials(folder / "out")) == 4
    evaluate(settings(folder, out=out))
    assert (folder / "out" / "trials.jsonl").read_bytes() == (folder / "whole" / "trials.jsonl").read_bytes()


def test_killed_workers_leave_no_trial_out_and_none_twice(folder, cluster):
    here = evaluate(settings(folder, out=str(folder / "here"), chips=20))
    killed = []

    def kill(stage, done, total):
        if done in (4, 15) and len(killed) < 2:
            killed.append(a_worker())
            os.kill(killed[-1], signal.SIGKILL)

    there = evaluate(settings(folder, out=str(folder / "there"), chips=20, engine="ray"), kill)
    assert len(killed) == 2
    assert trials(folder / "there") == trials(folder / "here")
    assert numbers(there) == numbers(here)


def test_a_node_that_leaves_takes_no_trial_with_it_and_leaves_none_twice(folder, cluster):
    here = evaluate(settings(folder, out=str(folder / "here"), chips=20))
    node = cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    cluster.wait_for_nodes()
    left = []

    def leave(stage, done, total):
        if done >= 12 and not left:
            left.append(done)
            cluster.remove_node(node, allow_graceful=False)

    there = evaluate(settings(folder, out=str(folder / "there"), chips=20, engine="ray"), leave)
    assert left
    assert trials(folder / "there") == trials(folder / "here")
    assert numbers(there) == numbers(here)


def test_a_client_elsewhere_gets_the_same_bytes(folder, cluster):
    evaluate(settings(folder, out=str(folder / "here")))
    command = [sys.executable, "-m", "harden", "eval", "digits_cnn.onnx", "--data", "test.npz", "--limit", "100"]
    command += ["--profile", "rram1", "--profile", NOISY, "--chips", "6", "--threads", "2", "--out", "there"]
    command += ["--engine", cluster.client, "--json", "--quiet"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runtime"]["engine"] == "ray"
    assert trials(folder / "there") == trials(folder / "here")


def a_worker():
    """A worker's process; it shows what it runs in its title."""
    own = [path.parent for path in Path("/proc").glob("[0-9]*/cmdline") if readable(path).startswith(b"ray::")]
    return max(int(path.name) for path in own)


def readable(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_python_can_name_the_engine_too(folder, cluster):
    model = harden.load(folder / "digits_cnn.onnx")
    data = harden.Dataset.open(folder / "test.npz", model.preprocess, limit=50)
    profile = harden.Profile.load("gaussian")
    here, there = (harden.evaluate(model, profile, data, chips=4, engine=engine) for engine in (None, "ray"))
    assert there.accuracies().tolist() == here.accuracies().tolist()
    with pytest.raises(SettingsError, match="'rya' is not an engine"):
        harden.evaluate(model, profile, data, chips=4, engine="rya")


def test_the_early_stop_and_the_comparison_run_there_as_well(folder, cluster):
    until = {"until": "ci95(mean_accuracy)<0.05", "profile": ("rram1",), "chips": 100, "limit": None}
    here, there = (evaluate(settings(folder, engine=engine, **until)) for engine in ("local", "ray"))
    assert there.conditions == here.conditions
    (folder / "b.onnx").write_bytes(content("digits_cnn.onnx"))
    two = {"others": (str(folder / "b.onnx"),), "profile": ("rram1",)}
    here, there = (compare(settings(folder, CompareSettings, engine=engine, **two)) for engine in ("local", "ray"))
    assert there.differences == here.differences


def test_no_cluster_at_the_address_is_told(folder, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(**options):
        raise ConnectionError(f"nothing at {options['address']}")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(SettingsError, match=r"--engine ray://nowhere:1: no Ray cluster answers"):
        evaluate(settings(folder, engine="ray://nowhere:1"))


def test_ray_is_an_extra(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(harden.HardenError, match=r"pip install 'harden-onnx\[ray\]'"):
        evaluate(settings(folder, engine="ray"))


def fit_settings(folder, **more):
    (folder / "train.npz").write_bytes(content("train.npz"))
    known = {"model": str(folder / "digits_cnn.onnx"), "data": str(folder / "train.npz"), "limit": 400, "threads": 1}
    return FitSettings(**{**known, "profile": ("gaussian:sigma=0.2",), "chips": 2, "batch_size": 60, **more})


def test_the_candidates_of_the_recipe_run_side_by_side_with_the_same_result(folder, cluster):
    options = {"method": "auto", "epochs": 5.0, "options": {"candidates": "rdrop"}}
    here, there = (
        fit(fit_settings(folder, out=str(folder / engine), engine=engine, **options)) for engine in ("local", "ray")
    )
    assert there.levers["auto"] == here.levers["auto"]
    assert (folder / "ray" / "model.onnx").read_bytes() == (folder / "local" / "model.onnx").read_bytes()
    assert trials(folder / "ray") == trials(folder / "local")


def test_what_does_not_go_together_is_refused(folder):
    with pytest.raises(SettingsError, match=r"--workers is for --engine ray.*torchrun"):
        fit(fit_settings(folder, workers=2, out=str(folder / "out")))
