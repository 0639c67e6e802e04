"""The runtime copy with converters: nodes around each analog node that clip and round, and inputs for output noise.

The file that was exported stays as it is; only the copy that ONNX Runtime runs gets Div, Round, Clip and Mul in front
of each analog node and behind it. Output noise enters by an extra graph input a layer, drawn by harden's own streams,
so that a chip is the same chip in torch and here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from harden.errors import UnsupportedError, VerificationError
from harden.noise.periphery import Converter, Periphery, Ranges, output_noise
from harden.runtime.copy import RuntimeCopy
from harden.runtime.sessions import Session

_OPSET = 11  # Round, and Clip with its limits as inputs
_HALF = (TensorProto.FLOAT16, TensorProto.BFLOAT16)  # converted in single precision, as in torch
Shapes = Callable[[Sequence[np.ndarray]], Mapping[str, tuple[int, ...]]]


class ConvertedCopy:
    """A runtime copy with a periphery.

    Args:
        copy: The plain copy; its folder gets one more file.
        periphery: Converters and output noise.
        ranges: By key.
        shapes: Tells the shape of each analog layer's output for given inputs; asked only where there is output noise.

    Attributes:
        uses: The analog uses by key.

    Raises:
        UnsupportedError: The model's opset has no Round.
    """

    def __init__(self, copy: RuntimeCopy, periphery: Periphery, ranges: Ranges, shapes: Shapes) -> None:
        self.uses = copy.uses
        self._copy, self._periphery, self._ranges, self._shapes = copy, periphery, ranges, shapes
        proto = onnx.load_from_string(copy.read())
        self._noise, self._probes = insert(proto, copy.initializers, periphery, ranges)
        self._raw = proto.SerializeToString()
        name = f"converted-{hashlib.sha256(self._raw).hexdigest()[:16]}.onnx"
        self._variant = copy.variant(name, self._raw)

    def session(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        threads: int = 1,
        seed: int = 0,
        path: tuple[str | int, ...] = ("analysis",),
    ) -> ConvertedSession:
        """A session with some weights replaced, as of `RuntimeCopy.session`.

        Args:
            values: Arrays or tensors by analog key.
            threads: Threads within an operator.
            seed: Root seed of the output noise.
            path: The chip's path, as its weights were drawn with.
        """
        session = self._copy.session(values, threads=threads, variant=self._variant)
        return ConvertedSession(session, lambda *inputs: self._drawn(seed, path, *inputs))

    def check(self, *inputs: np.ndarray, threads: int = 1) -> None:
        """Hold every inserted converter to the law in torch, bit for bit, on real inputs.

        Raises:
            VerificationError: ONNX Runtime converts otherwise.
        """
        if not self._probes:
            return
        proto = onnx.load_from_string(self._raw)
        given = {value.name for value in proto.graph.input}
        known = {output.name for output in proto.graph.output}
        names = list(dict.fromkeys(n for _, *ends, _ in self._probes for n in ends if n not in given))
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
        probe = self._copy.variant("probe.onnx", proto.SerializeToString())
        session = self._copy.session(threads=threads, variant=probe)
        drawn = self._drawn(0, ("check",), *inputs)
        found = dict(zip(names, session.run(*inputs, *drawn(0), outputs=names), strict=True))
        found |= {spec.name: value for spec, value in zip(session.inputs, inputs, strict=False)}
        for key, before, after, converter in self._probes:
            if not np.array_equal(converter(torch.from_numpy(found[before])).numpy(), found[after]):
                raise VerificationError(
                    "ONNX Runtime does not convert as the profile says", where=key, fix="Please report this model"
                )

    def _drawn(self, seed: int, path: tuple[str | int, ...], *inputs: np.ndarray) -> Callable[[int], list[np.ndarray]]:
        """The noise inputs of the pass with a given number, in the order of the graph's inputs."""
        shapes = self._shapes(inputs) if self._noise else {}

        def draw(number: int) -> list[np.ndarray]:
            found = []
            for key, dtype in self._noise.items():
                sigma = self._periphery.noise_sigma(self._ranges[key][1])
                noise = output_noise(shapes[key], sigma, seed, path, key, number)
                found.append(noise.numpy().astype(dtype))
            return found

        return draw


class ConvertedSession:
    """A session that brings its own output noise, anew for every run."""

    def __init__(self, session: Session, drawn: Callable[..., Callable[[int], list[np.ndarray]]]) -> None:
        self._session = session
        self._drawn = drawn
        self._runs = 0

    def run(self, *inputs: np.ndarray, outputs: Sequence[str] | None = None) -> list[np.ndarray]:
        """The outputs for one batch; as of `Session.run`."""
        noise = self._drawn(*inputs)(self._runs)
        self._runs += 1
        return self._session.run(*inputs, *noise, outputs=outputs)


