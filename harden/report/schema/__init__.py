"""Published JSON Schemas (draft 2020-12) of the documents that harden writes."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from harden.errors import UnknownNameError

NAMES = ("harden.eval/1", "harden.fit/1", "harden.compare/1")


def load(name: str) -> dict[str, Any]:
    """The schema of a document, complete in itself.

    Args:
        name: What the document says under "schema", such as "harden.eval/1".

    Returns:
        A JSON Schema; those of ``fit`` and ``compare`` carry that of ``eval`` under ``$defs``.

    Raises:
        UnknownNameError: No document has this name.

    Example:
        >>> load("harden.fit/1")["properties"]["schema"]
        {'const': 'harden.fit/1'}
    """
    if name not in NAMES:
        raise UnknownNameError("schema", name, NAMES)
    schema = _read(name)
    if name != "harden.eval/1":
        schema["$defs"] = {"eval": _read("harden.eval/1")}
    return schema


def _read(name: str) -> dict[str, Any]:
    file = name.removeprefix("harden.").replace("/", "-") + ".json"
    return json.loads((resources.files(__name__) / file).read_text(encoding="utf-8"))
