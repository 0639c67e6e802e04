"""A bench serves several runs: none leaves anything of itself on it."""

from __future__ import annotations

import pytest

from harden.evaluation.bench import open_bench
from harden.evaluation.layout import Layout
from harden.evaluation.plan import Condition, TrialPlan
from harden.evaluation.run import Run
from harden.evaluation.where import Where
from harden.noise.profile import Profile

WHERE = Where(threads=1, layout=Layout(1, 1))


@pytest.fixture
def accuracies(deep, digits, tmp_path):
    """A fresh bench, and what chips under so many conditions score on a bench."""

    def measured(bench, conditions):
        chosen = tuple(Condition(Profile.load("gaussian", sigma=0.1 * (i + 1))) for i in range(conditions))
        run = Run(bench, TrialPlan(chosen, chips=2, seed=0, batch=bench.feed.batch), WHERE, None)
        run.finish()
        return [float(value) for i in range(conditions) for value in run.log.of(i)["accuracy"]]

    folders = iter(range(9))

    def fresh():
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        return open_bench(deep, digits, folder, WHERE)

    return fresh, measured


def test_a_run_leaves_the_bench_as_it_was(accuracies):
    fresh, measured = accuracies
    bench = fresh()
    before = dict(vars(bench))
    first = measured(bench, 3)
    assert all(vars(bench)[name] is value for name, value in before.items())
    assert vars(bench).keys() == before.keys()
    # Another number of conditions, whose sums have other shapes, and the first again.
    assert measured(bench, 1) == measured(fresh(), 1) == first[:2]
    assert measured(bench, 3) == first
