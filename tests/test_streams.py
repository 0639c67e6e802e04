"""Named streams: equal names give equal numbers, different names independent ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harden.streams import generator, numpy_generator

GOLDEN_UNIFORM = [0.7806083300833231, 0.06566846861878606, 0.6198442247535682, 0.40105604789389737]
GOLDEN_PERMUTATION = [4, 2, 3, 5, 0, 6, 7, 1]


def numbers(stream, count=8):
    return torch.empty(count, dtype=torch.float64).normal_(generator=stream)


def test_golden_numbers():
    # Stored numbers: a change here changes every result that anyone has reproduced with a seed.
    first = torch.empty(4, dtype=torch.float64).uniform_(generator=generator(0, "chip", 3, "conv1.weight"))
    expected = torch.tensor(GOLDEN_UNIFORM, dtype=torch.float64)
    torch.testing.assert_close(first, expected, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(numpy_generator(0, "shuffle", 1).permutation(8), GOLDEN_PERMUTATION)


@given(st.integers(0, 2**63), st.lists(st.one_of(st.text(max_size=5), st.integers(-5, 5)), max_size=3))
def test_equal_names_give_equal_numbers(seed, names):
    assert torch.equal(numbers(generator(seed, *names)), numbers(generator(seed, *names)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0, "chip", 3), (0, "chip", "3")),
        ((0, "a", "b"), (0, "a", "b", "")),
        ((0, "ab"), (0, "a", "b")),
        ((0, "chip", 1), (1, "chip", 0)),
        ((7,), (7 + 2**32,)),
        ((7,), (7 + 2**63,)),
        ((0, 5), (0, 5 + 2**32)),
        ((0, "chip", 11), (0, "chip", 1, 1)),
    ],
)
def test_different_names_differ(one, other):
    assert not (numbers(generator(*one)) == numbers(generator(*other))).any()
    assert (numpy_generator(*one).integers(2**60, size=4) != numpy_generator(*other).integers(2**60, size=4)).all()


def test_the_whole_state_comes_from_the_name_not_32_bits():
    # manual_seed keeps the low 32 bits only: two names whose hashes agree there would be one stream.
    states = {bytes(generator(0, "s", i).get_state().numpy().tobytes()) for i in range(100)}
    assert len(states) == 100
    words = generator(0, "s", 0).get_state().numpy()[24 : 24 + 8 * 624].view("<u8")
    seeded = torch.Generator().manual_seed(int(words[0])).get_state().numpy()[24 : 24 + 8 * 624].view("<u8")
    assert (words < 2**32).all()
    assert (words != seeded).mean() > 0.99


def test_streams_are_uncorrelated_and_standard():
    table = torch.stack([numbers(generator(0, "chip", i), 20_000) for i in range(8)])
    correlation = torch.corrcoef(table) - torch.eye(8, dtype=torch.float64)
    assert correlation.abs().max() < 5 / 20_000**0.5
    assert table.mean().abs() < 5 / table.numel() ** 0.5
    assert abs(table.var().item() - 1) < 5 * (2 / table.numel()) ** 0.5


def test_neighbouring_names_start_unrelated():
    # A weakly seeded mt19937 gives related first numbers for neighbouring seeds.
    first = torch.tensor([float(torch.empty(1).uniform_(generator=generator(0, "chip", i))) for i in range(4000)])
    counts = torch.histc(first, bins=10, min=0, max=1)
    assert ((counts - 400) ** 2 / 400).sum() < 40  # chi-square, 9 degrees of freedom: p < 1e-5
    assert torch.corrcoef(torch.stack([first[1:], first[:-1]]))[0, 1].abs() < 0.08


def test_a_new_consumer_shifts_no_other():
    alone = numbers(generator(0, "b"))
    numbers(generator(0, "a"), 1000)
    assert torch.equal(alone, numbers(generator(0, "b")))


def test_no_global_state_is_touched():
    before = torch.get_rng_state()
    numbers(generator(0, "x"))
    assert torch.equal(before, torch.get_rng_state())
