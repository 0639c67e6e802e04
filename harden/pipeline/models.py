"""From settings to models, and how examples become their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harden.data.preprocess import Preprocess, resolve_preprocess
from harden.errors import SettingsError
from harden.graph.analog import is_digital
from harden.graph.file import Model
from harden.progress import Notify, silent, stage
from harden.settings import Settings


def open_model(
    source: str,
    *,
    weights: str | None = None,
    pretrained: bool = False,
    allow_random: bool = False,
    input_size: tuple[int, int] | None = None,
) -> Model:
    """Open an ONNX file, or export ``timm:NAME`` to ONNX.

    Args:
        source: A path, or ``timm:NAME``.
        weights: A safetensors checkpoint for ``timm:NAME``.
        pretrained: Let timm download the weights.
        allow_random: Accept ``timm:NAME`` with random weights.
        input_size: Height and width of the images of ``timm:NAME``; its own by default. An ONNX file has its size.

    Raises:
        ModelError: The file is missing, malformed or unsupported.
        SettingsError: ``weights`` or ``pretrained`` given for an ONNX file.
    """
    if source.startswith("timm:"):
        from harden.graph.zoo import from_timm  # timm takes seconds to import, and most models are files

        path = Path(weights) if weights else None
        return from_timm(
            source.removeprefix("timm:"),
            weights=path,
            pretrained=pretrained,
            allow_random=allow_random,
            input_size=input_size,
        )
    if weights or pretrained:
        flag = "--weights" if weights else "--pretrained"
        raise SettingsError(f"{flag} is for timm:NAME; {source} has its weights inside", fix=f"Leave {flag} out")
    return Model.load(source)


def model_of(settings: Settings, source: str | None = None, notify: Notify = silent) -> Model:
    """The model that a command's settings name, or another of its ``source``s under the same flags."""
    source = source or settings.model
    with stage(notify, f"opening {Path(source).name}"):
        model = open_model(
            source, weights=settings.weights, pretrained=settings.pretrained, input_size=settings.input_size
        )
    return model.with_crossbars(settings.crossbars)


def open_preprocess(model: Model, settings: Settings) -> Preprocess:
    """How examples become inputs of ``model``: the flags, or what the model's file says."""
    return resolve_preprocess(model.preprocess, mean=settings.mean, std=settings.std, input_size=settings.input_size)


def input_names(model: Model) -> tuple[str, ...]:
    """What the arrays of a data set are called where the model takes several inputs."""
    return tuple(spec.name for spec in model.inputs)


def check_digital(model: Model, globs: Sequence[str]) -> None:
    """Refuse a glob that keeps nothing digital: the noise that it was to keep away would be there, unseen.

    Raises:
        SettingsError: Lists the globs that match no weight.
    """
    if not globs:
        return
    uses = model.module().uses
    idle = [glob for glob in globs if not any(is_digital(use, (glob,)) for use in uses)]
    if idle:
        names = ", ".join(repr(glob) for glob in idle)
        raise SettingsError(
            f"--digital {names} matches no weight on a crossbar", fix=f"See harden inspect {model.source}"
        )
