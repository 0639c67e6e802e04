"""The result of an evaluation: one document, and convenient ways to look at it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np

SCHEMA = "harden.eval/1"
_HEAD = ("noise", "time", "chips", "mean", "5th percentile", "worst")


@dataclass(frozen=True)
class Evaluation:
    """What ``harden.evaluate`` hands back.

    Attributes:
        document: The ``harden.eval/1`` document: plain dicts, lists and numbers.
    """

    document: dict[str, Any]

    def accuracies(self, index: int = 0) -> np.ndarray:
        """[K] the accuracy of each chip under the condition with this index."""
        return np.array(self.document["profiles"][index]["accuracies"], dtype=np.float64)

    def __repr__(self) -> str:
        """The conditions as a table; the first column to the left, numbers to the right."""
        table = [list(_HEAD), *self._rows()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(cells))
            for cells in (list(zip(row, widths, strict=True)) for row in table)
        ]
        clean = self.document["clean"]["accuracy"]
        noiseless = "" if clean is None else f", accuracy without noise {clean:.4f}"
        return "\n".join([f"Evaluation of {self.document['model']['path']}{noiseless}", *lines])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{c}</th>" for c in _HEAD)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows()
        )
        clean = self.document["clean"]["accuracy"]
        title = "" if clean is None else f"<p>clean accuracy {clean:.4f}</p>"
        return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def _rows(self) -> list[list[str]]:
        rows = []
        for entry in self.document["profiles"]:
            accuracy = entry["accuracy"] or {}
            numbers = [f"{accuracy[k]:.4f}" if k in accuracy else "-" for k in ("mean", "p05", "min")]
            rows.append([entry["name"], f"{entry['at_s']:g} s", str(entry["chips"]), *numbers])
        return rows
