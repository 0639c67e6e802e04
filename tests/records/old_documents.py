"""Documents that harden wrote before its records had classes: real runs on the embedded digits, few chips each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "documents"
OLD = sorted(path.stem for path in FOLDER.glob("*.json"))


def old(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
