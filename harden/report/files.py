"""One record becomes report.json, report.html and the model card; nothing here runs a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harden import store
from harden.report.bom import bom
from harden.report.render import html, markdown, verdict
from harden.runfolder import no_finished_run
from harden.store import write_atomic

RECORD = "report.json"


def write_report(folder: Path, document: dict[str, Any]) -> None:
    """Write the three forms of a finished run's document into its folder; the record comes last.

    A report on several seeds lies beside their folders, each with a model and a card, and gets no card of its own.

    Args:
        folder: The run folder.
        document: A ``harden.fit/1`` or ``harden.eval/1`` document.
    """
    record = json.dumps(document, indent=1)
    document = json.loads(record)  # what is shown is what is stored, so the report can be made again to the byte
    write_atomic(folder / "report.html", html(document))
    if not document.get("seeds"):
        write_atomic(folder / "README.md", markdown(document))
    write_atomic(folder / RECORD, record + "\n")


def read_record(folder: Path) -> dict[str, Any] | None:
    """The document of a finished run, or ``None`` while it is not finished."""
    return store.read_record(folder / RECORD)


def rewrite(folder: Path, *, with_bom: bool = False) -> dict[str, Any]:
    """Make the report of a finished run again.

    Args:
        folder: The run folder.
        with_bom: Also write ``bom.json``, a CycloneDX bill of materials.

    Returns:
        A ``harden.report/1`` document: ``verdict``, and the ``files`` that were written, by form.

    Raises:
        InputError: The folder holds no finished run.
    """
    document = read_record(folder)
    if document is None:
        raise no_finished_run(folder, RECORD)
    write_report(folder, document)
    files = {"html": "report.html", "card": "README.md", "record": RECORD}
    if document.get("seeds"):
        del files["card"]
    if with_bom:
        write_atomic(folder / "bom.json", json.dumps(bom(document), indent=1) + "\n")
        files["bom"] = "bom.json"
    return {
        "schema": "harden.report/1",
        "verdict": verdict(document),
        "files": {form: str(folder / name) for form, name in files.items()},
    }
