"""Results in the order of the tasks, errors at once, and no run-ahead."""

from __future__ import annotations

import threading
import time

import pytest

from harden.engines import LocalEngine
from harden.errors import SettingsError


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_keep_the_order_of_the_tasks(workers):
    def work(task):
        time.sleep(0.002 * (task % 3))
        return task * task

    assert list(LocalEngine(workers).run(work, range(20))) == [k * k for k in range(20)]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_ends_the_run_and_is_raised_to_the_consumer(workers):
    begun = []

    def work(task):
        begun.append(task)
        if task == 3:
            raise ValueError("three")
        return task

    found = []
    with pytest.raises(ValueError, match="three"):
        found.extend(LocalEngine(workers).run(work, range(1000)))
    assert found == [0, 1, 2]
    assert len(begun) < 20


def test_tasks_are_taken_only_a_little_ahead():
    taken = []

    def tasks():
        for k in range(100):
            taken.append(k)
            yield k

    results = LocalEngine(2).run(lambda k: k, tasks())
    next(results)
    assert len(taken) <= 4
    results.close()


def test_workers_run_side_by_side():
    meeting = threading.Barrier(3, timeout=10)

    assert len(list(LocalEngine(3).run(lambda _: meeting.wait(), range(3)))) == 3


def test_an_engine_needs_a_worker():
    with pytest.raises(SettingsError, match="at least one"):
        LocalEngine(0)


@pytest.mark.parametrize("how", ["error", "close"])
def test_tasks_under_way_are_told_before_they_are_waited_for(how):
    told = threading.Event()

    def work(task):
        if how == "error" and task == 1:
            raise ValueError("one")
        if task > 1 and not told.wait(timeout=10):
            raise TimeoutError("nobody said that the run was over")
        return task

    results = LocalEngine(3).run(work, range(9), told.set)
    assert next(results) == 0
    if how == "close":
        results.close()
    else:
        with pytest.raises(ValueError, match="one"):
            next(results)
    assert told.is_set()
