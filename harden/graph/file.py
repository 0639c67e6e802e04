"""An ONNX file as a frozen model: read, inspected, and written with other numbers in the very same graph."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from onnx import ModelProto, TensorProto, ValueInfoProto

from harden.data.preprocess import METADATA_KEY, Preprocess
from harden.errors import ModelError
from harden.graph.analog import AnalogWeight, CrossbarPer
from harden.graph.batch import batch_size, whole_examples, with_open_batch
from harden.graph.build import build
from harden.graph.editor import OVERRIDABLE, copied, initialized_inputs, make_constant
from harden.graph.external import Location, packed, write_external
from harden.graph.loading import LARGEST_FILE, check, read
from harden.graph.module import GraphModule
from harden.graph.program import Program
from harden.graph.quantized import Quantization, find_quantizations
from harden.graph.resizing import FixedBatch, WholeExamples
from harden.graph.roles import Role, assign_roles
from harden.graph.storage import normal_domain, slots
from harden.graph.tensors import FLOATS, TensorSpec, numpy_type
from harden.graph.writeback import replaced
from harden.store import write_atomic

BATCH_NORM_KEY = "harden.batch_norm"


_NORMALISING = ("InstanceNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "LRN")


class Model:
    """One ONNX model. Nothing changes it: what differs is another Model.

    Args:
        proto: The model; taken as it is, never written to.
        source: Where it comes from, for messages.
        data: The bytes it was read from, where serialising it would give others.
        locations: Where tensors are that are kept in other files, by name.

    Attributes:
        crossbars: Whether the uses of one tensor are one crossbar, or each a crossbar of its own.
    """

    def __init__(
        self,
        proto: ModelProto,
        source: str = "<memory>",
        data: bytes | None = None,
        locations: Mapping[str, Location] | None = None,
    ) -> None:
        self.crossbars: CrossbarPer = "tensor"
        self.proto = proto
        self.source = source
        self._data = data
        self._locations = dict(locations or {})
        self._analog: dict[tuple[str, ...], dict[str, AnalogWeight]] = {}

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read a file.

        Raises:
            ModelError: The file is missing, unreadable, truncated, malformed or no ONNX model.
        """
        path = Path(path)
        file = read(path)
        return cls(file.proto, str(path), file.data, file.locations)

    @classmethod
    def from_proto(cls, proto: ModelProto, source: str = "<memory>") -> Model:
        """Take a model that is in memory; the proto is copied.

        Raises:
            ModelError: It is malformed.
        """
        check(proto, source)
        return cls(copied(proto), source)

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return max((item.version for item in self.proto.opset_import if normal_domain(item.domain) == ""), default=0)

    @property
    def producer(self) -> str:
        """What wrote the file."""
        return " ".join(part for part in (self.proto.producer_name, self.proto.producer_version) if part)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs that a caller has to give: those without an initializer."""
        held = {tensor.name for tensor in self.proto.graph.initializer}
        return tuple(_spec(item) for item in self.proto.graph.input if item.name not in held)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs."""
        return tuple(_spec(item) for item in self.proto.graph.output)

    @property
    def metadata(self) -> dict[str, str]:
        """The file's metadata."""
        return {item.key: item.value for item in self.proto.metadata_props}

    @property
    def preprocess(self) -> Preprocess | None:
        """How an image becomes the model's input, if the file says so."""
        text = self.metadata.get(METADATA_KEY)
        return None if text is None else Preprocess.from_json(text)

    @property
    def batch_norm(self) -> str:
        """Whether batch norms are ``kept`` in the graph, ``folded`` into the weights, or there were ``none``.

        Folding leaves no trace but convolutions with biases in a graph that normalises nothing; where the file does
        not say, that is what ``folded`` goes by.
        """
        return _batch_norm_state(self.program, self.metadata.get(BATCH_NORM_KEY))

    @property
    def parameters(self) -> int:
        """The number of trainable numbers."""
        roles = assign_roles(self.program)
        return sum(roles.slots[name].size for name, role in roles.of.items() if role is Role.PARAMETER)

    @cached_property
    def sha256(self) -> str:
        """The digest of :meth:`serialize`."""
        return hashlib.sha256(self.serialize()).hexdigest()

    @cached_property
    def program(self) -> Program:
        """The graph, checked and flattened."""
        try:
            return build(self.proto)
        except ModelError as error:
            error.where = error.where or self.source
            raise

    @cached_property
    def _quantizations(self) -> dict[str, Quantization]:
        if not any(node.op_type == "DequantizeLinear" for node in self.proto.graph.node):
            return {}
        program = self.program
        return {program.stored[value].name: item for value, item in find_quantizations(program).items()}

    def serialize(self) -> bytes:
        """The file's bytes; of an untouched model exactly those that were read.

        Tensors that are kept in other files are inside all the same.

        Raises:
            ModelError: With them the model is larger than one file can be (2 GiB).
        """
        if self._data is not None:
            return self._data
        if self._bytes > LARGEST_FILE:
            raise ModelError("the model is larger than 2 GiB, more than one file can hold", where=self.source)
        return self.proto.SerializeToString()

    @property
    def runnable(self) -> bytes:
        """:meth:`serialize` for ONNX Runtime: initializers that are listed as inputs, too, leave the inputs.

        From IR version 4 on a caller may override those, so that ONNX Runtime neither folds nor fuses them and
        rounds otherwise; here nobody does.
        """
        if self.proto.ir_version < OVERRIDABLE or not initialized_inputs(self.proto.graph):
            return self.serialize()
        proto = copied(self.proto)
        make_constant(proto.graph)
        return proto.SerializeToString()

    @cached_property
    def _bytes(self) -> int:
        return sum(len(slot.message.raw_data) for slot in slots(self.proto) if isinstance(slot.message, TensorProto))

    def save(self, path: str | Path) -> Path:
        """Write the model, all of it or nothing.

        Tensors that were in other files go to files beside this one; nothing that is there already is overwritten
        with other numbers. A model larger than 2 GiB is split that way, too.

        Returns:
            The path.
        """
        path = Path(path)
        locations = self._locations or (packed(self.proto) if self._bytes > LARGEST_FILE else {})
        write_atomic(path, write_external(self.proto, locations, path) if locations else self.serialize())
        return path

    def module(self, outputs: Sequence[str] = ()) -> GraphModule:
        """The graph as a torch module with parameters of its own.

        Args:
            outputs: Values of the graph that it gives in place of the graph's outputs, such as what a last Softmax
                reads.

        Raises:
            UnsupportedError: Operators are missing, or a weight cannot be trained.
        """
        program = self.program.giving(outputs)
        if self.whole_examples:
            return GraphModule(program, WholeExamples(tuple(len(spec.shape) for spec in self.inputs)), self.crossbars)
        size = self.batch_size
        fixed = None if size is None else FixedBatch(size, lambda: self._opened(outputs))
        return GraphModule(program, fixed, self.crossbars)

    @property
    def batch_size(self) -> int | None:
        """The batch size that the file is made for; None where it is open, or inputs differ in it."""
        return batch_size(self.inputs) if self._takes_tensors else None

    @property
    def whole_examples(self) -> bool:
        """Whether its inputs have no batch axis in common, so that an example is a whole feed."""
        return self._takes_tensors and whole_examples(self.inputs)

    @property
    def _takes_tensors(self) -> bool:
        """Whether no input is a sequence or an optional."""
        return all(item.type.tensor_type.elem_type for item in self.proto.graph.input)

    def open_batch(self) -> Model | None:
        """The same network for any batch size, or None where the graph does not allow it."""
        if self.batch_size is None:
            return self
        proto = with_open_batch(self.proto, self.inputs)
        return None if proto is None else self.replaced(proto)

    def _opened(self, outputs: Sequence[str]) -> Program | None:
        """The program for any batch size, of a model that is made for one."""
        return None if self._open is None else self._open.program.giving(outputs)

    @cached_property
    def _open(self) -> Model | None:
        return self.open_batch()

    def analog_weights(self, digital: Sequence[str] = ()) -> dict[str, AnalogWeight]:
        """The weights that sit on crossbars, by key.

        Args:
            digital: Globs over tensor or node names to leave out.
        """
        globs = tuple(digital)
        if globs not in self._analog:
            with torch.no_grad():
                self._analog[globs] = self.module().analog_weights(globs)
        return dict(self._analog[globs])

    def with_weights(self, values: Mapping[str, torch.Tensor | np.ndarray]) -> Model:
        """The same graph with other numbers.

        Args:
            values: New numbers by tensor name. They are rounded to the tensor's own type; a tensor whose numbers stay
                the same stays as it is, byte for byte.

        Raises:
            ModelError: A name is unknown, or a shape differs; all of them are named.
        """
        proto = replaced(self.proto, values, self._quantizations)
        return self if proto is None else self.replaced(proto)

    def replaced(self, proto: ModelProto) -> Model:
        """Another graph in the place of this one: from the same source, its tensors kept in the same files."""
        return Model(proto, self.source, locations=self._locations).with_crossbars(self.crossbars)

    def with_crossbars(self, per: CrossbarPer) -> Model:
        """The same model with one crossbar for each tensor, or for each use of a tensor."""
        if per == self.crossbars:
            return self
        other = Model(self.proto, self.source, self._data, self._locations)
        other.crossbars = per
        return other

    def with_metadata(self, items: Mapping[str, str]) -> Model:
        """The same model with metadata added or replaced; other keys stay as they are."""
        metadata = self.metadata
        if all(metadata.get(key) == value for key, value in items.items()):
            return self
        proto = copied(self.proto)
        for key, value in items.items():
            entry = next((item for item in proto.metadata_props if item.key == key), None)
            if entry is None:
                entry = proto.metadata_props.add()
                entry.key = key
            entry.value = value
        return self.replaced(proto)

    def tensors(self) -> dict[str, np.ndarray]:
        """Every floating-point tensor of the file by name."""
        return {slot.name: slot.array() for slot in slots(self.proto) if slot.data_type in FLOATS}

    def __getstate__(self) -> dict[str, object]:
        """For another process: the file, without what was computed from it."""
        return {
            **{name: self.__dict__[name] for name in ("proto", "source", "crossbars", "_data", "_locations")},
            "_analog": {},
        }

    def __repr__(self) -> str:
        return f"Model({self.source!r}, opset {self.opset})"


def _batch_norm_state(program: Program, declared: str | None) -> str:
    """``kept``, ``folded`` or ``none``."""
    operations = list(program.walk())
    if any(node.op == "BatchNormalization" for node in operations):
        return "kept"
    if declared in ("folded", "none"):
        return declared
    convolutions = [node for node in operations if node.op in ("Conv", "ConvTranspose")]
    biased = [node for node in convolutions if len(node.inputs) > 2 and node.inputs[2]]
    normalises = any(node.op in _NORMALISING for node in operations)
    return "folded" if biased and not normalises else "none"


def _spec(item: ValueInfoProto) -> TensorSpec:
    tensor = item.type.tensor_type
    name = item.name
    if not item.type.HasField("tensor_type"):
        raise ModelError(f"'{name}' is not a tensor", fix="Only models on tensors can be hardened")
    if not tensor.elem_type:
        raise ModelError(f"'{name}' has no type")
    sizes: list[int | str | None] = []
    for dim in tensor.shape.dim:
        if dim.HasField("dim_value"):
            sizes.append(dim.dim_value if dim.dim_value >= 0 else None)
        else:
            sizes.append(dim.dim_param or None)
    return TensorSpec(name, numpy_type(tensor.elem_type), tuple(sizes))
