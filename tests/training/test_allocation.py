"""What a step frees is there for the next one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harden.training import allocation

# In an interpreter of its own: what earlier tests left on the heap decides where a tensor finds room.
SCRIPT = """
import resource
import torch
from harden.training import allocation

MEBIBYTES = 96

def faults_of_a_step():
    # Pages that the kernel had to give for three tensors, made and let go of.
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(MEBIBYTES // 3, 1 << 18) for _ in range(3)]
    assert all(tensor[-1, -1] == 1 for tensor in tensors)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

few = MEBIBYTES * 256 / 10
with allocation.pages_kept() as kept:
    assert kept
    # Aligned tensors do not fit their own holes at first; how soon they do depends on where the heap happens to lie.
    again = min(faults_of_a_step() for _ in range(12))
assert again < few, again  # a step finds the pages of the one before
afterwards = faults_of_a_step()
assert afterwards > few, afterwards  # free pages went back, and large tensors are mapped again
"""


@pytest.mark.skipif(allocation._glibc() is None, reason="needs glibc")
def test_a_step_finds_the_pages_of_the_one_before_and_afterwards_they_go_back():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocation, "_glibc", lambda: None)
    with allocation.pages_kept() as kept:
        assert not kept


def test_only_glibc_counts(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert allocation._glibc.__wrapped__() is None
