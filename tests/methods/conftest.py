"""A two-layer network in plain torch with the call signature of harden's own, and noise drawn by hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import toys
from torch.nn import functional

from harden.methods.base import Batch
from harden.streams import generator


class TwoLayers(torch.nn.Module):
    """Linear, batch norm, tanh, Linear: weights ``a`` and ``b``, tap ``hidden``."""

    def __init__(self, inputs=6, hidden=8, classes=3, seed=0, norm=True):
        super().__init__()

        def normal(name, *shape, scale=0.5):
            return torch.nn.Parameter(torch.empty(shape).normal_(0, scale, generator=generator(seed, "toy", name)))

        self.a = normal("a", hidden, inputs)
        self.b = normal("b", classes, hidden)
        self.bias = normal("bias", classes)
        self.norm = norm
        self.register_buffer("mean", torch.zeros(hidden))
        self.register_buffer("var", torch.ones(hidden))

    def forward(self, x, *, weights=None, taps=(), update_statistics=False):
        values = {**dict(self.named_parameters()), **dict(self.named_buffers()), **(weights or {})}
        hidden = x @ values["a"].T
        if self.norm:
            moving = update_statistics and self.training
            mean, var = (values["mean"], values["var"]) if moving or not self.training else (None, None)
            hidden = functional.batch_norm(hidden, mean, var, training=self.training)
        hidden = hidden.tanh()
        outputs = hidden @ values["b"].T + values["bias"]
        return (outputs, dict.fromkeys(taps, hidden)) if taps else outputs

    def analog(self):
        return {"a": self.a, "b": self.b}


@dataclass
class Level:
    """As much of a profile as a method may ask for."""

    sigma: float | None = 0.1


class FixedNoise:
    """Gaussian noise of absolute strength; one name is one draw, and ``drawn`` remembers what was asked for."""

    def __init__(self, weights, sigma=0.1, seed=0):
        self.profile = Level(sigma)
        self._weights = weights
        self._seed = seed
        self.drawn: list[tuple[str, float, float | None]] = []

    def draw(self, stream, severity=1.0, sigma=None):
        self.drawn.append((stream, severity, sigma))
        level = severity * (sigma if sigma is not None else 0.1 if self.profile.sigma is None else self.profile.sigma)
        return {key: w + level * self.standard(stream, key, w) for key, w in self._weights().items()}

    def standard(self, stream, key, like):
        return torch.empty(like.shape).normal_(generator=generator(self._seed, "noise", stream, key))


class NoNoise(FixedNoise):
    """Every draw is the clean weights, whatever level is asked for."""

    def draw(self, stream, severity=1.0, sigma=None):
        return {key: w.clone() for key, w in self._weights().items()}


@pytest.fixture
def make_net():
    return TwoLayers


@pytest.fixture
def net():
    return TwoLayers().train()


@pytest.fixture
def batch():
    return make_batch()


@pytest.fixture
def batches():
    return make_batch


def make_batch(step=0):
    """Three Gaussian clouds, 24 points."""
    source = generator(0, "toy", "batch", step)
    labels = torch.arange(24) % 3
    centres = torch.empty(3, 6).normal_(0, 1.5, generator=generator(0, "toy", "centres"))
    x = centres[labels] + torch.empty(24, 6).normal_(generator=source)
    return Batch((x,), labels, toys.labels(), seed=0, step=step, progress=0.0)


@pytest.fixture
def noise_of():
    """Noise on a network's analog weights and the method's own."""

    def build(net, objective=None, sigma=0.1, seed=0):
        return FixedNoise(lambda: _weights(net, objective), sigma, seed)

    return build


@pytest.fixture
def no_noise_of():
    def build(net, objective=None, sigma=0.1):
        return NoNoise(lambda: _weights(net, objective), sigma)

    return build


def _weights(net, objective):
    return {**net.analog(), **(objective.analog_weights() if objective else {})}
