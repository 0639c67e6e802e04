"""What can be chosen by name: methods and profiles."""

from __future__ import annotations

from typing import Any

from harden import methods as method_package
from harden.noise import describe as noise_text
from harden.noise.profile import Profile
from harden.pipeline.models import open_model
from harden.registry import METHODS


def methods() -> list[dict[str, Any]]:
    """One record per method: name, kind, summary, cost, source."""
    keys = ("name", "kind", "summary", "cost", "source")
    return [{key: record[key] for key in keys} for record in map(method_package.describe, METHODS)]


def method(name: str) -> dict[str, Any]:
    """Everything there is to know of one method, options included."""
    return {**method_package.describe(name), "alias": name}


def profiles() -> list[dict[str, str]]:
    """One record a shipped profile: name, kind, summary, source, level, valid."""
    return noise_text.listing()


def profile(text: str, model: str | None = None, at_s: float | None = None) -> noise_text.Description:
    """One profile, with any values given in its name, and what it would do to a model.

    Args:
        text: ``NAME[:key=value,...]`` or a file.
        model: An ONNX file, or ``timm:NAME``.
        at_s: Seconds since programming; None is the first valid time.
    """
    weights = None if model is None else open_model(model, allow_random=True).analog_weights()
    return noise_text.describe(Profile.parse(text), weights, at_s=at_s)
