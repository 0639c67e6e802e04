"""The runtime copy with a periphery: nodes around each analog node that clip and round, and inputs for output noise.

The file that was exported stays as it is; only the copy that ONNX Runtime runs gets Div, Round, Clip and Mul in front
of each analog node and behind it. Output noise enters by an extra graph input a layer, drawn by harden's own streams,
so that a chip is the same chip in torch and here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from harden.errors import UnsupportedError, VerificationError
from harden.graph.editor import Editor
from harden.noise.periphery import Converter, Periphery, Ranges, output_noise
from harden.runtime.copy import RuntimeCopy
from harden.runtime.sessions import Session

_OPSET = 11  # Round, and Clip with its limits as inputs
_HALF = (TensorProto.FLOAT16, TensorProto.BFLOAT16)  # converted in single precision, as in torch
Shapes = Callable[[Sequence[np.ndarray]], Mapping[str, tuple[int, ...]]]


class PeripheryCopy:
    """A runtime copy with a periphery.

    Args:
        copy: The plain copy; its folder gets one more file.
        periphery: Converters and output noise.
        ranges: By place.
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
        proto, self._noise, self._probes = insert(proto, copy.readers, periphery, ranges)
        self._raw = proto.SerializeToString()
        name = f"periphery-{hashlib.sha256(self._raw).hexdigest()[:16]}.onnx"
        self._variant = copy.variant(name, self._raw)

    def session(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        threads: int = 1,
        seed: int = 0,
        path: tuple[str | int, ...] = ("analysis",),
    ) -> PeripherySession:
        """A session with some weights replaced, as of `RuntimeCopy.session`.

        Args:
            values: Arrays or tensors by analog key.
            threads: Threads within an operator.
            seed: Root seed of the output noise.
            path: The chip's path, as its weights were drawn with.
        """
        session = self._copy.session(values, threads=threads, variant=self._variant)
        return PeripherySession(session, lambda *inputs: self._drawn(seed, path, *inputs))

    def check(self, *inputs: np.ndarray, threads: int = 1) -> None:
        """Hold every inserted converter to the law in torch, bit for bit, on real inputs.

        Raises:
            VerificationError: ONNX Runtime converts otherwise.
        """
        if not self._probes:
            return
        proto = onnx.load_from_string(self._raw)
        fed, read = ({item.name for item in items} for items in (proto.graph.input, proto.graph.output))
        ends = (name for probe in self._probes for name in (probe.before, probe.after))
        names = list(dict.fromkeys(name for name in ends if name not in fed))
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in read)
        probe = self._copy.variant("probe.onnx", proto.SerializeToString())
        session = self._copy.session(threads=threads, variant=probe)
        drawn = self._drawn(0, ("check",), *inputs)
        values = dict(zip(names, session.run(*inputs, *drawn(0), outputs=names), strict=True))
        values |= {spec.name: value for spec, value in zip(session.inputs, inputs, strict=False)}
        for item in self._probes:
            if not np.array_equal(item.converter(torch.from_numpy(values[item.before])).numpy(), values[item.after]):
                raise VerificationError(
                    "ONNX Runtime does not convert as the profile says", where=item.key, fix="Please report this model"
                )

    def _drawn(self, seed: int, path: tuple[str | int, ...], *inputs: np.ndarray) -> Callable[[int], list[np.ndarray]]:
        """The noise inputs of the pass with a given number, in the order of the graph's inputs."""
        shapes = self._shapes(inputs) if self._noise else {}

        def draw(number: int) -> list[np.ndarray]:
            arrays = []
            for key, dtype in self._noise.items():
                sigma = self._periphery.noise_sigma(self._ranges[key][1])
                noise = output_noise(shapes[key], sigma, seed, path, key, number)
                arrays.append(noise.numpy().astype(dtype))
            return arrays

        return draw


class PeripherySession:
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


@dataclass(frozen=True)
class Probe:
    """A converter in a graph: the place of its analog use, the values before and behind it, and its law."""

    key: str
    before: str
    after: str
    converter: Converter


