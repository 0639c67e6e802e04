"""Run folders that an earlier version left are read, and their record is left as it is."""

from __future__ import annotations

import json

import pytest
from old_documents import old

import harden
from harden.errors import RunFolderError
from harden.records import FitRecord
from harden.report.files import read_record, rewrite
from harden.runfolder import RunFolder, refuse_another_run


def test_a_finished_run_of_version_1_is_read_and_reported_again(tmp_path):
    text = json.dumps(old("fit-rescale"), indent=1) + "\n"
    (tmp_path / "report.json").write_text(text)

    record = read_record(tmp_path)
    written = rewrite(tmp_path)

    assert isinstance(record, FitRecord)
    assert record.method.name == "rescale"
    assert record.document["schema"] == "harden.fit/2"
    assert harden.Report.load(tmp_path).record == record
    assert set(written["files"]) == {"html", "card", "record"}
    assert (tmp_path / "report.json").read_text() == text
    assert "rescale" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_settings_in_another_order_are_the_same_run(tmp_path):
    one, other = "chips = 3\nseed = 0\n", "seed = 0\nchips = 3\n"
    with RunFolder(tmp_path / "run", one):
        pass
    refuse_another_run(tmp_path / "run", other)
    with RunFolder(tmp_path / "run", other):
        pass
    with pytest.raises(RunFolderError, match="chips: 3 there, 4 asked for"):
        refuse_another_run(tmp_path / "run", other.replace("3", "4"))
