"""A file is called model.onnx only after ONNX Runtime has shown that it computes what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from harden.errors import VerificationError
from harden.graph.file import Model
from harden.runtime.canary import canary
from harden.runtime.parity import parity
from harden.store import write_atomic


def save_verified(
    model: Model, inputs: tuple[np.ndarray, ...], folder: Path, *, digital: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Check a hardened model on real inputs and under noise in ONNX Runtime, then write it.

    Args:
        model: The hardened model.
        inputs: Real examples where there are any, one array per input.
        folder: Gets ``model.onnx``, or ``model.rejected.onnx`` when a check fails.
        digital: Globs of tensors that are kept off the crossbars.

    Returns:
        What was checked: ``parity`` (largest errors), ``inert`` (weights that move no output).

    Raises:
        VerificationError: torch and ONNX Runtime disagree, or noise does not reach a tensor.
    """
    try:
        agreement = parity(model, inputs)
        if not agreement.passed:
            raise VerificationError(
                f"torch and ONNX Runtime disagree by {agreement.max_abs_error:.2e} on real inputs", where=model.source
            )
        checked = canary(model, inputs, digital=digital)
    except VerificationError as error:
        rejected = write_atomic(folder / "model.rejected.onnx", model.serialize())
        raise type(error)(error.what, where=error.where, fix=f"The file is kept as {rejected}") from error
    model.save(folder / "model.onnx")
    return {
        "examples": len(inputs[0]),
        "max_abs_error": agreement.max_abs_error,
        "max_rel_error": agreement.max_rel_error,
        "inert": list(checked.inert),
    }
