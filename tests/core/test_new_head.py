"""A new last layer: the optimum it is fitted to, the graph around it, and the command."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from harden.data import Dataset, Preprocess
from harden.errors import ModelError
from harden.graph.export import from_torch
from harden.graph.head import features_model, find_head, with_head
from harden.pipeline.new_head import logistic_regression, with_new_head
from harden.runtime.sessions import Session
from harden.streams import numpy_generator


class Split(nn.Module):
    """Logits as a MatMul and an Add."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.linspace(-1, 1, 6 * 4).reshape(6, 4))
        self.b = nn.Parameter(torch.linspace(0, 1, 4))

    def forward(self, x):
        return torch.relu(x) @ self.w + self.b


def _gemm():
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))


def test_the_fit_is_where_the_gradient_vanishes():
    rng = numpy_generator(0, "head")
    labels = rng.integers(0, 3, 90)
    features = (rng.normal(size=(90, 4)) + labels[:, None]) * np.array([1.0, 10.0, 0.1, 3.0]) + 5
    weight, bias = logistic_regression(features, labels, 3)

    mean, std = features.mean(0), features.std(0)
    logits = features @ weight.T + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    error = (p - np.eye(3)[labels]) / len(labels)
    # In standardised features, W' = W std.
    gradient = error.T @ ((features - mean) / std) + 1e-3 * weight * std
    assert np.abs(gradient).max() < 1e-5
    assert np.abs(error.sum(0)).max() < 1e-5


@pytest.mark.parametrize("make", [Split, _gemm])
def test_the_new_layer_stands_where_the_old_one_stood(make):
    model = from_torch(make(), torch.ones(2, 6))
    head = find_head(model)
    x = numpy_generator(0, "x").normal(size=(7, 6)).astype(np.float32)
    features = Session(features_model(model, head).serialize()).run(x)[0]
    weight, bias = np.arange(3.0 * head.width).reshape(3, head.width) / 10, np.array([1.0, 2.0, 3.0])
    changed = with_head(model, head, weight, bias)
    assert changed.outputs[0].shape[-1] == 3
    np.testing.assert_allclose(Session(changed.serialize()).run(x)[0], features @ weight.T + bias, rtol=1e-5)
    np.testing.assert_allclose(changed.module()(torch.from_numpy(x)).detach(), features @ weight.T + bias, rtol=1e-5)
    kept = {name: value for name, value in changed.tensors().items() if name not in (head.weight, head.bias)}
    for name, value in kept.items():
        np.testing.assert_array_equal(value, model.tensors()[name])


def test_a_model_that_ends_otherwise_is_refused_by_name():
    model = from_torch(nn.Sequential(nn.Linear(6, 4), nn.Softmax(1)), torch.ones(2, 6))
    with pytest.raises(ModelError, match=r"Softmax.*--new-head"):
        find_head(model)


def test_classes_apart_in_the_features_are_told_apart():
    rng = numpy_generator(0, "apart")
    labels = np.arange(60) % 3
    x = (np.eye(6)[labels] * 4 + rng.normal(0, 0.3, (60, 6))).astype(np.float32)
    data = Dataset.from_arrays(x, labels, Preprocess((0.0,), (1.0,)))
    model = with_new_head(from_torch(_gemm(), torch.ones(2, 6)), data)
    found = Session(model.serialize()).run(x)[0].argmax(1)
    assert (found == labels).mean() > 0.9
