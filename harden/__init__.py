"""harden: make a pretrained network robust against the noise of the hardware it will run on.

The public names are imported when they are first used, so ``import harden`` is quick and imports no torch.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.data.preprocess import Preprocess
    from harden.errors import HardenError
    from harden.evaluation.evaluate import evaluate
    from harden.graph.file import Model
    from harden.noise.profile import Profile
    from harden.pipeline.api import Fitted, fit, load
    from harden.pipeline.new_head import with_new_head
    from harden.records import CompareRecord, EvalRecord, Evaluation, FitRecord
    from harden.report.view import Report

# ONNX Runtime from 1.29 on sends events to its maker and leaves a device identifier in the home folder, unless it is
# told not to before it is imported. A user who wants that sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__all__ = [
    "CompareRecord",
    "Dataset",
    "EvalRecord",
    "Evaluation",
    "FitRecord",
    "Fitted",
    "HardenError",
    "Model",
    "Preprocess",
    "Profile",
    "Report",
    "evaluate",
    "fit",
    "load",
    "with_new_head",
]

_HOMES = {
    "CompareRecord": "harden.records",
    "Dataset": "harden.data.dataset",
    "EvalRecord": "harden.records",
    "Evaluation": "harden.records",
    "FitRecord": "harden.records",
    "Fitted": "harden.pipeline.api",
    "HardenError": "harden.errors",
    "Model": "harden.graph.file",
    "Preprocess": "harden.data.preprocess",
    "Profile": "harden.noise.profile",
    "Report": "harden.report.view",
    "evaluate": "harden.evaluation.evaluate",
    "fit": "harden.pipeline.api",
    "load": "harden.pipeline.api",
    "with_new_head": "harden.pipeline.new_head",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harden' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
