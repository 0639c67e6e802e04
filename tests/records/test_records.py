"""Records are read and written by the same classes, and old documents are brought to the present form."""

from __future__ import annotations

import json
import math

import pytest
from old_documents import OLD, old
from pydantic import ValidationError

from harden.errors import InputError
from harden.records import ChipRecord, CompareRecord, EvalRecord, FitRecord, Record, Spread, read
from harden.records.base import Document
from harden.records.schema import KINDS

ANALYSES = {"sensitivity", "worst_case", "landscape", "corners", "stress", "rare_failures", "per_chip"}


def all_records(kind=Record):
    for sub in kind.__subclasses__():
        yield sub
        yield from all_records(sub)


def renamed(node):
    """The same document with the new names, told independently of the migration."""
    text = json.dumps(node)
    for kind in ("eval", "fit", "compare"):
        text = text.replace(f'"schema": "harden.{kind}/1"', f'"schema": "harden.{kind}/2"')
    return text.replace('"profiles": [{', '"conditions": [{')


def extras(value):
    """Keys that no class describes."""
    if isinstance(value, Record):
        return [*(value.model_extra or {}), *(key for _, part in value.given() for key in extras(part))]
    if isinstance(value, (list, tuple)):
        return [key for part in value for key in extras(part)]
    return [key for part in value.values() for key in extras(part)] if isinstance(value, dict) else []


def test_there_are_documents_of_every_kind():
    keys = {key for name in OLD for key in old(name)}
    assert {old(name)["schema"] for name in OLD} >= {f"harden.{k}/1" for k in ("eval", "fit", "compare", "chip")}
    assert keys >= ANALYSES | {"sensitivity_r2", "seeds", "convergence_probability", "controls", "ablation"}


@pytest.mark.parametrize("name", OLD)
def test_an_old_document_is_read_migrated_and_written_equal_but_for_the_new_names(name):
    document = old(name)
    kind = KINDS.get(document["schema"])
    record = kind.read(document) if kind else read(document)
    assert json.dumps(record.document) == renamed(document)
    assert extras(record) == []
    # What was written is read and written again without a change.
    again = KINDS[record.SCHEMA].read(json.loads(json.dumps(record.document)))
    assert again == record
    assert again.document == record.document


def test_values_are_attributes():
    result = read(old("eval-also"))
    assert isinstance(result, EvalRecord)
    written = old("eval-also")
    assert result.conditions[0].accuracy is not None
    assert result.conditions[0].accuracy.mean == written["profiles"][0]["accuracy"]["mean"]
    assert result.conditions[0].yield_ is not None
    assert result.conditions[0].yield_.threshold == 0.5
    assert list(result.accuracies()) == written["profiles"][0]["accuracies"]
    assert result.worst_case is not None
    assert result.worst_case.steps == written["worst_case"]["steps"]
    fitted = read(old("fit-levers"))
    assert isinstance(fitted, FitRecord)
    assert fitted.training is not None
    assert fitted.training.validation[-1].score == old("fit-levers")["training"]["validation"][-1]["accuracy"]
    assert fitted.controls is not None
    assert fitted.controls["none"].label == "noise-free fine-tuning, same levers"
    compared = read(old("compare"))
    assert isinstance(compared, CompareRecord)
    assert compared.differences[0].paired


def test_null_and_absent_are_kept_apart_and_the_order_of_keys_is_kept():
    for text in (
        '{"mean": 0.5, "std": null}',
        '{"std": null, "mean": 0.5}',
        '{"mean": 1}',
        '{"mean": 1.0, "new": [1]}',
    ):
        assert json.dumps(Spread.read(json.loads(text)).to_json()) == text


def test_numbers_that_are_not_finite_are_kept():
    spread = Spread.read({"mean": 0.5, "std": float("nan"), "max": float("inf")})
    assert json.dumps(spread.to_json()) == '{"mean": 0.5, "std": NaN, "max": Infinity}'
    assert spread.std is not None
    assert math.isnan(spread.std)


def test_a_record_is_frozen_and_a_changed_copy_keeps_the_places_of_its_keys():
    result = read(old("eval-also"))
    with pytest.raises(ValidationError, match="frozen"):
        result.seed = 1
    other = result.replaced(seed=7, note="mine")
    assert list(other.document) == [*result.document, "note"]
    assert other.document["seed"] == 7
    assert result.document["seed"] == 0


def test_what_harden_writes_is_complete():
    with pytest.raises(ValidationError, match="a Spread is written with max, median, min, p05, p95"):
        Spread(mean=0.5, std=0.1)


def test_what_is_missing_or_null_is_read_as_unknown():
    result = EvalRecord.read({"conditions": [{"name": None, "chips": None, "accuracy": {"mean": None}}], "clean": None})
    assert result.conditions[0].name == ""
    assert result.conditions[0].chips is None
    assert result.conditions[0].accuracy is None
    assert result.clean.accuracy is None
    assert result.runtime is None


def test_a_value_of_another_kind_is_named_with_its_place():
    with pytest.raises(InputError) as caught:
        read({"schema": "harden.eval/2", "seed": "0", "conditions": [{"chips": 1.5}]}, "run/report.json")
    assert "run/report.json" in str(caught.value)
    assert "seed: " in str(caught.value)
    assert "conditions.0.chips: " in str(caught.value)


def test_another_schema_is_refused():
    with pytest.raises(InputError, match="not a document that reports are made from"):
        read({"schema": "harden.chip/1"})
    with pytest.raises(InputError, match=r"harden\.eval/1"):
        ChipRecord.read({"schema": "harden.eval/1"})


def test_every_field_says_what_it_means_and_every_record_what_it_is():
    kinds = [kind for kind in all_records() if kind is not Document]
    assert len(kinds) > 30
    for kind in kinds:
        assert kind.__doc__, kind
        assert [name for name, field in kind.model_fields.items() if not field.description] == [], kind
