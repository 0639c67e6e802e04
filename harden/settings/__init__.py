"""The frozen, validated description of a run: flags over ``harden.toml`` over defaults, and back to TOML.

Every value takes the same path, whether it came from a flag, a file or Python, and every problem is reported at once
with the place it came from. Paths in a file are relative to that file.
"""

from __future__ import annotations

from harden.settings.common import WHERE, Settings
from harden.settings.evaluate import CompareSettings, EvalSettings
from harden.settings.fit import FitSettings
from harden.settings.resolve import FILE, origin, problem, resolve, to_toml
from harden.settings.training import TrainingOptions
from harden.values import engine_name, read_seconds, read_size, seconds

__all__ = [
    "FILE",
    "WHERE",
    "CompareSettings",
    "EvalSettings",
    "FitSettings",
    "Settings",
    "TrainingOptions",
    "engine_name",
    "origin",
    "problem",
    "read_seconds",
    "read_size",
    "resolve",
    "seconds",
    "to_toml",
]
