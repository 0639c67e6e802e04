"""Drawing a chip is fast enough not to be what an evaluation waits for."""

from __future__ import annotations

import time

import pytest
import torch

from harden.noise.profile import Profile
from harden.streams import generator


@pytest.fixture
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(("text", "limit_ns"), [("gaussian", 10.0), ("rram1", 10.0), ("pcm", 60.0)])
def test_nanoseconds_a_weight(text, limit_ns):
    # Processor time on one thread: what other programs do at the same time does not count.
    weights = {str(i): torch.empty(512, 4608).normal_(generator=generator(0, i)) for i in range(5)}
    count = sum(weight.numel() for weight in weights.values())
    profile, took = Profile.parse(text), []
    for index in range(5):
        start = time.process_time()
        profile.chip(weights, seed=0, index=index)
        took.append(time.process_time() - start)
    assert min(took) / count * 1e9 < limit_ns