def insert(
    proto: onnx.ModelProto, readers: Mapping[str, Sequence[str]], periphery: Periphery, ranges: Ranges
) -> tuple[onnx.ModelProto, dict[str, np.dtype], list[Probe]]:
    """Put converters and noise inputs around each analog node of the main graph.

    Args:
        proto: A copy whose analog uses have initializers of their own; it stays as it is.
        readers: By the name of each crossbar's value, the places of those that read it, in the order of the nodes.
        periphery: Converters and output noise.
        ranges: By place.

    Returns:
        The changed copy; the type of each noise input by place, in the order of the inputs; and the converters.

    Raises:
        UnsupportedError: The model's opset is too old.
    """
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < _OPSET:
        fix = f"Export the model with opset {_OPSET} or later"
        raise UnsupportedError(f"converters need opset {_OPSET}, the model has {opset}", fix=fix)
    editor = Editor(proto)
    noise: dict[str, np.dtype] = {}
    probes: list[Probe] = []
    ahead = {name: iter(places) for name, places in readers.items() if all(place in ranges for place in places)}
    for node in list(editor.graph.node):
        if node.op_type == "Reshape":  # no product: it turns a crossbar for another reader
            continue
        slot = next((i for i, name in enumerate(node.input) if name in ahead), None)
        key = None if slot is None else next(ahead[node.input[slot]], None)
        if slot is None or key is None:
            continue
        inner, outer = ranges[key]
        kind = _kind(editor, node.input[slot])
        dac, adc = periphery.input_converter(inner), periphery.output_converter(outer)
        if dac is not None:
            before = _Chain(editor, key, kind)
            node.input[1 - slot] = before.convert(node.input[1 - slot], None, dac)
            editor.insert_before(node, before.nodes)
            probes += before.probes
        noisy = bool(periphery.noise_sigma(outer))
        if not noisy and adc is None:
            continue
        output, behind = node.output[0], _Chain(editor, key, kind)
        value = behind.name("raw")
        editor.rename_output(output, value)
        if noisy:
            noise[key] = helper.tensor_dtype_to_np_dtype(kind)
            value = behind.add_noise(value, None if adc is not None else output)
        if adc is not None:
            behind.convert(value, output, adc)
        editor.insert_after(node, behind.nodes)
        probes += behind.probes
    return editor.proto, noise, probes


def _kind(editor: Editor, name: str) -> int:
    """The element type of a crossbar's value, whose elements may be turned on the way."""
    while name not in editor.constants:
        name = editor.producers[name].input[0]
    return editor.constants[name].data_type


class _Chain:
    """Nodes of one analog use, one behind the other, under fresh names."""

    def __init__(self, editor: Editor, key: str, kind: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.probes: list[Probe] = []
        self._editor, self._key, self._kind = editor, key, kind

    def name(self, what: str) -> str:
        return self._editor.fresh_name(f"harden.{self._key}.{what}")

    def convert(self, source: str, target: str | None, law: Converter) -> str:
        """Clip and round a value; in half precision on the way through single precision."""
        before, low, high, kind = source, law.low, law.high, self._kind
        half = kind in _HALF
        if half:
            kind = TensorProto.FLOAT
            source = self._node("Cast", [source], None, to=kind)
        last = None if half else target
        step = self._constant("step", law.step, kind) if law.bits else ""
        if law.bits:
            source = self._node("Div", [source, step], None)
            source = self._node("Round", [source], None)
            low, high = law.codes
        limits = [self._constant("limit", float(end), kind) for end in (low, high)]
        after = self._node("Clip", [source, *limits], None if law.bits else last)
        if law.bits:
            after = self._node("Mul", [after, step], last)
        if half:
            after = self._node("Cast", [after], target, to=self._kind)
        self.probes.append(Probe(self._key, before, after, law))
        return after

    def add_noise(self, source: str, target: str | None) -> str:
        """Add what a new graph input brings."""
        name = self.name("noise")
        self._editor.graph.input.append(helper.make_tensor_value_info(name, self._kind, None))
        return self._node("Add", [source, name], target)

    def _constant(self, what: str, value: float, kind: int) -> str:
        return self._editor.add_constant(self.name(what), np.array(value, helper.tensor_dtype_to_np_dtype(kind)))

    def _node(self, op: str, inputs: list[str], target: str | None, to: int | None = None) -> str:
        output = target or self.name(op.lower())
        self.nodes.append(helper.make_node(op, inputs, [output], name=self.name(f"{op}.node")))
        if to is not None:
            self.nodes[-1].attribute.append(helper.make_attribute("to", to))
        return output
