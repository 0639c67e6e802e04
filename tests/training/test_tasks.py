"""What outputs are compared with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys

from harden.levers.teacher import Distilled
from harden.tasks._concordance import relative_error
from harden.tasks.classification import divergence
from harden.training.batches import Batches


def test_divergence_is_kl_by_hand():
    p, q = torch.tensor([[0.7, 0.3]]), torch.tensor([[0.4, 0.6]])
    expected = 0.7 * np.log(0.7 / 0.4) + 0.3 * np.log(0.3 / 0.6)
    assert divergence(p.log(), q.log()).item() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_of_distillation_hardly_depends_on_a_high_temperature():
    reference = torch.tensor([[1.0, 0.0, -1.0]])

    def slope(temperature):
        z = torch.zeros(1, 3, requires_grad=True)
        divergence(reference, z, temperature).backward()
        assert z.grad is not None
        return z.grad.norm().item()

    assert slope(20.0) == pytest.approx(slope(40.0), rel=0.02)


def test_matching_takes_every_floating_point_output_alike():
    reference = (torch.tensor([0.0, 2.0]), torch.tensor([0.0, 200.0]), torch.tensor([1, 2]))
    outputs = (torch.tensor([0.0, 1.0]), torch.tensor([0.0, 100.0]), torch.tensor([5, 5]))
    assert toys.matching().loss(outputs, reference).item() == pytest.approx(0.5)
    assert relative_error(reference[0], outputs[0]).item() == pytest.approx(0.5)


def test_a_teacher_shares_the_loss():
    labels, teacher = torch.tensor([0]), torch.tensor([[2.0, 0.0]])
    z = torch.tensor([[0.0, 1.0]])
    task = Distilled(toys.labels(), 0.25, 2.0)
    expected = 0.75 * toys.labels().loss(z, labels) + 0.25 * divergence(teacher, z, 2.0)
    torch.testing.assert_close(task.loss(z, (labels, teacher)), expected)
    assert Distilled(toys.labels(), 1.0).loss(z, (None, teacher)) == divergence(teacher, z)


def test_an_epoch_shows_every_example_once_in_a_new_order(clouds, plan):
    data = clouds(100)
    batches = Batches(data, plan(batch_size=20, augment="off"), toys.labels())
    epochs = [np.concatenate([batches.index(e * 5 + i) for i in range(5)]) for e in range(2)]
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert np.array_equal(batches.index(3), Batches(data, plan(batch_size=20, augment="off"), toys.labels()).index(3))
