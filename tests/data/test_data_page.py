"""The Python of docs/data.md runs, block after block, in an empty folder."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) > 5
    names = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    sys.modules.pop("scans", None)


def test_the_page_names_every_form():
    from harden.data.sources import SOURCES

    text = PAGE.read_text(encoding="utf-8")
    hints = {"arrow": "save_to_disk", "delimited": ".csv", "folder": "folder of images", "hub": "hf:NAME:SPLIT"}
    for name in SOURCES:
        assert hints.get(name, {"loader": "module:function"}.get(name, name)) in text, name
