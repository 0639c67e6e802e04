"""Where memory does not suffice, a batch is worked off in parts: the same step, decided once."""

from __future__ import annotations

import pytest
import torch

from harden.errors import HardenError
from harden.memory import OutOfMemoryError
from harden.training import loop
from harden.training.listener import Listener
from harden.training.loop import train
from harden.training.microbatches import pieces
from harden.training.problem import Problem

WANTED = (
    "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."
)


class Hungry:
    """An objective that needs more memory than there is for more than so many examples at a time."""

    def __init__(self, inner, most, calls):
        self._inner, self._most, self._calls = inner, most, calls

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def step(self, net, batch, noise):
        self._calls.append(len(batch.inputs[0]))
        if len(batch.inputs[0]) > self._most and len(self._calls) > 10:
            net(*batch.inputs, update_statistics=True)  # a step that fails half-way has moved the batch norms
            raise RuntimeError(WANTED)
        return self._inner.step(net, batch, noise)


@pytest.fixture
def hungry(monkeypatch):
    real = loop.methods.load

    def make(most):
        calls = []
        monkeypatch.setattr(loop.methods, "load", lambda name, options: Hungry(real(name, options), most, calls))
        return calls

    return make


@pytest.mark.parametrize("method", ["noise", "sam"])  # a loss, and gradients by name
def test_the_batch_is_divided_until_it_fits(make_model, clouds, plan, hungry, method):
    plain = make_model(norm=False)
    this = plan(method=method, steps=30, lr=0.05)
    whole = train(Problem(plain, clouds(), clouds(99, seed=1)), this)
    calls = hungry(8)
    divided = train(Problem(plain, clouds(), clouds(99, seed=1)), this)
    assert calls[-4:] == [8, 8, 8, 8]
    assert [event["parts"] for event in divided.levers["memory"]] == [2, 4]
    assert [record["step"] for record in divided.history] == list(range(1, 31))
    if method == "noise":  # the same step up to rounding: there is no batch norm
        for one, other in zip(whole.history, divided.history, strict=True):
            assert other["loss"] == pytest.approx(one["loss"], rel=1e-3)
    for name, weight in whole.weights.items():
        assert torch.allclose(divided.weights[name], weight, atol=0.02), name


def test_the_decision_is_kept_and_a_resumed_run_ends_with_the_same_bits(problem, plan, hungry, tmp_path):
    this = plan(steps=30)
    hungry(16)
    unbroken = train(problem, this)
    hungry(16)

    def interrupt(record):
        if record["step"] == 20:
            raise KeyboardInterrupt

    file = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(problem, this, Listener(on_step=interrupt), checkpoint=file)
    calls = hungry(10**9)  # now there would be room
    resumed = train(problem, this, checkpoint=file)
    assert set(calls) == {16}
    assert resumed.history == unbroken.history
    assert all(torch.equal(resumed.weights[name], value) for name, value in unbroken.weights.items())


def test_where_two_examples_are_too_many_the_run_ends_with_the_way_out(problem, plan, hungry):
    hungry(1)
    with pytest.raises(OutOfMemoryError, match=r"not even in 16 parts.*--batch-size") as caught:
        train(problem, plan())
    assert isinstance(caught.value, HardenError)
    assert caught.value.exit_code == 3


def test_validation_examples_are_judged_in_halves(problem, plan, monkeypatch):
    expected = train(problem, plan())
    real, sizes = loop.Selector.on, []

    def on(self, weights):
        sizes.append(max(len(inputs[0]) for inputs in self._inputs))
        if sizes[-1] > 30:
            raise RuntimeError(WANTED)
        return real(self, weights)

    monkeypatch.setattr(loop.Selector, "on", on)
    trained = train(problem, plan())
    assert sizes[:3] == [99, 50, 25]
    assert [s.score for s in trained.validation] == pytest.approx([s.score for s in expected.validation])


def test_a_bug_is_no_lack_of_memory(problem, plan, monkeypatch):
    monkeypatch.setattr(loop.Selector, "on", lambda *_: (_ for _ in ()).throw(RuntimeError("shapes do not fit")))
    with pytest.raises(RuntimeError, match="shapes"):
        train(problem, plan())


def test_parts_are_nearly_equal_and_cover_the_batch(model, clouds, plan):
    batch = loop.Batches(clouds(), plan(batch_size=7), None).at(0)
    found = list(pieces(batch, 3))
    assert [len(piece.targets) for piece, _ in found] == [2, 2, 3]
    assert sum(weight for _, weight in found) == pytest.approx(1)
    assert torch.equal(torch.cat([piece.inputs[0] for piece, _ in found]), batch.inputs[0])