def insert(
    proto: onnx.ModelProto, initializers: Mapping[str, str], periphery: Periphery, ranges: Ranges
) -> tuple[dict[str, np.dtype], list[tuple[str, str, str, Converter]]]:
    """Put converters and noise inputs around each analog node of the main graph, in place.

    Args:
        proto: A copy whose analog uses have initializers of their own.
        initializers: The initializer's name of each key.
        periphery: Converters and output noise.
        ranges: By key.

    Returns:
        The type of each noise input by key, in the order of the inputs; and for each converter its key, the names of
        the values before and behind it, and its law.

    Raises:
        UnsupportedError: The model's opset is too old.
    """
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < _OPSET:
        fix = f"Export the model with opset {_OPSET} or later"
        raise UnsupportedError(f"converters need opset {_OPSET}, the model has {opset}", fix=fix)
    inserter = _Inserter(proto.graph)
    noise: dict[str, np.dtype] = {}
    keys = {name: key for key, name in initializers.items() if key in ranges}
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    for node in nodes:
        slot = next((i for i, name in enumerate(node.input) if name in keys), None)
        if slot is None:
            proto.graph.node.append(node)
            continue
        key = keys[node.input[slot]]
        inner, outer = ranges[key]
        kind = inserter.types[node.input[slot]]
        reader, writer = periphery.input_converter(inner), periphery.output_converter(outer)
        if reader is not None:
            node.input[1 - slot] = inserter.converter(key, node.input[1 - slot], None, reader, kind)
        out = node.output[0]
        noisy = bool(periphery.noise_sigma(outer))
        if noisy or writer is not None:
            node.output[0] = inserter.name(f"{key}.raw")
        proto.graph.node.append(node)
        value = node.output[0]
        if noisy:
            noise[key] = helper.tensor_dtype_to_np_dtype(kind)
            value = inserter.noise(key, value, None if writer is not None else out, kind)
        if writer is not None:
            inserter.converter(key, value, out, writer, kind)
    return noise, inserter.probes


class _Inserter:
    """Appends nodes to a graph under fresh names."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.types = {tensor.name: tensor.data_type for tensor in graph.initializer}
        self.probes: list[tuple[str, str, str, Converter]] = []
        self._taken = {*self.types, *(value.name for value in graph.input)}
        self._taken |= {name for node in graph.node for name in (*node.output, node.name)}
        self._count: Counter[str] = Counter()

    def name(self, stem: str) -> str:
        name = f"harden.{stem}"
        while name in self._taken:
            self._count[stem] += 1
            name = f"harden.{stem}.{self._count[stem]}"
        self._taken.add(name)
        return name

    def converter(self, key: str, source: str, target: str | None, law: Converter, kind: int) -> str:
        before, low, high = source, law.low, law.high
        half = kind if kind in _HALF else None
        if half is not None:
            kind = TensorProto.FLOAT
            source = self._cast(source, None, key, kind)
        last = None if half is not None else target
        if law.bits:
            step = self._constant(f"{key}.step", law.step, kind)
            source = self._node("Div", [source, step], None, key)
            source = self._node("Round", [source], None, key)
            low, high = law.codes
        limits = [self._constant(f"{key}.limit", float(end), kind) for end in (low, high)]
        after = self._node("Clip", [source, *limits], None if law.bits else last, key)
        if law.bits:
            after = self._node("Mul", [after, step], last, key)
        if half is not None:
            after = self._cast(after, target, key, half)
        self.probes.append((key, before, after, law))
        return after

    def noise(self, key: str, source: str, target: str | None, kind: int) -> str:
        name = self.name(f"{key}.noise")
        self.graph.input.append(helper.make_tensor_value_info(name, kind, None))
        return self._node("Add", [source, name], target, key)

    def _constant(self, stem: str, value: float, kind: int) -> str:
        name = self.name(stem)
        array = np.array(value, helper.tensor_dtype_to_np_dtype(kind))
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def _cast(self, source: str, target: str | None, key: str, kind: int) -> str:
        output = self._node("Cast", [source], target, key)
        self.graph.node[-1].attribute.append(helper.make_attribute("to", kind))
        return output

    def _node(self, op: str, inputs: list[str], target: str | None, key: str) -> str:
        output = target or self.name(f"{key}.{op.lower()}")
        self.graph.node.append(helper.make_node(op, inputs, [output], name=self.name(f"{key}.{op}.node")))
        return output
