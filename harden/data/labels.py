"""Labels as found in files: class numbers 0..C-1, or numbers to predict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harden.errors import DataError

FIX = "Labels are class numbers 0..C-1, or names"
MOST_CLASSES = 1_000_000  # a larger label is an identifier, not a class


def encode(
    labels: Sequence[object] | np.ndarray, where: str, names: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Class numbers, and class names where there are any.

    Numbers are taken as they are. Names are sorted and numbered, by value where all of them are whole numbers ("10"
    after "9"); a file's own list of names (``names``) decides instead, where there is one.

    Args:
        labels: One label per example: integers, floats that are whole, booleans, or strings.
        where: What messages call the labels, such as "train.parquet, column 'label'".
        names: The file's class names in order.

    Returns:
        int64 [N], and the names in order or ``None``. Numbers with fractions stay what they are, float32 [N]; several
        per example are int64 or float32 [N, K].

    Raises:
        DataError: A label is missing, negative, not a number of a class, or not one of the names.

    Example:
        >>> encode(["cat", "ant", "cat"], "labels")
        (array([1, 0, 1]), ('ant', 'cat'))
    """
    try:
        values = np.asarray(labels)
    except ValueError as error:
        raise DataError(
            "labels are lists of different lengths, not one number per example", where=where, fix=FIX
        ) from error
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "biuf":
        return _several(values, where), None
    if values.ndim != 1:
        what, masks = f"labels have shape {list(values.shape)}, not one number per example", values.ndim > 2
        fix = "--objective match compares outputs without labels" if masks else FIX
        raise DataError(f"{what}{': they are masks' if masks else ''}", where=where, fix=fix)
    if values.dtype.kind == "O":
        values = _unbox(values, where)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "U":
        return _from_names(values.tolist(), where, names)
    if values.dtype.kind not in "biuf":
        raise DataError(f"labels are of type {values.dtype}", where=where, fix=FIX)
    if values.dtype.kind == "f" and names is None and _real(values):
        return values.astype(np.float32), None
    return _from_numbers(values, where, names), tuple(names) if names else None


def _real(values: np.ndarray) -> bool:
    """Whether these are numbers to predict and no class numbers: with fractions, or negative beyond -1."""
    return bool(np.isfinite(values).all() and ((values != np.floor(values)).any() or (values < -1).any()))


def _several(values: np.ndarray, where: str) -> np.ndarray:
    """Several labels per example: whole numbers as int64, others as float32."""
    whole = values == np.floor(values)
    if not np.isfinite(values).all():
        raise DataError("a label is NaN or infinite", where=where, fix="Remove the example or label it")
    if whole.all() and np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all():
        raise DataError(
            f"labels are one-hot, of shape {list(values.shape)}", where=where, fix=f"{FIX}: labels.argmax(axis=1)"
        )
    return values.astype(np.int64 if whole.all() else np.float32)


def _unbox(values: np.ndarray, where: str) -> np.ndarray:
    """An array of Python objects as one of numbers or of strings."""
    kinds = set()
    for row, value in enumerate(values):
        if value is None:
            raise DataError(f"the label of row {row} is missing", where=where, fix="Remove the row or label it")
        kind = next((kind for kind in (str, int, float) if isinstance(value, kind)), None)
        if kind is None and not isinstance(value, (np.integer, np.floating)):
            raise DataError(f"the label of row {row} is a {type(value).__name__}", where=where, fix=FIX)
        kinds.add(kind)
    if str in kinds and len(kinds) > 1:
        raise DataError("labels are numbers in some rows and names in others", where=where, fix=FIX)
    try:
        return np.asarray(values.tolist(), dtype=np.str_ if str in kinds else np.float64)
    except OverflowError as error:
        raise DataError("a label is too large for a class number", where=where, fix=FIX) from error


def _from_names(values: list[str], where: str, names: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    order = tuple(names) if names else in_order(set(values))
    number = {name: index for index, name in enumerate(order)}
    for row, value in enumerate(values):
        if value not in number:
            raise DataError(
                f"the label of row {row}, '{value}', is not one of the file's class names", where=where, fix=FIX
            )
    return np.array([number[value] for value in values], np.int64), order


def in_order(names: set[str]) -> tuple[str, ...]:
    """Class names in the order that numbers them: by value if all are whole numbers, else by character.

    Example:
        >>> in_order({"10", "9"}), in_order({"b10", "b9"})
        (('9', '10'), ('b10', 'b9'))
    """
    if all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _from_numbers(values: np.ndarray, where: str, names: Sequence[str] | None) -> np.ndarray:
    limit = len(names) if names else MOST_CLASSES
    numbers = values.astype(np.float64)
    wrong = ~((numbers == np.floor(numbers)) & (numbers >= 0) & (numbers < limit))
    if wrong.any():
        row = int(np.argmax(wrong))
        value = numbers[row]
        if np.isnan(value):
            what = "is NaN"
        elif value != np.floor(value):
            what = f"is {value:g}, not a whole number"
        elif value < 0:
            what = f"is {value:g}, which is negative (often: unlabelled)"
        else:
            problem = f"and there are {limit} classes" if names else "which is not the number of a class"
            what = f"is {value:g}, {problem}"
        raise DataError(f"the label of row {row} {what}", where=where, fix=FIX)
    return numbers.astype(np.int64)
