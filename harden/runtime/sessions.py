"""How harden opens an ONNX Runtime session: one place for the options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from harden.errors import ModelError, SettingsError
from harden.graph.file import Model

_ERRORS_ONLY = 3


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
            raise ModelError(
                f"ONNX Runtime does not accept the model ({_first_line(error)})",
                where=None if isinstance(source, bytes) else str(source),
                fix="Check the file with onnx.checker, or export it again",
            ) from error
        self.inputs = list(self.session.get_inputs())
        self.outputs = list(self.session.get_outputs())

    def run(self, *inputs: np.ndarray, outputs: Sequence[str] | None = None) -> list[np.ndarray]:
        """The outputs for one batch, in the file's order.

        Inputs that all have one axis more than the file says are examples: they are run one by one, and the outputs
        stacked.

        Raises:
            ModelError: ONNX Runtime refuses these inputs, or fails on them.
        """
        if len(inputs) > 1 and all(x.ndim == len(s.shape) + 1 for x, s in zip(inputs, self.inputs, strict=True)):
            results = [self.run(*example, outputs=outputs) for example in zip(*inputs, strict=True)]
            return [np.stack(parts) for parts in zip(*results, strict=True)]
        feed = {spec.name: value for spec, value in zip(self.inputs, inputs, strict=True)}
        try:
            results: Any = self.session.run(outputs, feed)
        except Exception as error:  # as above
            shapes = ", ".join(f"{name} {value.dtype}{list(value.shape)}" for name, value in feed.items())
            raise ModelError(f"ONNX Runtime fails on {shapes} ({_first_line(error)})") from error
        return results


def plain_session(model: Model, *, threads: int = 1) -> ort.InferenceSession:
    """ONNX Runtime's own session of a model as it would be saved.

    Raises:
        ModelError: ONNX Runtime does not accept the model.
    """
    return Session(model.serialize(), threads=threads).session


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
