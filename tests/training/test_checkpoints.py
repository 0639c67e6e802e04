"""Checkpoints: whole or refused, the one before is kept, and they come often enough."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harden.errors import DivergedError, InputError, RunFolderError, WriteError
from harden.training import snapshots as module
from harden.training.checkpoint import Snapshot, Tensors, latest, read, write
from harden.training.listener import Listener
from harden.training.loop import train
from harden.training.problem import Problem
from harden.training.snapshots import Snapshots
from harden.training.state import RunState


def snapshot(step=1):
    tensors = {"net/a": torch.arange(6.0).reshape(2, 3), "net/b": torch.tensor(1.5, dtype=torch.bfloat16)}
    return Snapshot({"step": step, "loss": float("nan")}, tensors, {"a": torch.zeros(0)})


def test_a_checkpoint_gives_back_what_was_written(tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    write(file, snapshot(), "plan")
    back = read(file, "plan")
    assert back.progress["step"] == 1
    assert {name: value.dtype for name, value in back.tensors.items()} == {
        "net/a": torch.float32, "net/b": torch.bfloat16,
    }  # fmt: skip
    assert torch.equal(back.tensors["net/a"], snapshot().tensors["net/a"])
    assert back.best["a"].shape == (0,)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign"])
def test_damage_is_noticed_and_the_checkpoint_before_is_taken(tmp_path, damage):
    file = tmp_path / "checkpoint.safetensors"
    write(file, snapshot(1), "plan")
    write(file, snapshot(2), "plan")
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[-3] ^= 1  # a number's bit, which the format itself does not notice
    file.write_bytes({"flip": content, "cut": content[:-9], "empty": b"", "foreign": b"PK\3\4" * 20}[damage])
    with pytest.raises(InputError, match=r"checkpoint.*Delete it"):
        read(file, "plan")
    before = latest(file, "plan")
    assert before is not None
    assert before.progress["step"] == 1
    tmp_path.joinpath("checkpoint.previous.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"checkpoint.*Delete it"):
        latest(file, "plan")


def test_between_the_two_renames_of_a_write_the_one_before_is_there(tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    write(file, snapshot(1), "plan")
    file.rename(tmp_path / "checkpoint.previous.safetensors")
    found = latest(file, "plan")
    assert found is not None
    assert found.progress["step"] == 1
    assert latest(tmp_path / "other.safetensors", "plan") is None


def test_a_checkpoint_of_another_plan_is_never_replaced_by_an_older_one(tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    write(file, snapshot(1), "mine")
    write(file, snapshot(2), "other")
    with pytest.raises(RunFolderError, match="other settings"):
        latest(file, "mine")


class Clock:
    """Time that passes only when told."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@given(
    total=st.integers(20, 4000),
    step_s=st.floats(0.001, 30.0),
    selection_s=st.floats(0.0, 9.0),
    write_s=st.floats(0.0, 2.0),
)
@example(total=20, step_s=0.5, selection_s=8.0, write_s=0.0)  # five steps, a selection and a step: 10.5 s
@example(total=114, step_s=0.07421875, selection_s=7.875, write_s=0.0)  # a snapshot every other step
@settings(deadline=None, max_examples=60)
def test_a_kill_never_costs_more_than_ten_seconds_or_a_twentieth_of_the_steps(total, step_s, selection_s, write_s):
    """Whenever the process dies: what it did since the state on disk is 10 s of work, or 5% of the steps, at most."""
    clock, stored = Clock(), [(0.0, 0)]

    def store(path, snap, plan):
        clock.now += write_s
        stored.append((began[snap.progress["step"]], snap.progress["step"]))

    net = torch.nn.Linear(1, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write", store)
        patch.setattr(module, "time", clock)
        tensors, state = Tensors(net, {}, torch.optim.SGD(net.parameters(), 0.1)), RunState()
        run = Snapshots(state, tensors, "plan", module.Path("x"), total)
        clock.now += selection_s  # the selection before the first step
        run.selected("accuracy", 0.5)
        began = {}
        selections = {round(total * (i + 1) / 4) for i in range(4)}
        while state.step < min(total, 400):
            began[state.step] = clock.now
            run.take_if_due()
            clock.now += step_s
            at, step = stored[-1]
            # One step and one selection are not divided: what is lost beside them counts.
            lost = clock.now - at - step_s - write_s - (selection_s if step == 0 else 0.0)
            assert lost <= 10.0 or state.step - step <= max(0.05 * total, 2), (lost, state.step, step)
            run.advance({"loss": 1.0})
            if state.step in selections:
                clock.now += selection_s
                run.selected("accuracy", 0.5)


def test_an_interrupted_run_keeps_its_last_good_step(problem, plan, tmp_path):
    def interrupt(record):
        if record["step"] == 30:
            raise KeyboardInterrupt

    file = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(problem, plan(), Listener(on_step=interrupt), checkpoint=file)
    steps = []
    train(problem, plan(), Listener(on_step=steps.append), checkpoint=file)
    assert steps[0]["step"] == 30


def test_a_finished_training_is_not_done_again(problem, plan, tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    first = train(problem, plan(), checkpoint=file)
    steps, written = [], file.stat()
    again = train(problem, plan(), Listener(on_step=steps.append), checkpoint=file)
    assert not steps
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert again.history == first.history
    assert all(torch.equal(again.weights[name], value) for name, value in first.weights.items())


def test_a_run_that_diverges_twice_keeps_its_last_good_checkpoint(problem, plan, tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    wild = plan(lr=1e30, gradient_clip=1e30, clip=None, warmup=0.0)
    with pytest.raises(DivergedError, match=r"diverged twice.*Lower --lr") as caught:
        train(problem, wild, checkpoint=file)
    assert caught.value.exit_code == 4
    kept = read(file, wild.digest)
    assert all(value.isfinite().all() for value in kept.tensors.values() if value.is_floating_point())


def test_a_loss_that_is_not_finite_before_training_points_at_the_data(model, clouds, plan):
    broken = model.with_weights({"b": torch.full((3, 16), 3e38), "a": torch.full((16, 6), 1e20)})
    with pytest.raises(DivergedError, match=r"first step.*preprocessing"):
        train(Problem(broken, clouds(), clouds(99, seed=1)), plan(batch_norm_reestimation="off", clip=None))


def test_a_full_disk_ends_the_training_and_keeps_the_checkpoint(problem, plan, tmp_path, monkeypatch, pace):
    file = tmp_path / "checkpoint.safetensors"
    pace(checkpoint_s=0.0, patience=0.0)
    unbroken = train(problem, plan())
    real, calls = module.write, []

    def fails(path, snap, digest):
        calls.append(snap)
        if len(calls) == 10:
            raise WriteError("cannot be written (No space left on device)", where=str(path))
        real(path, snap, digest)

    monkeypatch.setattr(module, "write", fails)
    with pytest.raises(WriteError, match="No space left"):
        train(problem, plan(), checkpoint=file)
    monkeypatch.setattr(module, "write", real)
    resumed = train(problem, plan(), checkpoint=file)
    assert resumed.history == unbroken.history
