"""The runtime copy: the exported file in a form whose weights ONNX Runtime lets us replace.

Every analog use gets an initializer of its own, stored as external data in a temporary folder. A session is then opened
with other values for them, through ``SessionOptions.add_external_initializers``. ONNX Runtime optimises the replaced
weights like the file's own, so a chip runs at the clean model's speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from harden.errors import ModelError, VerificationError
from harden.graph.analog import AnalogWeight
from harden.graph.file import Model
from harden.runtime.parity import ABSOLUTE, FLOOR, RELATIVE, difference
from harden.runtime.rewrite import Rewritten, split_uses
from harden.runtime.rounding import Rounding
from harden.runtime.sessions import Session

_DATA = "weights.data"
_ALIGNMENT = 64


@dataclass(frozen=True)
class MovableSession:
    """A session that takes other weights by key with every run.

    Attributes:
        session: It has the initializers as inputs, too.
        initializers: The initializer's name of each key.
    """

    session: Session
    initializers: Mapping[str, str]

    def run(self, *inputs: np.ndarray, values: Mapping[str, np.ndarray] | None = None) -> list[np.ndarray]:
        """The outputs for one batch, with some weights replaced."""
        renamed = {self.initializers[key]: value for key, value in (values or {}).items()}
        return self.session.run(*inputs, values=renamed)


class RuntimeCopy:
    """A model on disk whose analog weights a session replaces by key.

    Attributes:
        uses: The analog uses by key.
        exact: Clean outputs must equal the file's bit for bit.
        rounding: How coarsely the file rounds on its way.
        original: The file as it is, serialised.
        device: Where its sessions run, ``cpu`` or ``cuda``.
        readers: By the name of each crossbar's value, the places of the products that read it, in their order.
    """

    def __init__(self, path: Path, original: bytes, uses: Mapping[str, AnalogWeight], rewritten: Rewritten) -> None:
        self.path = path
        self.original = original
        self.uses = dict(uses)
        self.exact = rewritten.exact
        self.rounding = Rounding()
        self.device = "cpu"
        self._raw: bytes | None = None  # the file's content, where it is kept in memory
        self._initializers = rewritten.initializers
        self.readers = rewritten.readers

    def __getstate__(self) -> dict[str, object]:
        """For another process, where the copy is kept in memory: it may end without a chance to remove files."""
        return {**self.__dict__, "_raw": self.read()}

    def read(self) -> bytes:
        """The copy's file, without the weights beside it."""
        return self.path.read_bytes() if self._raw is None else self._raw

    def variant(self, name: str, raw: bytes) -> Path | bytes:
        """Keep a variant of the copy, with the same initializers, where the copy is kept.

        Returns:
            What :meth:`session` takes.
        """
        if self._raw is not None:
            return raw
        path = self.path.with_name(name)
        path.write_bytes(raw)
        return path

    @classmethod
    def build(cls, model: Model, folder: Path | str, digital: tuple[str, ...] = ()) -> RuntimeCopy:
        """Write the runtime copy of a model.

        Args:
            model: The model; not modified.
            folder: An existing, empty folder that outlives the copy's sessions.
            digital: Globs of tensors and nodes that are not on a crossbar.

        Returns:
            The copy.

        Raises:
            ModelError: No weight is on a crossbar.
        """
        uses = model.analog_weights(digital)
        if not uses:
            raise ModelError(
                "no weight of the model is on a crossbar, so there is nothing to perturb",
                where=model.source,
                fix="Check --digital" if digital else "harden inspect --json says of each tensor why it is digital",
            )
        copy = cls.from_proto(model.proto, uses, folder, original=model.runnable)
        copy.rounding = Rounding.of(model.program)
        return copy

    @classmethod
    def from_proto(
        cls, proto: onnx.ModelProto, uses: Mapping[str, AnalogWeight], folder: Path | str, original: bytes | None = None
    ) -> RuntimeCopy:
        """The same from a ``ModelProto`` and its analog uses."""
        rewritten = split_uses(proto, uses)
        path = Path(folder) / "model.onnx"
        _save(rewritten, path)
        return cls(path, original or proto.SerializeToString(), uses, rewritten)

    @property
    def keys(self) -> tuple[str, ...]:
        """The analog keys, in the graph's order."""
        return tuple(self._initializers)

    @property
    def initializers(self) -> dict[str, str]:
        """The name of each analog use's own initializer, by key."""
        return dict(self._initializers)

    def session(
        self, values: Mapping[str, Any] | None = None, *, threads: int = 1, variant: Path | bytes | None = None
    ) -> Session:
        """A session of the copy with some weights replaced.

        Args:
            values: Arrays or tensors by analog key; absent keys keep the model's weights.
            threads: Threads within an operator.
            variant: From :meth:`variant`; None is the copy itself.

        Returns:
            The session.

        Raises:
            VerificationError: A key, a shape or a type is not the model's.
        """
        weights = self._known(values or {})
        if self._raw is not None:  # no file beside it has the others
            weights = {key: use.tensor for key, use in self.uses.items()} | dict(weights)
        replaced = {self._initializers[k]: self._checked(k, v) for k, v in weights.items()}
        return Session(variant or self._raw or self.path, replaced, threads=threads, device=self.device)

    def movable(self, *, threads: int = 1) -> MovableSession:
        """One session for many chips: it takes other weights with every run, and so fuses and folds nothing of them."""
        proto = onnx.load_from_string(self.read())
        names = set(self._initializers.values())
        proto.graph.input.extend(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            for tensor in proto.graph.initializer
            if tensor.name in names
        )
        source = self.variant("movable.onnx", proto.SerializeToString())
        weights = {} if self._raw is None else {self._initializers[k]: w.tensor.numpy() for k, w in self.uses.items()}
        return MovableSession(Session(source, weights, threads=threads, device=self.device), self._initializers)

    def clean_session(self, *, threads: int = 1) -> Session:
        """A session of the file as it is."""
        return Session(self.original, threads=threads, device=self.device)

    def check(self, *inputs: np.ndarray, threads: int = 1) -> None:
        """Hold the copy's clean outputs to the file's.

        Args:
            inputs: One batch of real inputs.
            threads: Threads within an operator.

        Raises:
            VerificationError: They differ; bit for bit where no weight was re-expressed, else beyond rounding.
        """
        expected = self.clean_session(threads=threads).run(*inputs)
        weights = {key: use.tensor.detach() for key, use in self.uses.items()}
        replaced = self.session(weights, threads=threads).run(*inputs)
        allowed = [0.0] * len(replaced)
        if not self.exact:
            allowed = self.rounding.allowances(
                lambda moved, chip: self.session(chip, threads=threads).run(*moved), inputs, weights, replaced
            )
        for want, got, floor in zip(expected, replaced, allowed, strict=True):
            worst = difference(want, got, max(FLOOR, floor))
            if not (np.array_equal(want, got, equal_nan=True) if self.exact else worst.passed):
                limit = "none" if self.exact else f"{ABSOLUTE:g} + {RELATIVE:g}" + (f" + {floor:.3g}" if floor else "")
                raise VerificationError(
                    f"the runtime copy of the model does not compute what the file computes (largest difference "
                    f"{worst.max_abs_error:.3g}; allowed: {limit})",
                    fix="Please report this model: harden misread how its weights reach their nodes",
                )

    def _known(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        unknown = sorted(set(values) - set(self._initializers))
        if unknown:
            raise VerificationError(f"no analog weight is called {', '.join(map(repr, unknown[:5]))}")
        return values

    def _checked(self, key: str, value: Any) -> np.ndarray:
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        own = self.uses[key].tensor
        if tuple(array.shape) != tuple(own.shape) or array.dtype != own.detach().cpu().numpy().dtype:
            raise VerificationError(
                f"the value has {array.dtype}{list(array.shape)}, the model {own.dtype}{list(own.shape)}", where=key
            )
        return array


def _save(rewritten: Rewritten, path: Path) -> None:
    """Write the analog initializers to the side file, all else inline.

    Only what is replaced needs to be external; shapes and other small constants stay where the optimiser reads them.
    """
    proto, analog = rewritten.proto, set(rewritten.initializers.values())
    with (path.parent / _DATA).open("wb") as data:
        for tensor in proto.graph.initializer:
            if tensor.name not in analog:
                continue
            raw = numpy_helper.to_array(tensor).tobytes()
            data.write(b"\0" * (-data.tell() % _ALIGNMENT))
            _point_outside(tensor, data.tell(), len(raw))
            data.write(raw)
    path.write_bytes(proto.SerializeToString())


def _point_outside(tensor: onnx.TensorProto, offset: int, length: int) -> None:
    outside = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    outside.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", _DATA), ("offset", str(offset)), ("length", str(length))):
        outside.external_data.add(key=key, value=value)
    tensor.CopyFrom(outside)
