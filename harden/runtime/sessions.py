"""How harden opens an ONNX Runtime session: one place for the options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from harden.errors import ModelError, SettingsError
from harden.graph.file import Model

_ERRORS_ONLY = 3
_IR = re.compile(r"model IR version: (?P<has>\d+), max supported IR version: (?P<most>\d+)")
_OPSET = re.compile(r"Opset (?P<has>\d+) is under development.* domain (?P<domain>\S+) is till opset (?P<most>\d+)")
_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_PLACE = re.compile(r"/onnxruntime_src/\S+ [^(]*\([^)]*\)(?: \[[^]]*\])? ")
AS_WRITTEN = {
    "session.disable_quant_qdq": "1",
    "session.disable_double_qdq_remover": "1",
    "session.qdq_matmulnbits_accuracy_level": "0",
}
"""What makes ONNX Runtime compute the QuantizeLinear and DequantizeLinear of a file as they are written.

By default it replaces them by kernels on integers, whose sums saturate on processors without VNNI; drops one of two
roundings in a row; and rounds activations to int8 where the file has quantised weights only.
"""


def choose_device(wanted: str, available: Sequence[str] | None = None) -> str:
    """The kind of device that sessions run on.

    Args:
        wanted: ``cpu``, ``cuda``, or ``auto`` for a GPU where ONNX Runtime can use one.
        available: Names of ONNX Runtime's providers; None asks it.

    Returns:
        ``cpu`` or ``cuda``.

    Raises:
        SettingsError: A GPU is wanted, and ONNX Runtime has no provider for it.

    Example:
        >>> choose_device("auto", ["CPUExecutionProvider"])
        'cpu'
    """
    has_cuda = "CUDAExecutionProvider" in (ort.get_available_providers() if available is None else available)
    if wanted == "cuda" and not has_cuda:
        raise SettingsError(
            "ONNX Runtime has no CUDA provider here",
            where="--device cuda",
            fix="pip install onnxruntime-gpu in place of onnxruntime, or leave --device out",
        )
    return "cuda" if has_cuda and wanted in ("cuda", "auto") else "cpu"


def providers(device: str) -> list[str]:
    """ONNX Runtime's providers for a device, in the order of preference; the CPU takes what a GPU cannot."""
    return [*(["CUDAExecutionProvider"] if device == "cuda" else []), "CPUExecutionProvider"]


class Session:
    """An ONNX Runtime session, and the values it was given.

    Args:
        source: A model file, or its bytes.
        values: Arrays by initializer name that replace what the file holds. The initializers must be stored as external
            data: only then does ONNX Runtime treat the value as part of the model (it optimises, fuses and lays out the
            replacement itself), and only then does it refuse a name it cannot replace.
        threads: Threads within an operator.
        device: ``cpu`` or ``cuda``.

    Attributes:
        session: ONNX Runtime's own object.
        inputs: Its descriptions of the inputs.
        outputs: The same of the outputs.

    Raises:
        ModelError: ONNX Runtime does not accept the model.
    """

    def __init__(
        self,
        source: Path | bytes,
        values: Mapping[str, np.ndarray] | None = None,
        *,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        options = ort.SessionOptions()  # all optimisations: a lower level loses the blocked layout and half the speed
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        for name, value in AS_WRITTEN.items():
            options.add_session_config_entry(name, value)
        values = values or {}
        # ONNX Runtime reads these buffers for as long as the session lives, and does not own them.
        self._values = [ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(v)) for v in values.values()]
        if values:
            options.add_external_initializers(list(values), self._values)
        try:
            self.session = ort.InferenceSession(
                source if isinstance(source, bytes) else str(source), options, providers=providers(device)
            )
        except Exception as error:  # onnxruntime raises a family of unrelated C++ exceptions
            raise _refused(error, None if isinstance(source, bytes) else str(source)) from error
        self.inputs = list(self.session.get_inputs())
        self.outputs = list(self.session.get_outputs())

    def run(
        self,
        *inputs: np.ndarray,
        outputs: Sequence[str] | None = None,
        values: Mapping[str, np.ndarray] | None = None,
    ) -> list[np.ndarray]:
        """The outputs for one batch, in the file's order.

        Inputs that all have one axis more than the file says are examples: they are run one by one, and the outputs
        stacked.

        Args:
            inputs: One array for each input.
            outputs: Names of the values to return; None for all outputs.
            values: For this run, arrays by name of initializers that are listed as inputs, too.

        Raises:
            ModelError: ONNX Runtime refuses these inputs, or fails on them.
        """
        if len(inputs) > 1 and all(x.ndim == len(s.shape) + 1 for x, s in zip(inputs, self.inputs, strict=True)):
            results = [self.run(*example, outputs=outputs, values=values) for example in zip(*inputs, strict=True)]
            return [np.stack(parts) for parts in zip(*results, strict=True)]
        feed = {spec.name: value for spec, value in zip(self.inputs, inputs, strict=True)}
        feed |= values or {}
        try:
            results: Any = self.session.run(outputs, feed)
        except Exception as error:  # as above
            shapes = ", ".join(f"{name} {value.dtype}{list(value.shape)}" for name, value in feed.items())
            raise ModelError(f"ONNX Runtime fails on {shapes} ({first_line(error)})") from error
        return results


def deciding_options(model: Model) -> dict[str, str]:
    """The session options that decide the numbers of a model: those for its quantisation, if it has any."""
    has_some = any(node.op in ("QuantizeLinear", "DequantizeLinear") for node in model.program.walk())
    return dict(AS_WRITTEN) if has_some else {}


def plain_session(model: Model, *, threads: int = 1) -> ort.InferenceSession:
    """ONNX Runtime's own session of a model.

    Raises:
        ModelError: ONNX Runtime does not accept the model.
    """
    return Session(model.runnable, threads=threads).session


def _refused(error: BaseException, where: str | None) -> ModelError:
    """What is said where no session can be opened; a file may only be too new."""
    newer = _IR.search(str(error)) or _OPSET.search(str(error))
    if newer is None:
        what, fix = f"ONNX Runtime does not accept the model ({first_line(error)})", "Check the file with onnx.checker"
        return ModelError(what, where=where, fix=f"{fix}, or export it again")
    has, domain, most = newer["has"], newer.groupdict().get("domain"), newer["most"]
    kind = f"opset {has} of {domain}" if domain else f"IR version {has}"
    return ModelError(
        f"the file is newer than ONNX Runtime {ort.__version__}: it has {kind}, and {most} is the last that is known",
        where=where,
        fix="Update onnxruntime, or write the file for older versions (onnx.version_converter for the opset, then "
        "model.ir_version)",
    )


def first_line(error: BaseException) -> str:
    """What ONNX Runtime says, without the place in its sources."""
    text = _PLACE.sub("", _PREFIX.sub("", str(error).strip()))
    return (text.splitlines() or [type(error).__name__])[0]
