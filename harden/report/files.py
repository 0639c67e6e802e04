"""One record becomes report.json, report.html and the model card; nothing here runs a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from harden import pacing, store
from harden.records import FitRecord, ReportRecord, read
from harden.report.bom import bom
from harden.report.document import Reading
from harden.report.render import html, markdown, verdict
from harden.runfolder import no_finished_run
from harden.store import write_atomic

RECORD = "report.json"


def write_report(folder: Path, record: ReportRecord) -> None:
    """Write the three forms of a finished run's record into its folder; the JSON comes last.

    A report on several seeds lies beside their folders, each with a model and a card, and gets no card of its own.

    Args:
        folder: The run folder.
        record: What ``harden fit``, ``eval`` or ``compare`` found.
    """
    text = json.dumps(record.document, indent=1)
    _write_pages(folder, read(json.loads(text)))  # what is shown is what is stored, so it can be made again to the byte
    write_atomic(folder / RECORD, text + "\n")


def _write_pages(folder: Path, record: ReportRecord) -> None:
    reading = Reading(record)
    if pacing.current().page:
        write_atomic(folder / "report.html", html(reading))
    if not _of_seeds(record):
        write_atomic(folder / "README.md", markdown(reading))


def _of_seeds(record: ReportRecord) -> bool:
    return isinstance(record, FitRecord) and bool(record.seeds)


def read_record(folder: Path) -> ReportRecord | None:
    """The record of a finished run, of any version, or ``None`` while it is not finished.

    Raises:
        InputError: The file is damaged.
    """
    document = store.read_record(folder / RECORD)
    return None if document is None else read(document, str(folder / RECORD))


class Rewritten(TypedDict):
    """The verdict, and the files that were written, by form."""

    schema: str
    verdict: str
    files: dict[str, str]


def rewrite(folder: Path, *, with_bom: bool = False) -> Rewritten:
    """Make the report of a finished run again, of any version; its record stays as it is.

    Args:
        folder: The run folder.
        with_bom: Also write ``bom.json``, a CycloneDX bill of materials.

    Raises:
        InputError: The folder holds no finished run.
    """
    record = read_record(folder)
    if record is None:
        raise no_finished_run(folder, RECORD)
    _write_pages(folder, record)
    files = {"html": "report.html", "card": "README.md", "record": RECORD}
    if _of_seeds(record):
        del files["card"]
    if with_bom:
        write_atomic(folder / "bom.json", json.dumps(bom(record), indent=1) + "\n")
        files["bom"] = "bom.json"
    return {
        "schema": "harden.report/1",
        "verdict": verdict(record),
        "files": {form: str(folder / name) for form, name in files.items()},
    }
