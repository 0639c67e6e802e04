"""Documents of earlier versions, brought to the present form: the one place that knows of old keys."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any, cast

Json = dict[str, Any]


def migrated(document: Mapping[str, Any]) -> Json:
    """The document as the present version writes it; the order of its keys stays.

    ``harden.eval/1``, ``fit/1`` and ``compare/1`` become ``/2``: the key ``profiles``, which held conditions, is
    ``conditions``.

    Args:
        document: Of any version; not changed.

    Example:
        >>> migrated({"schema": "harden.eval/1", "seed": 0, "profiles": []})
        {'schema': 'harden.eval/2', 'seed': 0, 'conditions': []}
    """
    step = _STEPS.get(str(document.get("schema", "")))
    return step(document) if step else dict(document)


def _eval(document: Mapping[str, Any]) -> Json:
    renamed = {"conditions" if key == "profiles" else key: value for key, value in document.items()}
    return renamed | {"schema": "harden.eval/2", **_command(document)}


def _fit(document: Mapping[str, Any]) -> Json:
    sides = {role: _inner(document[role]) for role in ("before", "after") if document.get(role)}
    names = {key: _name(document[key]) for key in ("profile",) if key in document}
    method = {"method": {"name": document["method"]}} if isinstance(document.get("method"), str) else {}
    return {**document, **sides, **names, **method, **_command(document), "schema": "harden.fit/2"}


def _compare(document: Mapping[str, Any]) -> Json:
    rows = cast("list[Json]", document.get("models") or [])
    models = [{**row, "evaluation": _inner(row.get("evaluation"))} for row in rows]
    return {**document, "models": models, **_command(document), "schema": "harden.compare/2"}


def _inner(evaluation: object) -> object:
    """An evaluation inside a document; the first ones did not say their schema."""
    return _eval(cast("Json", evaluation)) if isinstance(evaluation, Mapping) else evaluation


def _name(value: Any) -> Any:
    """The name in a string, in a mapping with ``name``, or in a list of these."""
    if isinstance(value, Mapping):
        return _name(cast("Json", value).get("name"))
    if isinstance(value, list):
        return ", ".join(name for item in cast("list[Any]", value) if (name := _name(item)))
    return value


def _command(document: Mapping[str, Any]) -> Json:
    """A command that is a list of words is one line."""
    words = document.get("command")
    return {"command": shlex.join(map(str, cast("list[Any]", words)))} if isinstance(words, list) else {}


_STEPS: dict[str, Callable[[Mapping[str, Any]], Json]] = {
    "harden.eval/1": _eval,
    "harden.fit/1": _fit,
    "harden.compare/1": _compare,
}
