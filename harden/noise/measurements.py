"""Measurements of a lab: target and measured conductances from CSV, refused where no law can be fitted to them."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harden.errors import DataError
from harden.noise.goodness import outliers

_CONDUCTANCE = re.compile(r"(?:g_)?(target|measured)(?:_g|_conductance)?_(ns|us|ms|s)")
_TIME = re.compile(r"(?:time|t)_(s|min|h|d)")
_TO_MICROSIEMENS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
_TO_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_FEWEST_ROWS = 200
_FEWEST_LEVELS = 4
_FEWEST_PER_TIME = 100
_LARGEST_UNIT_RATIO = 5.0
_SMALLEST_CORRELATION = 0.5
_MOST_OUTLIERS = 0.2
_SMALL_NEGATIVE = 0.05  # of the largest target
_MOST_NEGATIVE = 0.1  # of the readings


@dataclass(frozen=True)
class Measurements:
    """Rows of a file, as arrays of one length.

    Attributes:
        target: Target conductance in µS.
        measured: Measured conductance in µS.
        time_s: Seconds since programming, where the file has them.
        cell: A number for each cell, where the file names cells (within devices).
        device: A number for each device, where the file names devices.
        notes: What was guessed or changed while reading, for people.
    """

    target: np.ndarray
    measured: np.ndarray
    time_s: np.ndarray | None = None
    cell: np.ndarray | None = None
    device: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.target)

    def rows(self, index: np.ndarray) -> Measurements:
        """Some of the rows."""
        time_s, cell, device = (None if part is None else part[index] for part in (self.time_s, self.cell, self.device))
        return Measurements(self.target[index], self.measured[index], time_s, cell, device, self.notes)


def read_measurements(path: str | Path) -> Measurements:
    """Read a CSV file with a header.

    Columns: ``target_us`` and ``measured_us`` (the unit in the name: ns, us, ms or s for siemens), and, where
    there are any, ``time_s`` (s, min, h or d), ``cell`` and ``device``.

    Raises:
        DataError: The file cannot be read, lacks a column, or holds too little or inconsistent data; every problem is
            listed.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = [name.strip().lower() for name in reader.fieldnames or []]
            reader.fieldnames = header
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"cannot be read: {reason}", where=str(path)) from None
    columns, problems = _columns(header)
    if problems:
        raise DataError("; ".join(problems), where=str(path), fix="Name the unit in the column, such as target_us.")
    numbers: dict[str, np.ndarray] = {}
    for kind, (name, factor) in columns.items():
        try:
            numbers[kind] = _numbers(rows, name) * factor
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise DataError("; ".join(problems), where=str(path))
    devices = _labels(rows, "device") if "device" in header else None
    cells = _labels(rows, "cell", beside="device" if devices is not None else None) if "cell" in header else None
    measurements = Measurements(numbers["target"], numbers["measured"], numbers.get("time"), cells, devices)
    measurements = _without_small_negatives(measurements)
    problems = inconsistencies(measurements)
    if problems:
        raise DataError("; ".join(problems), where=str(path), fix="No law is fitted to such data.")
    return measurements


def _without_small_negatives(data: Measurements) -> Measurements:
    """Readings a little below zero, as an offset of a converter gives, become zero, and are counted."""
    below = data.measured < 0
    largest = float(data.target.max()) if len(data) else 0.0
    small = below & (data.measured >= -_SMALL_NEGATIVE * largest)
    if not below.any() or small.sum() < below.sum() or small.mean() > _MOST_NEGATIVE:
        return data
    note = f"{int(small.sum())} readings slightly below zero (down to {data.measured.min():.3g} µS) count as zero"
    return replace(data, measured=np.where(small, 0.0, data.measured), notes=(*data.notes, note))


