"""Protection keeps the most sensitive layers digital, within the budget."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from harden.errors import DataError, SettingsError
from harden.evaluation.evaluate import evaluate
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.evaluation.where import Where
from harden.graph.file import Model
from harden.levers.protect import budget_of
from harden.noise.profile import Profile
from harden.records.evaluation import LayerRow
from harden.training.protect import _escaped, choose, protect

NOISE = (Condition(Profile.parse("gaussian:sigma=0.4")),)


@pytest.mark.parametrize("text", ["auto", "auto:0%", "auto:100%", "5%", "auto:x%", "auto:5"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(SettingsError, match="auto:5%"):
        budget_of(text)


def test_budgets():
    assert budget_of("auto:2.5%") == 0.025


@given(st.lists(st.tuples(st.floats(0.01, 1), st.integers(1, 1000)), min_size=1, max_size=12), st.floats(0.01, 0.99))
def test_the_budget_is_kept_and_no_more_sensitive_layer_that_fits_is_left_out(layers, budget):
    rows = [LayerRow(key=str(i), share=share) for i, (share, _) in enumerate(layers)]
    rows.sort(key=lambda row: -row.share)
    sizes = {str(i): size for i, (_, size) in enumerate(layers)}
    chosen = choose(rows, sizes, budget)
    left = budget * sum(sizes.values()) - sum(sizes[key] for key in chosen)
    assert left >= -1e-6
    assert all(sizes[row.key] > left - 1e-6 for row in rows if row.key not in chosen)


def test_a_glob_is_made_to_mean_one_name():
    assert fnmatchcase("a[0].w*", _escaped("a[0].w*"))
    assert not fnmatchcase("a0.wx", _escaped("a[0].w*"))


def test_without_labels_the_networks_own_answers_count(model, clouds):
    judge = Judge(clouds(128, labelled=False), NOISE, where=Where(1))
    data = clouds(128)
    settings = {"passes": 8, "check": 1, "check_chips": 4}
    with torch.no_grad():
        own = model.module().eval()(torch.from_numpy(data.inputs(slice(None)))).argmax(1).numpy()
    found = protect(judge, model, 0.5, **settings)
    labelled = protect(replace(judge, data=data.with_labels(own, 3)), model, 0.5, **settings)
    assert found == labelled
    assert found.names


def test_without_labels_a_network_that_scores_no_classes_is_refused(make_model, clouds):
    """Two rows of three scores for each example are no score for each class."""
    model = make_model()
    model.proto.graph.node[-1].output[0] = "scores"
    model.proto.graph.node.append(helper.make_node("Unsqueeze", ["scores", "axes"], ["row"], name="unsqueeze"))
    model.proto.graph.node.append(helper.make_node("Concat", ["row", "row"], ["y"], name="rows", axis=1))
    model.proto.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axes"))
    model.proto.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 3
    model.proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2
    model = Model.from_proto(model.proto)
    with pytest.raises(DataError, match="no score for each class"):
        protect(Judge(clouds(16, labelled=False), NOISE), model, 0.5)


def test_the_layer_that_hurts_is_found(model, clouds):
    record = protect(Judge(clouds(128), NOISE, where=Where(1)), model, 0.5, passes=8, check=1, check_chips=4)
    assert record.names
    assert record.used <= 0.5
    for globs, mean in (((), record.before), (record.names, record.after)):
        direct = evaluate(model, NOISE, clouds(128), chips=4, seed=0, threads=1, digital=globs).document
        assert mean == pytest.approx(direct["conditions"][0]["accuracy"]["mean"])
    assert set(record.layers) <= {"a", "b"}
    assert set(model.analog_weights(record.names)) == {"a", "b"} - set(record.layers)
