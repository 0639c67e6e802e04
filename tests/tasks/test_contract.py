"""What every task owes, a third party's too: the suite finds them by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harden.registry import TASKS
from harden.tasks import Examples, tasks

ROOT = Path(__file__).parents[2]
ALL = tasks()


def test_the_registry_lists_tasks_and_nothing_else():
    assert sorted(task.name for task in ALL) == TASKS.names()
    orders = [task.order for task in ALL]
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize("task", ALL, ids=[task.name for task in ALL])
def test_it_says_what_it_measures_selects_by_and_is_for(task):
    assert task.__doc__
    assert task.summary
    names = [measure.name for measure in task.measures]
    assert names
    assert len(set(names)) == len(names)
    assert task.selected("auto") == task.selections[0]
    assert all(task.selected(name) == name for name in task.selections)
    assert not (task.labelled and task.suits(Examples(3, None, "nothing"), 3))
    page = (ROOT / "docs" / "evaluation.md").read_text()
    assert task.name == "classification" or f"| `{task.name}` |" in page


TOY = '''
from harden.records.measure import Measure
from harden.tasks import regression


class Task(regression.Task):
    """Regression by the mean absolute error."""

    summary = "a toy"
    order = 50
    measures = (regression.MAE, regression.R2, regression.RMSE)

    @classmethod
    def suits(cls, examples, width):
        return regression.Task.suits(examples, width)
'''
USE = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import toys
from onnx import helper
from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.evaluation.evaluate import evaluate
x, w = toys.numbers(30, 6, seed=1), toys.numbers(6, 1)
model = toys.model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 6]}, {"y": ["n", 1]}, {"w": w})
data = Dataset.from_arrays(x, (x @ w)[:, 0] + 0.5, Preprocess((0.0,), (1.0,), scale=1.0, channels=1))
record = evaluate(model, "gaussian:sigma=0.1", data, chips=2, threads=1)
print(record.conditions[0].measure.name, round(record.clean.score, 4))
"""


def test_a_third_partys_task_is_one_file_and_an_entry_point(tmp_path):
    info = tmp_path / "harden_toy-1.0.dist-info"
    info.mkdir()
    (tmp_path / "harden_toy.py").write_text(TOY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: harden-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harden.tasks]\nabsolute = harden_toy\n")
    environment = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", USE, str(ROOT / "tests")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "mae 0.5", done.stderr
