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
class Location:
    """Where a tensor's bytes are.

    Attributes:
        file: Relative to the model's folder.
        offset: Where they begin.
        entries: Everything the model says about it, as it says it.
    """

    file: str
    offset: int
    entries: tuple[tuple[str, str], ...]

    def fitted(self, length: int) -> Location:
        """The same for a tensor of this many bytes."""
        fits = dict(self.entries).get("length", str(length)) == str(length)
        return self if fits else self.at(self.offset, length, self.file)

    def at(self, offset: int, length: int, file: str) -> Location:
        """The same with the tensor elsewhere; a checksum no longer holds."""
        moved = {"location": file, "offset": str(offset), "length": str(length)}
        entries = {**dict(self.entries), **moved}
        return Location(file, offset, tuple((key, text) for key, text in entries.items() if key != "checksum"))


def read_external(proto: ModelProto, folder: Path) -> dict[str, Location]:
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
    locations: dict[str, Location] = {}
    claimed = 0
    files: dict[str, Path] = {}
    for slot in slots(proto):
        tensor = slot.message
        if not isinstance(tensor, TensorProto) or tensor.data_location != TensorProto.EXTERNAL:
            continue
        where = f"tensor '{slot.name}'"
        location, length = _location(tensor, where)
        if location.file not in files:
            files[location.file] = _inside(folder, location.file, where)
        path = files[location.file]
        size = path.stat().st_size
        if location.offset + length > size:
            raise ModelError(
                f"{where} needs bytes {location.offset} to {location.offset + length}, the file has {size}",
                where=str(path),
            )
        claimed += length
        if claimed > _OVERLAP * sum(item.stat().st_size for item in files.values()):
            raise ModelError("the tensors claim far more bytes than their files have", where=str(path))
        with path.open("rb") as file:
            file.seek(location.offset)
            data = file.read(length)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = data
        locations[slot.name] = location
    return locations


def write_external(proto: ModelProto, locations: Mapping[str, Location], path: Path) -> bytes:
    """Write the external tensors of a model that is about to be written to ``path``.

    A file that is there already with the same bytes is left alone. One with other bytes is never touched: the tensors
    go to a file of their own instead, named after the model and its content. A tensor that no longer fits where it was
    (it has grown, or what it shared its bytes with has other numbers now) goes behind the others.

    Args:
        proto: The model, with all tensors inside; not changed.
        locations: Where tensors were, by name; tensors that were inside stay inside.
        path: The file that the model will be written to.

    Returns:
        The bytes to write to ``path``.
    """
    copy = copied(proto)
    tensors: dict[str, TensorProto] = {
        slot.name: slot.message
        for slot in slots(copy)
        if slot.name in locations and isinstance(slot.message, TensorProto)
    }
    for file in dict.fromkeys(locations[name].file for name in tensors):
        laid = _laid_out({name: tensors[name] for name in tensors if locations[name].file == file}, locations)
        regions = [(location.offset, tensors[name].raw_data) for name, location in laid.items()]
        target = path.parent / file
        moved = None
        if not _holds(target, regions):
            if target.exists():
                moved = f"{path.name}.{_digest(regions)}.data"
                target = path.parent / moved
            if not _holds(target, regions):
                _write(target, regions)
        for name, location in laid.items():
            _refer(tensors[name], location, moved)
    return copy.SerializeToString()


def _laid_out(tensors: Mapping[str, TensorProto], locations: Mapping[str, Location]) -> dict[str, Location]:
    """Where the tensors of one file go: where they were, if their numbers leave each other alone there."""
    laid: dict[str, Location] = {}
    homeless: list[str] = []
    reach: list[tuple[int, bytes]] = []
    end = 0
    for name in sorted(tensors, key=lambda name: locations[name].offset):
        offset, data = locations[name].offset, tensors[name].raw_data
        reach = [item for item in reach if item[0] + len(item[1]) > offset]
        if all(_agree(item, (offset, data)) for item in reach):
            laid[name] = locations[name]
            reach.append((offset, data))
            end = max(end, offset + len(data))
        else:
            homeless.append(name)
    for name in homeless:
        offset, length = -(-end // _ALIGNMENT) * _ALIGNMENT, len(tensors[name].raw_data)
        laid[name] = locations[name].at(offset, length, locations[name].file)
        end = offset + length
    return {name: laid[name].fitted(byte_size(tensor.data_type, tensor.dims)) for name, tensor in tensors.items()}


def _agree(earlier: tuple[int, bytes], later: tuple[int, bytes]) -> bool:
    """Whether two regions, the second of which begins within the first, hold the same bytes where they overlap."""
    start = later[0] - earlier[0]
    both = min(len(earlier[1]) - start, len(later[1]))
    return earlier[1][start : start + both] == later[1][:both]


def packed(proto: ModelProto) -> dict[str, Location]:
    """Locations in one file for all large tensors of a model that is too large to be one file."""
    locations: dict[str, Location] = {}
    offset = 0
    for slot in slots(proto):
        if isinstance(slot.message, TensorProto) and len(slot.message.raw_data) >= _SMALLEST:
            length = len(slot.message.raw_data)
            locations[slot.name] = Location("", 0, ()).at(offset, length, "weights.data")
            offset += -(-length // _ALIGNMENT) * _ALIGNMENT
    return locations


def _location(tensor: TensorProto, where: str) -> tuple[Location, int]:
    entries = tuple((item.key, item.value) for item in tensor.external_data)
    facts = dict(entries)
    expected = _expected(tensor, where)
    try:
        offset, length = int(facts.get("offset", "0")), int(facts.get("length", str(expected)))
    except ValueError as error:
        raise ModelError(f"{where} has an offset or length that is not a number") from error
    if offset < 0 or length != expected:
        raise ModelError(f"{where} has {length} bytes at {offset}, its shape and type need {expected}")
    return Location(facts.get("location", ""), offset, entries), length


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


def _refer(tensor: TensorProto, location: Location, moved: str | None) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in location.entries:
        if moved and key == "checksum":
            continue
        tensor.external_data.add(key=key, value=moved if moved and key == "location" else text)
