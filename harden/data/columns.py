"""Which columns of a table hold the images or numbers, and which the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harden.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

LABELS = ("label", "labels", "class", "target", "y", "fine_label")
IMAGES = ("image", "img", "images", "picture", "png", "jpg", "jpeg", "webp")
LISTS = ("x", "values", "signal", "features", "input", "inputs", "data", "audio")


@dataclass(frozen=True)
class Columns:
    """The chosen columns: one image column, one column of lists (``listed``), or several columns of single numbers."""

    label: str | None
    image: str | None = None
    values: tuple[str, ...] = ()
    listed: bool = False


def choose(schema: pa.Schema, where: str, *, labelled: bool) -> Columns:
    """Find the columns by name, else by type.

    An image is a column of bytes or of structs with a field ``bytes``. Without images, the column of number lists is
    taken; without these, all columns of single numbers beside the label are the features, in the table's order.

    Raises:
        DataError: There is no label column, nothing to take as input, or more than one candidate.
    """
    columns = "found: " + (", ".join(f"{field.name} ({_short(field.type)})" for field in schema) or "no columns")
    label = next((name for name in LABELS if name in schema.names), None)
    if label is None and labelled:
        raise DataError(
            f"no labels ({columns})", where=where, fix=f"Name the column of labels one of: {', '.join(LABELS)}"
        )
    fields = [field for field in schema if field.name != label]
    image = _only([field.name for field in fields if _is_image(field.type)], IMAGES, "image", where)
    if image:
        return Columns(label, image=image)
    listed = _only([field.name for field in fields if _is_list(field.type)], LISTS, "list", where)
    if listed:
        return Columns(label, values=(listed,), listed=True)
    texts = [f"'{field.name}' ({_short(field.type)})" for field in fields if not _is_number(field.type)]
    if texts and len(texts) < len(fields):
        what = f"columns that are not numbers: {', '.join(texts)}"
        raise DataError(what, where=where, fix="Remove them, or encode them as numbers")
    single = tuple(field.name for field in fields if _is_number(field.type))
    if not single:
        fix = f"Images: bytes, or a struct with bytes, named one of {', '.join(IMAGES)}; else lists of numbers"
        raise DataError(f"no images and no numbers ({columns})", where=where, fix=fix)
    return Columns(label, values=single)


def _only(names: list[str], accepted: tuple[str, ...], kind: str, where: str) -> str | None:
    named = [name for name in accepted if name in names]
    if len(names) > 1 and not named:
        what = f"several {kind} columns: {', '.join(names)}"
        raise DataError(what, where=where, fix=f"Name the one to use one of: {', '.join(accepted)}")
    return (named or names or [None])[0]


def _short(kind: pa.DataType) -> str:
    text = str(kind)
    return text if len(text) <= 40 else text[:37] + "..."


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type that is stored: libraries wrap lists into types of their own, such as ``datasets.Array2D``."""
    import pyarrow as pa

    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _is_image(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        # A column of structs none of which holds bytes has the type null; their paths may still name files.
        return any(field.name == "bytes" and (_is_image(field.type) or pa.types.is_null(field.type)) for field in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kind = _plain(kind)
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(kind) for check in kinds) and (_is_number(kind.value_type) or _is_list(kind.value_type))


def numbers(column: pa.Array, where: str, first: int) -> np.ndarray:
    """A column of numbers, or of (nested) lists of them, as an array.

    Args:
        column: The rows.
        where: What messages call the column.
        first: The number of the first row, for messages.

    Returns:
        [rows, ...] of the column's own number type.

    Raises:
        DataError: A value is missing, or the lists have different lengths.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if column.null_count:
        row = first + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise DataError(f"row {row} is empty", where=where, fix="Remove the row or fill it")
    if not _is_list(column.type):
        values = column.to_numpy(zero_copy_only=False)
        return values.astype(np.int8) if values.dtype == np.bool_ else values
    lengths = pc.call_function("list_value_length", [column]).to_numpy(zero_copy_only=False)
    if len(lengths) and (lengths != lengths[0]).any():
        row = int(np.argmax(lengths != lengths[0]))
        what = f"row {first + row} is a list of {lengths[row]} numbers, row {first} one of {lengths[0]}"
        raise DataError(what, where=where, fix="All examples need one shape: cut or pad them")
    length = int(lengths[0]) if len(lengths) else 0
    # A null inside a list would be reported at its place in the flattened list; the row is its place over the length.
    flat = column.flatten()
    if flat.null_count:
        at = int(np.argmax(flat.is_null().to_numpy(zero_copy_only=False)))
        raise DataError(f"a number is missing in row {first + at // max(length, 1)}", where=where, fix="Fill it")
    inner = numbers(flat, f"{where}, inner lists", first * length)
    return inner.reshape(len(lengths), length, *inner.shape[1:])
