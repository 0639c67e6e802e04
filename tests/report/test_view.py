"""The report as an object, in a notebook and elsewhere."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

import harden
from harden.errors import InputError


def test_a_notebook_shows_the_whole_report_in_a_frame(eval_document):
    report = harden.Report(eval_document())
    shown = report._repr_html_()
    frame = re.search(r'<iframe srcdoc="([^"]*)"', shown)
    assert frame is not None
    assert unescape(frame[1]) == report.html
    assert "<script" not in shown
    assert str(report) == report.verdict in repr(report)


def test_it_is_saved_by_ending_and_loaded_from_a_run(eval_document, tmp_path):
    report = harden.Report(eval_document())
    assert report.save(tmp_path / "a.html").read_text(encoding="utf-8") == report.html
    assert report.save(tmp_path / "a.md").read_text(encoding="utf-8") == report.markdown
    report.save(tmp_path / "report.json")
    # The document is of version 1; what is saved is of the present one.
    assert harden.Report.load(tmp_path).document == json.loads(json.dumps(report.record.document))
    assert harden.Report.load(tmp_path).record == report.record
    with pytest.raises(InputError, match=r"\.html"):
        report.save(tmp_path / "a.pdf")
    with pytest.raises(InputError, match="holds no run"):
        harden.Report.load(tmp_path / "nowhere")
