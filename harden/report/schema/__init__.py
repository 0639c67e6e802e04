"""Published JSON Schemas (draft 2020-12) of the documents that harden writes, and of those that it still reads.

Those of the present version are made from the classes of :mod:`harden.records` by ``docs/generate.py``.
"""

from __future__ import annotations

import json
from importlib import resources

from harden.errors import UnknownNameError
from harden.records.schema import KINDS

Json = dict[str, object]
EARLIER = ("harden.eval/1", "harden.fit/1", "harden.compare/1")
NAMES = (*KINDS, *EARLIER)


def load(name: str) -> Json:
    """The schema of a document, complete in itself.

    Args:
        name: What the document says under "schema", such as "harden.eval/2".

    Returns:
        A JSON Schema.

    Raises:
        UnknownNameError: No document has this name.

    Example:
        >>> load("harden.fit/2")["properties"]["schema"]
        {'const': 'harden.fit/2'}
    """
    if name not in NAMES:
        raise UnknownNameError("schema", name, NAMES)
    schema = _read(name)
    if name in EARLIER[1:]:  # those refer to the first by its $id
        schema["$defs"] = {"eval": _read(EARLIER[0])}
    return schema


def file_of(name: str) -> str:
    """The name of a schema's file.

    Example:
        >>> file_of("harden.eval/2")
        'eval-2.json'
    """
    return name.removeprefix("harden.").replace("/", "-") + ".json"


def _read(name: str) -> Json:
    return json.loads((resources.files(__name__) / file_of(name)).read_text(encoding="utf-8"))
