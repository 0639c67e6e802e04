"""Measured cells as a CSV file, and the profile that was fitted to them as a file."""

from __future__ import annotations

import csv


def write(path, columns):
    """Columns of numbers by their titles."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return path


def saved(calibration, folder):
    """The fitted profile as a file."""
    file = folder / f"{calibration.name}.toml"
    file.write_text(calibration.toml, encoding="utf-8")
    return file
