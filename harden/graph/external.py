"""Tensors in files beside the model: read from the model's own folder only, written back beside it.

In memory a model holds all its numbers itself; where they were is remembered, and restored on the way to disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from onnx import ModelProto, TensorProto

from harden.errors import ModelError, WriteError
from harden.graph.editor import copied
from harden.graph.storage import slots
from harden.graph.tensors import byte_size, problem_of
from harden.store import replacing

_OVERLAP = 4
_SMALLEST = 1024
_ALIGNMENT = 4096


@dataclass(frozen=True)
class Place:
    """Where a tensor's bytes are.

    Attributes:
        location: The file, relative to the model's folder.
        offset: Where they begin.
        entries: Everything the model says about it, as it says it.
    """

    location: str
    offset: int
    entries: tuple[tuple[str, str], ...]


def read_external(proto: ModelProto, folder: Path) -> dict[str, Place]:
    """Bring all external tensors of a model into it.

    Args:
        proto: The model; changed.
        folder: The model's folder; nothing outside it is read.

    Returns:
        Where each tensor was, by name.

    Raises:
        ModelError: A path leads out of the folder, a file is missing or too short, or the tensors claim far more
            bytes than the files have.
    """
    places: dict[str, Place] = {}
    claimed = 0
    files: dict[str, Path] = {}
    for slot in slots(proto):
        tensor = slot.place
        if not isinstance(tensor, TensorProto) or tensor.data_location != TensorProto.EXTERNAL:
            continue
        where = f"tensor '{slot.name}'"
        place, length = _place(tensor, where)
        if place.location not in files:
            files[place.location] = _inside(folder, place.location, where)
        path = files[place.location]
        size = path.stat().st_size
        if place.offset + length > size:
            raise ModelError(
                f"{where} needs bytes {place.offset} to {place.offset + length}, the file has {size}", where=str(path)
            )
        claimed += length
        if claimed > _OVERLAP * sum(item.stat().st_size for item in files.values()):
            raise ModelError("the tensors claim far more bytes than their files have", where=str(path))
        with path.open("rb") as file:
            file.seek(place.offset)
            data = file.read(length)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = data
        places[slot.name] = place
    return places


def write_external(proto: ModelProto, places: Mapping[str, Place], path: Path) -> bytes:
    """Write the external tensors of a model that is about to be written to ``path``.

    A file that is there already with the same bytes is left alone. One with other bytes is never touched: the tensors
    go to a file of their own instead, named after the model and its content.

    Args:
        proto: The model, with all tensors inside; not changed.
        places: Where tensors were, by name; tensors that were inside stay inside.
        path: The file that the model will be written to.

    Returns:
        The bytes to write to ``path``.
    """
    copy = copied(proto)
    tensors = {slot.name: slot.place for slot in slots(copy) if slot.name in places}
    for location in dict.fromkeys(places[name].location for name in tensors):
        names = [name for name in tensors if places[name].location == location]
        regions = [(places[name].offset, tensors[name].raw_data) for name in names]  # type: ignore[union-attr]
        target = path.parent / location
        moved = None
        if not _holds(target, regions):
            if target.exists():
                moved = f"{path.name}.{_digest(regions)}.data"
                target = path.parent / moved
            if not _holds(target, regions):
                _write(target, regions)
        for name in names:
            _refer(tensors[name], places[name], moved)  # type: ignore[arg-type]
    return copy.SerializeToString()


def spread(proto: ModelProto) -> dict[str, Place]:
    """Places in one file for all large tensors of a model that is too large to be one file."""
    places: dict[str, Place] = {}
    offset = 0
    for slot in slots(proto):
        if isinstance(slot.place, TensorProto) and len(slot.place.raw_data) >= _SMALLEST:
            entries = (("location", "weights.data"), ("offset", str(offset)), ("length", str(len(slot.place.raw_data))))
            places[slot.name] = Place("weights.data", offset, entries)
            offset += -(-len(slot.place.raw_data) // _ALIGNMENT) * _ALIGNMENT
    return places


def _place(tensor: TensorProto, where: str) -> tuple[Place, int]:
    entries = tuple((item.key, item.value) for item in tensor.external_data)
    facts = dict(entries)
    expected = _expected(tensor, where)
    try:
        offset, length = int(facts.get("offset", "0")), int(facts.get("length", str(expected)))
    except ValueError as error:
        raise ModelError(f"{where} has an offset or length that is not a number") from error
    if offset < 0 or length != expected:
        raise ModelError(f"{where} has {length} bytes at {offset}, its shape and type need {expected}")
    return Place(facts.get("location", ""), offset, entries), length


def _expected(tensor: TensorProto, where: str) -> int:
    probe = TensorProto(data_type=tensor.data_type, dims=tensor.dims)
    probe.raw_data = b""
    problem = problem_of(probe)
    if tensor.data_type == TensorProto.STRING or (problem and "needs" not in problem):
        raise ModelError(f"{where}: {problem or 'strings cannot be external'}")
    return byte_size(tensor.data_type, tensor.dims)


def _inside(folder: Path, location: str, where: str) -> Path:
    """The file that a relative location means, if it is inside the folder, symbolic links and all."""
    parts = (PurePosixPath(location), PureWindowsPath(location))
    if not location or "\0" in location or any(p.is_absolute() or p.drive or ".." in p.parts for p in parts):
        raise ModelError(
            f"{where} is kept at '{location}', which is not a path inside the model's folder",
            fix="External data must lie beside the model, under a relative path",
        )
    root = folder.resolve()
    path = (root / location).resolve()
    if not path.is_relative_to(root):
        raise ModelError(f"{where} is kept at '{location}', a link that leads out of the model's folder")
    if not path.is_file():
        raise ModelError(
            f"{where} is kept in a file that is not there", where=str(path), fix="Copy it beside the model"
        )
    return path


def _regions(regions: list[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    yield from sorted(set(regions))


def _holds(path: Path, regions: list[tuple[int, bytes]]) -> bool:
    """Whether a file has these bytes already."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        for offset, data in _regions(regions):
            file.seek(offset)
            if file.read(len(data)) != data:
                return False
    return True


def _digest(regions: list[tuple[int, bytes]]) -> str:
    digest = hashlib.sha256()
    for offset, data in _regions(regions):
        digest.update(f"{offset}:{len(data)};".encode())
        digest.update(data)
    return digest.hexdigest()[:12]


def _write(path: Path, regions: list[tuple[int, bytes]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot create the folder ({error.strerror})", where=str(path.parent)) from error
    with replacing(path) as file:
        for offset, data in _regions(regions):
            file.seek(offset)
            file.write(data)


def _refer(tensor: TensorProto, place: Place, moved: str | None) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in place.entries:
        if moved and key == "checksum":
            continue
        entry = tensor.external_data.add()
        entry.key, entry.value = key, moved if moved and key == "location" else value
