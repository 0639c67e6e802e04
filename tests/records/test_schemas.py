"""The published schemas are those of the classes, and describe every key that real runs write."""

from __future__ import annotations

import copy
import json
from importlib import resources

import jsonschema
import pytest
from old_documents import OLD, old

from harden.records import read
from harden.records.schema import KINDS, schema_of
from harden.report import schema

# What harden wrote and the schemas by hand did not know of.
FORGOTTEN = ("per_chip", "worst_case", "landscape", "corners", "stress", "rare_failures", "settings", "environment")
VALIDATORS = {name: jsonschema.Draft202012Validator(schema.load(name)) for name in KINDS}


def problems(document, validator=None):
    validator = validator or VALIDATORS[document["schema"]]
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(document)]


@pytest.mark.parametrize("name", KINDS)
def test_the_files_are_made_from_the_classes(name):
    file = resources.files(schema) / schema.file_of(name)
    assert file.read_text(encoding="utf-8") == json.dumps(schema_of(KINDS[name]), indent=1) + "\n"
    jsonschema.Draft202012Validator.check_schema(schema_of(KINDS[name]))


@pytest.mark.parametrize("name", OLD)
def test_documents_of_real_runs_are_valid_to_the_key(name):
    document = old(name)
    assert problems(document if document["schema"] in KINDS else read(document).document) == []


@pytest.mark.parametrize("key", FORGOTTEN)
def test_a_key_that_the_schema_forgets_is_found(key):
    assert key in old("eval-also")
    assert key not in schema.load("harden.eval/1")["properties"]
    forgetful = schema.load("harden.eval/2")
    del forgetful["properties"][key]
    assert problems(read(old("eval-also")).document, jsonschema.Draft202012Validator(forgetful))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("clean", "accuracy"), 87.4),
        (("model", "sha256"), "abc"),
        (("model", "batch_norm"), "maybe"),
        (("conditions", 0, "chips"), 0),
        (("conditions", 0, "yield", "value"), 1.2),
        (("conditions", 0, "accuracy", "mean"), None),
        (("conditions", 0, "accuracies", 0), "0.5"),
        (("data", "examples"), 0),
        (("conditions", 0, "new"), 1),
        (("new",), 1),
    ],
)
def test_wrong_values_and_unknown_keys_are_refused(path, value):
    document = copy.deepcopy(read(old("eval-many")).document)
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    assert problems(document) != []


@pytest.mark.parametrize("key", ["schema", "seed", "conditions", "clean", "runtime"])
def test_a_missing_key_is_refused(key):
    document = read(old("eval-many")).document
    validator = VALIDATORS[document["schema"]]
    del document[key]
    assert problems(document, validator) == [f"$: '{key}' is a required property"]


def test_the_inside_of_a_fit_is_checked_too():
    document = read(old("fit-levers")).document
    document["after"]["conditions"][0]["chips"] = "many"
    assert problems(document) != []
