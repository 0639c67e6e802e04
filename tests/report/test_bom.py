"""The bill of materials: names and digests that can be checked, numbers with their bounds."""

from __future__ import annotations

import copy
import importlib.util
import json
from typing import Any

import pytest

from harden.errors import InputError
from harden.report.bom import bom

Document = dict[str, Any]


def test_the_model_and_its_ancestor_are_named_by_digest(fit_document):
    document = fit_document()
    model, data, *libraries = bom(document)["components"]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": document["after"]["model"]["sha256"]}]
    assert model["pedigree"]["ancestors"][0]["hashes"][0]["content"] == document["before"]["model"]["sha256"]
    assert data["hashes"][0]["content"] == document["after"]["data"]["sha256"]
    assert {c["name"] for c in libraries} == {"torch", "onnxruntime"}


def test_numbers_carry_their_intervals(fit_document):
    document = fit_document()
    entry = document["after"]["profiles"][0]
    metrics = bom(document)["components"][0]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    found = {m["type"]: m for m in metrics}
    mean = found["mean accuracy over chips"]
    assert float(mean["value"]) == pytest.approx(entry["accuracy"]["mean"], rel=1e-5)
    assert float(mean["confidenceInterval"]["lowerBound"]) == pytest.approx(
        entry["accuracy"]["ci95_images"][0], rel=1e-5
    )
    assert float(found["yield at accuracy 80.0%"]["value"]) == entry["yield"]["value"]
    assert "gaussian, 100 chips" in {m["slice"] for m in metrics}


def test_limits_are_part_of_it(fit_document):
    limits = bom(fit_document())["components"][0]["modelCard"]["considerations"]["technicalLimitations"]
    assert any("assumption" in text for text in limits)


def test_equal_documents_give_equal_bills_and_others_do_not(fit_document):
    document = fit_document()
    assert bom(document) == bom(copy.deepcopy(document))
    assert "timestamp" not in json.dumps(bom(document))
    other = copy.deepcopy(document)
    other["after"]["seed"] = 1
    assert bom(other)["serialNumber"] != bom(document)["serialNumber"]


def test_references_resolve_and_paths_stay_private(fit_document):
    made = bom(fit_document())
    references = {c["bom-ref"] for c in made["components"]}
    assert len(references) == len(made["components"])
    assert made["components"][0]["modelCard"]["modelParameters"]["datasets"][0]["ref"] in references
    assert "cifar10/" not in json.dumps(made)


def test_a_comparison_has_none(compare_document):
    with pytest.raises(InputError, match="one model"):
        bom(compare_document())


@pytest.mark.skipif(importlib.util.find_spec("cyclonedx") is None, reason="cyclonedx-python-lib is not installed")
def test_it_follows_the_published_schema(fit_document, eval_document):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    for document in (fit_document(), eval_document(), {"schema": "harden.eval/1", "model": {"path": "a.onnx"}}):
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom(document))) is None
