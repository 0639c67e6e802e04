"""The published schemas accept what harden writes and refuse what it must not."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from harden.errors import UnknownNameError
from harden.report import schema

Document = dict[str, Any]


def check(document):
    loaded = schema.load(document["schema"])
    jsonschema.Draft202012Validator.check_schema(loaded)
    return [error.json_path for error in jsonschema.Draft202012Validator(loaded).iter_errors(document)]


def test_examples_are_valid(eval_document, fit_document, compare_document):
    documents = [eval_document(), eval_document(3, None), eval_document(times=(0.0, 60.0))]
    documents += [fit_document(), compare_document()]
    assert [check(document) for document in documents] == [[]] * 5


def test_a_fit_without_data_is_valid(fit_document):
    assert check({**fit_document(), "before": None, "after": None, "training": None, "severity": None}) == []


def test_new_keys_are_allowed(eval_document):
    document = eval_document()
    document["profiles"][0]["new"] = document["new"] = 1
    assert check(document) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("clean", "accuracy"), 87.4),
        (("model", "sha256"), "abc"),
        (("model", "batch_norm"), "maybe"),
        (("profiles", 0, "chips"), 0),
        (("profiles", 0, "yield", "value"), 1.2),
        (("profiles", 0, "accuracy", "mean"), None),
        (("profiles", 0, "accuracies", 0), "0.5"),
        (("data", "examples"), 0),
    ],
)
def test_wrong_values_are_refused(eval_document, path, value):
    document = copy.deepcopy(eval_document())
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    assert check(document) != []


@pytest.mark.parametrize("key", ["seed", "profiles", "clean", "runtime"])
def test_a_missing_key_is_refused(eval_document, key):
    document = eval_document()
    del document[key]
    assert check(document) == ["$"]


def test_the_inside_of_a_fit_is_checked_too(fit_document):
    document = fit_document()
    document["after"]["profiles"][0]["chips"] = "many"
    assert check(document) != []


def test_an_unknown_schema_is_named():
    with pytest.raises(UnknownNameError, match="Did you mean"):
        schema.load("harden.eval/3")
