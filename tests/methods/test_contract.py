"""The rules that every objective keeps, whoever wrote it: members are found by the registry."""

from __future__ import annotations

import doctest
import inspect
import math

import pytest
import torch
from torch.nn import functional

from harden import methods
from harden.methods._passes import count_passes
from harden.registry import METHODS

OBJECTIVES = [name for name in METHODS.names() if METHODS.module(name).Method.kind == "objective"]
# What keeps a test of 30 steps short; nothing that a rule depends on.
QUICK = {"nft_irs": {"taps": "hidden", "hidden": 8}, "consistency": {"taps": "hidden"}}


@pytest.fixture(autouse=True)
def taps_of_the_toy(monkeypatch):
    """The toy is no graph: its only tap is the one that options name."""
    from harden.graph import taps

    monkeypatch.setattr(taps, "choose_taps", lambda net, x, count, names=(): [taps.Tap(name, ()) for name in names])


def load(name, **options):
    return methods.load(name, {**QUICK.get(name, {}), **options})


def gradients(result, net):
    """The gradient by name, whichever way the method gives it."""
    if result.gradients is not None:
        return dict(result.gradients)
    names, tensors = zip(*net.named_parameters(), strict=True)
    found = torch.autograd.grad(result.loss, tensors, allow_unused=True)
    return {name: g for name, g in zip(names, found, strict=True) if g is not None}


@pytest.fixture(params=OBJECTIVES)
def name(request):
    return request.param


@pytest.fixture
def stepped(name, net, batch, noise_of):
    method = load(name)
    method.prepare(net, batch)
    before = {key: value.detach().clone() for key, value in net.named_parameters()}
    return net, method, before, method.step(net, batch, noise_of(net, method))


def test_the_loss_is_a_finite_scalar_with_gradients_on_every_analog_weight(stepped):
    net, _, _, result = stepped
    assert result.loss.shape == ()
    assert math.isfinite(result.loss.item())
    found = gradients(result, net)
    for key in net.analog():
        assert found[key].isfinite().all()
        assert found[key].abs().sum() > 0


def test_parts_are_finite_numbers(stepped):
    parts = stepped[3].parts
    assert "task" in parts
    assert all(isinstance(value, float) and math.isfinite(value) for value in parts.values())


def test_weights_are_untouched(stepped):
    net, _, before, _ = stepped
    assert all(torch.equal(before[key], value) for key, value in net.named_parameters())
    assert all(p.requires_grad for p in net.parameters())
    assert net.training


def test_the_running_statistics_move_once_a_step(stepped):
    """They stay what a single forward pass makes of them: within 0.1 of where they were, and not where they were."""
    net = stepped[0]
    assert not torch.equal(net.mean, torch.zeros_like(net.mean))
    assert (net.var - 0.9).min() >= 0


def test_equal_seeds_give_equal_losses_bit_for_bit(name, make_net, batches, noise_of):
    def losses():
        net = make_net().train()
        method = load(name)
        method.prepare(net, batches(0))
        results = [method.step(net, batches(i), noise_of(net, method)) for i in range(2)]
        return [(r.loss.item(), *(g.sum().item() for g in gradients(r, net).values())) for r in results]

    assert losses() == losses()


def test_after_finish_the_network_has_exactly_its_own_parameters(name, net, batch, noise_of):
    names, buffers = [n for n, _ in net.named_parameters()], [n for n, _ in net.named_buffers()]
    method = load(name)
    method.prepare(net, batch)
    method.step(net, batch, noise_of(net, method))
    method.finish(net)
    assert [n for n, _ in net.named_parameters()] == names
    assert [n for n, _ in net.named_buffers()] == buffers
    assert method.parameters() == {}
    assert method.analog_weights() == {}
    assert not any(module._forward_hooks for module in net.modules())


def test_without_noise_it_reduces_to_the_task_as_declared(name, net, batch, no_noise_of):
    declared = METHODS.module(name).Method.reduces
    method = load(name, **declared)
    method.prepare(net, batch)
    result = method.step(net, batch, no_noise_of(net, method))
    expected = functional.cross_entropy(net(*batch.inputs), batch.targets)
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_thirty_steps_beat_chance_under_noise(name, make_net, batches, noise_of):
    net = make_net(seed=3).train()
    method = load(name)
    method.prepare(net, batches(0))
    parameters = {**dict(net.named_parameters()), **method.parameters()}
    optimizer = torch.optim.SGD(parameters.values(), lr=0.2, momentum=0.9)
    for step in range(30):
        optimizer.zero_grad()
        result = method.step(net, batches(step), noise_of(net, method, seed=step))
        if result.gradients is None:
            result.loss.backward()
        else:
            for key, gradient in result.gradients.items():
                parameters[key].grad = gradient
        optimizer.step()
    method.finish(net)
    net.eval()
    held_out = batches(1000)
    with torch.no_grad():
        accuracies = [
            (net(*held_out.inputs, weights=noise_of(net, seed=chip).draw("chip")).argmax(1) == held_out.targets)
            .double()
            .mean()
            .item()
            for chip in range(100, 110)
        ]
    assert sum(accuracies) / 10 > 0.6


def test_the_docstring_has_an_equation_a_source_and_an_example_that_runs(name):
    module = METHODS.module(name)
    text = inspect.getdoc(module.Method) or ""
    assert "Equation:" in text
    assert "Source:" in text
    assert any(part.startswith("Use it") for part in text.split("\n\n")), "no paragraph begins with 'Use it'"
    assert ":math:" in text or ".. math::" in text
    examples = [e for t in doctest.DocTestFinder().find(module.Method, module=module) for e in t.examples]
    assert examples


def test_every_option_states_its_default_meaning_and_origin(name):
    for key, field in METHODS.module(name).Config.model_fields.items():
        assert not field.is_required(), key
        assert field.description, key
        assert len(field.description) > 20, key


# Options under which the passes are others than by default.
MORE = {
    "abcd": {"rounds": 3},
    "adversarial": {"attack_steps": 1, "forward_noise": False},
    "amp": {"steps": 2},
    "awp": {"steps": 3},
    "entropy_sgd": {"rounds": 2},
    "nft_ovf": {"offsets": "0.1", "factors": "2"},
}


@pytest.mark.parametrize("more", [False, True])
def test_a_step_makes_the_passes_that_it_declares(name, make_net, batch, noise_of, more):
    net = make_net().train()
    method = load(name, **(MORE.get(name, {}) if more else {}))
    method.prepare(net, batch)

    def step():
        result = method.step(net, batch, noise_of(net, method))
        if result.gradients is None:
            result.loss.backward()

    found = count_passes(type(net), step)
    assert (found.forward.total(), found.backward) == method.passes_a_step()
    if not more:
        forward, backward = method.passes_a_step()
        assert method.cost == f"{forward}F {backward}B"
