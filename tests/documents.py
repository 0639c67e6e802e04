"""What tests do with the JSON documents that commands write."""

from __future__ import annotations

from typing import Any

TIMES = ("seconds", "runtime")


def without_times(document: Any) -> Any:
    """The document without what may differ between equal runs: seconds and speeds."""
    if isinstance(document, dict):
        return {key: without_times(value) for key, value in document.items() if key not in TIMES}
    return [without_times(value) for value in document] if isinstance(document, list) else document