def inconsistencies(data: Measurements) -> list[str]:
    """Why no law can be fitted to the data, every reason; nothing if it can."""
    problems: list[str] = []
    if len(data) < _FEWEST_ROWS:
        problems.append(f"only {len(data)} rows, at least {_FEWEST_ROWS} are needed")
    if len(data) < 2:
        return problems
    if (data.target < 0).any() or (data.measured < 0).any():
        problems.append(f"{int(((data.target < 0) | (data.measured < 0)).sum())} rows have a negative conductance")
    levels = len(np.unique(data.target))
    if levels < _FEWEST_LEVELS:
        problems.append(
            f"only {levels} target levels, at least {_FEWEST_LEVELS} are needed to fit σ against conductance"
        )
    if np.array_equal(data.target, data.measured):
        problems.append("measured equals target in every row: nothing was measured")
    elif levels > 1:
        problems += _mismatch(data)
        first = slice(None) if data.time_s is None else data.time_s == data.time_s.min()
        if outliers(data.target[first], (data.measured - data.target)[first]) > _MOST_OUTLIERS:
            problems.append(f"over {_MOST_OUTLIERS:.0%} of the values are far from the others of their level")
    if data.time_s is not None:
        problems += _bad_times(data)
    return problems


def _mismatch(data: Measurements) -> list[str]:
    problems: list[str] = []
    middle = float(np.median(data.measured[data.target > 0] / data.target[data.target > 0]))
    if not 1 / _LARGEST_UNIT_RATIO < middle < _LARGEST_UNIT_RATIO:
        problems.append(f"measured is {middle:.3g} times target in the middle: are the units right?")
    if np.ptp(data.measured) == 0:
        problems.append("every measured value is the same")
    else:
        correlation = float(np.corrcoef(data.target, data.measured)[0, 1])  # pyright: ignore[reportUnknownMemberType]
        if correlation < _SMALLEST_CORRELATION:
            problems.append(f"measured does not follow target (correlation {correlation:.2f})")
    return problems


def _bad_times(data: Measurements) -> list[str]:
    problems: list[str] = []
    time_s = np.zeros(0) if data.time_s is None else data.time_s
    if (time_s < 0).any():
        problems.append(f"{int((time_s < 0).sum())} rows have a negative time")
    times, counts = np.unique(time_s, return_counts=True)
    few = [f"{time:g} s" for time, count in zip(times, counts, strict=True) if count < _FEWEST_PER_TIME]
    if few:
        problems.append(f"fewer than {_FEWEST_PER_TIME} rows at {', '.join(few[:5])}{' ...' if len(few) > 5 else ''}")
    if data.cell is not None:
        pairs = np.unique(np.stack([data.cell, time_s]), axis=1).shape[1]
        if pairs < len(data):
            problems.append(f"{len(data) - pairs} rows repeat a cell at the same time")
        first: dict[float, float] = {}
        for cell, target in zip(data.cell.tolist(), data.target.tolist(), strict=True):
            if first.setdefault(cell, target) != target:
                problems.append("a cell has several targets: number programmings as cells of their own")
                break
    return problems


def _columns(header: list[str]) -> tuple[dict[str, tuple[str, float]], list[str]]:
    columns: dict[str, tuple[str, float]] = {}
    problems: list[str] = []
    for name in header:
        match = _CONDUCTANCE.fullmatch(name)
        time = _TIME.fullmatch(name)
        kind, factor = (
            (match[1], _TO_MICROSIEMENS[match[2]]) if match else ("time", _TO_SECONDS[time[1]]) if time else (None, 0.0)
        )
        if kind is None:
            continue
        if kind in columns:
            problems.append(f"two columns for the same thing: {columns[kind][0]} and {name}")
        columns[kind] = (name, factor)
    for kind in ("target", "measured"):
        if kind not in columns:
            near = [name for name in header if kind in name]
            hint = f" ({near[0]} has no unit)" if near else f" among {', '.join(header) or 'no header'}"
            problems.append(f"no column {kind}_us{hint}")
    return columns, problems


def _numbers(rows: list[dict[str, str]], name: str) -> np.ndarray:
    values = np.empty(len(rows))
    for index, row in enumerate(rows):
        text = row.get(name)
        try:
            values[index] = float(text if text is not None else "")
        except ValueError:
            raise ValueError(f"row {index + 2}, column {name}: '{text or ''}' is not a number") from None
    if not np.isfinite(values).all():
        raise ValueError(f"row {int(np.flatnonzero(~np.isfinite(values))[0]) + 2}, column {name}: not a finite number")
    return values


def _labels(rows: list[dict[str, str]], name: str, beside: str | None = None) -> np.ndarray:
    names = [(row.get(beside) if beside else None, row.get(name)) for row in rows]
    numbers = {label: index for index, label in enumerate(dict.fromkeys(names))}
    return np.array([numbers[label] for label in names])
