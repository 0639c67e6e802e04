"""Reading a file that nobody vouches for: a clear error for everything that is not an ONNX model."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto

from harden.errors import ModelError
from harden.graph.storage import slots
from harden.graph.tensors import problem_of

LARGEST_FILE = 2**31 - 1
"""Protobuf's own limit; larger models keep their tensors in external files."""


def read(path: Path) -> tuple[ModelProto, bytes | None]:
    """Read a file.

    Returns:
        The model, and the file's bytes where serialising the model would give others (None where it gives the same).

    Raises:
        ModelError: The file is missing, a directory, unreadable, too large, truncated or no ONNX model.
    """
    data = _bytes(path)
    proto = ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(
            "not an ONNX model, or a truncated one", where=str(path), fix="Export or copy the file again"
        ) from error
    check(proto, str(path))
    return proto, None if proto.SerializeToString() == data else data


def check(proto: ModelProto, source: str) -> None:
    """Check what must hold before anything is computed.

    Raises:
        ModelError: The model has no graph, or malformed tensors.
    """
    if not proto.graph.node and not proto.graph.output:
        raise ModelError("not an ONNX model: it holds no graph", where=source, fix="Export or copy the file again")
    for slot in slots(proto):
        if isinstance(slot.place, TensorProto):
            problem = problem_of(slot.place)
            if problem:
                raise ModelError(f"malformed tensor '{slot.name}': {problem}", where=source)


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ModelError("a directory, not an ONNX file", where=str(path), fix="Name the file in it")
        if path.stat().st_size > LARGEST_FILE:
            raise ModelError(
                "larger than 2 GiB", where=str(path), fix="Save the model with its tensors in external files"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError("no such file", where=str(path), fix="Check the path, or use timm:NAME") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot be read: {error}", where=str(path)) from error
