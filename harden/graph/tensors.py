"""Tensors between protobuf, numpy and torch, checked before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import torch
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

from harden.errors import ModelError

TORCH_TYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.UINT16: torch.uint16,
    TensorProto.UINT32: torch.uint32,
    TensorProto.UINT64: torch.uint64,
    TensorProto.BOOL: torch.bool,
    # Four-bit integers are computed on in eight bits.
    TensorProto.INT4: torch.int8,
    TensorProto.UINT4: torch.uint8,
    TensorProto.FLOAT8E4M3FN: torch.float8_e4m3fn,
    TensorProto.FLOAT8E5M2: torch.float8_e5m2,
    TensorProto.COMPLEX64: torch.complex64,
    TensorProto.COMPLEX128: torch.complex128,
}
FLOATS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16})
QUANTIZED = frozenset(
    {
        TensorProto.INT8,
        TensorProto.UINT8,
        TensorProto.INT16,
        TensorProto.UINT16,
        TensorProto.INT32,
        TensorProto.INT4,
        TensorProto.UINT4,
    }
)
FOUR_BIT = frozenset({TensorProto.INT4, TensorProto.UINT4})
LARGEST = 2**28
"""No tensor that a graph computes from its own constants may have more elements than this."""

_BITS: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
    TensorProto.UINT2: 2,
    TensorProto.INT2: 2,
}
_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.COMPLEX64: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.COMPLEX128: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
    TensorProto.STRING: "string_data",
}


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model: name, numpy type, and a shape in which strings and None are open sizes."""

    name: str
    dtype: np.dtype
    shape: tuple[int | str | None, ...]


def elements(shape: Sequence[int]) -> int:
    """The number of elements of a shape."""
    return math.prod(int(size) for size in shape)


def type_name(data_type: int) -> str:
    """The ONNX name of a tensor type, ``"FLOAT"`` for 1."""
    try:
        return TensorProto.DataType.Name(data_type)  # type: ignore[arg-type]
    except ValueError:
        return f"type {data_type}"


def torch_type(data_type: int, where: str | None = None) -> torch.dtype:
    """The torch type that computes on an ONNX tensor type.

    Raises:
        ModelError: torch has no such type (strings, for one).
    """
    if data_type not in TORCH_TYPES:
        raise ModelError(f"tensors of type {type_name(data_type)} cannot be computed on", where=where)
    return TORCH_TYPES[data_type]


def byte_size(data_type: int, shape: Sequence[int]) -> int:
    """The bytes of a tensor in ``raw_data`` or in an external file."""
    count = elements(shape)
    if data_type in _BITS:
        return -(-count * _BITS[data_type] // 8)
    return count * np.dtype(numpy_type(data_type)).itemsize


def numpy_type(data_type: int) -> np.dtype:
    """The numpy type (from ml_dtypes for bfloat16 and the small ones) of an ONNX tensor type.

    Raises:
        ModelError: There is no such tensor type.
    """
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(data_type))
    except (KeyError, ValueError) as error:
        raise ModelError(f"unknown tensor type {data_type}") from error


def problem_of(tensor: TensorProto) -> str | None:
    """What is wrong with a tensor's type, shape or length; None where nothing is. Allocates nothing."""
    if any(size < 0 for size in tensor.dims):
        return f"negative size in shape {list(tensor.dims)}"
    try:
        item = numpy_type(tensor.data_type)
    except ModelError as error:
        return error.what
    count = elements(tensor.dims)
    if tensor.data_type == TensorProto.STRING:
        have, want = len(tensor.string_data), count
    elif tensor.HasField("raw_data"):
        have, want = len(tensor.raw_data), byte_size(tensor.data_type, tensor.dims)
    else:
        field = _FIELDS.get(tensor.data_type, "int32_data")
        have = len(getattr(tensor, field))
        want = count * (2 if item.kind == "c" else 1)
        if tensor.data_type in _BITS:
            want = byte_size(tensor.data_type, tensor.dims)
    if have != want:
        unit = "bytes" if tensor.HasField("raw_data") else "values"
        return f"shape {list(tensor.dims)} of {type_name(tensor.data_type)} needs {want} {unit}, the file has {have}"
    return None


def to_numpy(tensor: TensorProto, where: str | None = None) -> np.ndarray:
    """A tensor of the file as an array of its own type.

    Raises:
        ModelError: Its length does not fit its shape, or its type is unknown.
    """
    problem = problem_of(tensor)
    if problem:
        raise ModelError(f"malformed tensor '{tensor.name}': {problem}", where=where)
    return numpy_helper.to_array(tensor)


def sparse_positions(sparse: SparseTensorProto) -> torch.Tensor:
    """Where the values of a sparse tensor go in the flattened dense one.

    Raises:
        ModelError: The indices do not fit the values or the shape.
    """
    name, shape = sparse.values.name, list(sparse.dims)
    indices = to_numpy(sparse.indices, f"indices of '{name}'").astype(np.int64)
    count = elements(sparse.values.dims)
    fits = not any(size < 0 for size in shape) and elements(shape) <= LARGEST
    if fits and indices.shape == (count, len(shape)):
        fits = bool(((indices >= 0) & (indices < np.asarray(shape))).all())
        indices = indices @ np.cumprod([1, *shape[:0:-1]])[::-1] if fits and shape else indices.reshape(-1)
    fits = fits and indices.shape == (count,) and bool(((indices >= 0) & (indices < elements(shape))).all())
    if not fits:
        raise ModelError(f"malformed sparse tensor '{name}': its indices do not fit {count} values and shape {shape}")
    return torch.from_numpy(indices.copy())


def to_torch(array: np.ndarray) -> torch.Tensor:
    """A tensor with memory of its own, of the type that torch computes on."""
    array = np.asarray(array)
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    if array.dtype in (ml_dtypes.int4, ml_dtypes.uint4):
        array = array.astype(np.int8 if array.dtype == ml_dtypes.int4 else np.uint8)
    elif array.dtype in (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2):
        kind = torch.float8_e4m3fn if array.dtype == ml_dtypes.float8_e4m3fn else torch.float8_e5m2
        return torch.from_numpy(array.astype(np.float32)).to(kind)
    elif array.dtype.kind in "OUSV":
        raise ModelError(f"tensors of type {array.dtype} cannot be computed on")
    return torch.from_numpy(np.array(array, order="C", copy=True))


def from_torch(tensor: torch.Tensor | np.ndarray) -> np.ndarray:
    """An array of a tensor; bfloat16 as float32, which holds it exactly."""
    if isinstance(tensor, np.ndarray):
        return tensor
    tensor = tensor.detach().cpu()
    if tensor.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
        tensor = tensor.float()
    return tensor.numpy()
