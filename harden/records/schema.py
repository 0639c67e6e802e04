"""The published JSON Schemas (draft 2020-12), made from the records."""

from __future__ import annotations

from typing import Any, cast

from pydantic.json_schema import JsonSchemaValue

from harden.records.base import Document
from harden.records.chip import ChipRecord, ReplayRecord
from harden.records.comparison import CompareRecord
from harden.records.evaluation import EvalRecord
from harden.records.fit import FitRecord

KINDS: dict[str, type[Document]] = {
    kind.SCHEMA: kind for kind in (EvalRecord, FitRecord, CompareRecord, ChipRecord, ReplayRecord)
}


def schema_of(kind: type[Document]) -> JsonSchemaValue:
    """The schema of a document, complete in itself.

    It says what this version writes, to the key: a later version of the same number may write more.

    Args:
        kind: One of ``KINDS``.

    Example:
        >>> schema_of(ChipRecord)["$id"]
        'urn:harden:chip:1'
    """
    made = kind.model_json_schema()
    name = kind.SCHEMA
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:" + name.replace(".", ":").replace("/", ":"),
        "title": name,
    }
    return {**head, **{key: _short(value) for key, value in made.items() if key != "title"}}


def _short(node: Any) -> Any:
    """The same schema with ``{"type": ["number", "null"]}`` in place of a choice between the two."""
    if isinstance(node, list):
        return [_short(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    part: JsonSchemaValue = {key: _short(value) for key, value in cast("JsonSchemaValue", node).items()}
    choice: list[JsonSchemaValue] = part.get("anyOf", [])
    if len(choice) == 2 and choice[1] == {"type": "null"} and "type" in choice[0] and "enum" not in choice[0]:
        rest = {key: value for key, value in part.items() if key != "anyOf"}
        return {**choice[0], "type": [choice[0]["type"], "null"], **rest}
    return part
