"""What a step frees is there for the next one."""

from __future__ import annotations

import sys

import pytest
import torch

from harden.training import allocation

MEBIBYTES = 96


def faults() -> int:
    resource = pytest.importorskip("resource")
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def faults_of_a_step() -> int:
    """Pages that the kernel had to give for three tensors, made and let go of."""
    start = faults()
    tensors = [torch.ones(MEBIBYTES // 3, 1 << 18) for _ in range(3)]
    assert all(tensor[-1, -1] == 1 for tensor in tensors)
    return faults() - start


@pytest.mark.skipif(allocation._glibc() is None, reason="needs glibc")
def test_a_step_finds_the_pages_of_the_one_before():
    with allocation.pages_kept() as kept:
        assert kept
        for _ in range(3):  # aligned tensors do not fit their own holes at first
            faults_of_a_step()
        assert faults_of_a_step() < MEBIBYTES * 256 / 10


@pytest.mark.skipif(allocation._glibc() is None, reason="needs glibc")
def test_afterwards_free_pages_go_back_and_large_tensors_are_mapped_again():
    with allocation.pages_kept():
        faults_of_a_step()
    assert faults_of_a_step() > MEBIBYTES * 256 / 10


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocation, "_glibc", lambda: None)
    with allocation.pages_kept() as kept:
        assert not kept


def test_only_glibc_counts(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert allocation._glibc.__wrapped__() is None
