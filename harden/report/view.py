"""A report as an object: in a notebook it is drawn, elsewhere it is one sentence."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harden.errors import InputError
from harden.records import ReportRecord
from harden.report import render
from harden.report.document import Reading
from harden.report.files import RECORD
from harden.runfolder import no_finished_run
from harden.store import read_record, write_atomic

_HEIGHT_PX = 700


@dataclass(frozen=True)
class Report:
    """A report document with its views.

    Args:
        document: A record, such as ``harden.evaluate`` gives, or the JSON of one of any version.

    Example:
        >>> report = Report({"schema": "harden.eval/2", "model": {"path": "a.onnx"}})
        >>> print(report)
        a.onnx was processed, and no chips were tried, so nothing is known about its robustness.
    """

    document: Mapping[str, Any] | ReportRecord

    @property
    def record(self) -> ReportRecord:
        """What the report is made from, as a record: ``Report.load("runs/a").record.after.conditions[0]``."""
        return Reading(self.document).record

    @classmethod
    def load(cls, run: str | os.PathLike[str]) -> Report:
        """The report of a finished run.

        Args:
            run: The run folder.

        Raises:
            InputError: The folder holds no finished run.
        """
        document = read_record(Path(run) / RECORD)
        if document is None:
            raise no_finished_run(Path(run), RECORD)
        return cls(document)

    @property
    def verdict(self) -> str:
        """One sentence with the numbers that decide."""
        return render.verdict(self.document)

    @property
    def html(self) -> str:
        """The whole report as one HTML file."""
        return render.html(self.document)

    @property
    def markdown(self) -> str:
        """The model card."""
        return render.markdown(self.document)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report; the ending decides the form: ``.html``, ``.md`` or ``.json``.

        Raises:
            InputError: Another ending.
        """
        path = Path(path)
        forms = {
            ".html": lambda: self.html,
            ".md": lambda: self.markdown,
            ".json": lambda: json.dumps(self.record.document),
        }
        if path.suffix not in forms:
            raise InputError("a report ends in .html, .md or .json", where=str(path))
        return write_atomic(path, forms[path.suffix]())

    def __str__(self) -> str:
        return self.verdict

    def __repr__(self) -> str:
        return f"<Report: {self.verdict}>"

    def _repr_html_(self) -> str:
        # A frame of its own, so that neither the notebook's styles nor the report's reach the other.
        frame = (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox style="width: 100%; height: {_HEIGHT_PX}px; border: 0">'
        )
        return f"<p>{html.escape(self.verdict)}</p>{frame}</iframe>"
