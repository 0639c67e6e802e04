"""Reading a file that nobody vouches for: a clear error for everything that is not an ONNX model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

from harden.errors import ModelError
from harden.graph.external import Location, read_external
from harden.graph.storage import slots
from harden.graph.tensors import problem_of
from harden.store import similar

_CHECKPOINTS = {".safetensors", ".pt", ".pth", ".ckpt", ".bin"}
LARGEST_FILE = 2**31 - 1
"""Protobuf's own limit; larger models keep their tensors in external files."""


@dataclass(frozen=True)
class Read:
    """What a file holds.

    Attributes:
        proto: The model, with all its tensors inside.
        data: The file's bytes, where serialising the model would give others.
        locations: Where tensors were that are kept in other files, by name.
    """

    proto: ModelProto
    data: bytes | None
    locations: dict[str, Location]


def read(path: Path) -> Read:
    """Read a file.

    Raises:
        ModelError: The file is missing, a directory, unreadable, too large, truncated or no ONNX model.
    """
    data = _bytes(path)
    if path.suffix in _CHECKPOINTS:
        raise ModelError(
            "a checkpoint, not a model: it has weights and no graph",
            where=str(path),
            fix=f"Give timm:NAME --weights {path.name}"
            if path.suffix == ".safetensors"
            else "Export the model to ONNX",
        )
    proto = ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(
            "not an ONNX model, or a truncated one", where=str(path), fix="Export or copy the file again"
        ) from error
    try:
        same = proto.SerializeToString() == data
        locations = read_external(proto, path.parent)
    except OSError as error:
        raise ModelError(f"its tensors cannot be read: {error}", where=str(path)) from error
    except ModelError as error:
        raise ModelError(error.what, where=error.where or str(path), fix=error.fix) from error
    check(proto, str(path))
    return Read(proto, None if same or locations else data, locations)


def check(proto: ModelProto, source: str) -> None:
    """Check what must hold before anything is computed.

    Raises:
        ModelError: The model has no graph, or malformed tensors.
    """
    if not proto.graph.node and not proto.graph.output:
        raise ModelError("not an ONNX model: it holds no graph", where=source, fix="Export or copy the file again")
    if not all(isinstance(text, str) for text in _texts(proto.graph.node, proto.graph)):
        raise ModelError("names in the file are not text", where=source, fix="Export or copy the file again")
    if not all(isinstance(text, str) for function in proto.functions for text in _texts(function.node, function)):
        raise ModelError("names of local functions in the file are not text", where=source)
    for slot in slots(proto):
        if isinstance(slot.message, TensorProto):
            if slot.message.data_location == TensorProto.EXTERNAL:
                raise ModelError(
                    f"tensor '{slot.name}' is in another file", where=source, fix="Load the model from its path"
                )
            problem = problem_of(slot.message)
            if problem:
                raise ModelError(f"malformed tensor '{slot.name}': {problem}", where=source)


def _texts(nodes: Iterable[NodeProto], owner: GraphProto | FunctionProto) -> Iterator[object]:
    """Every name in a graph or function; protobuf gives bytes for what is not UTF-8."""
    yield owner.name
    if isinstance(owner, GraphProto):
        for items in (owner.input, owner.output, owner.initializer):
            yield from (item.name for item in items)
    else:
        yield from (owner.domain, *owner.input, *owner.output)
    for node in nodes:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.ref_attr_name)
            if attribute.type == AttributeProto.GRAPH:
                yield from _texts(attribute.g.node, attribute.g)


def missing(source: str) -> ModelError:
    """What is said of a model that is not there; a bare name may have been meant as timm's."""
    path = Path(source)
    name = source if path.name == source and not path.suffix else "NAME"
    fix = f"{similar(path)}Check the path, or write timm:{name} for a model of timm"
    return ModelError("no such file", where=source, fix=fix)


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
        raise missing(str(path)) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot be read: {error}", where=str(path)) from error
