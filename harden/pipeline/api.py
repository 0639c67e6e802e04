"""The Python interface: the same steps as the command line, on objects instead of settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harden import distributed, methods
from harden.data.dataset import Dataset, check_data
from harden.data.validation import split_validation
from harden.engines import check_name
from harden.errors import SettingsError, UnknownNameError
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.pipeline.models import open_model
from harden.pipeline.placement import placement
from harden.training import second_try as gentle_training
from harden.training.auto import auto
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Fitted:
    """What ``harden.fit`` hands back.

    Attributes:
        model: The hardened model.
        history: One record per step: ``step``, ``loss`` and the method's named parts.
        selected_step: The step whose weights did best on noisy validation chips.
        levers: What each lever did.
        seconds: Time spent training and selecting.
    """

    model: Model
    history: list[Mapping[str, float]]
    selected_step: int
    levers: Mapping[str, Any]
    seconds: float


def load(
    source: str | Path | torch.nn.Module,
    example: torch.Tensor | Sequence[torch.Tensor] | None = None,
    *,
    weights: str | Path | None = None,
    pretrained: bool = False,
) -> Model:
    """Open a model: an ONNX file, ``timm:NAME``, or a torch module with an example input.

    Args:
        source: The file, name or module.
        example: For a module: an input tensor, or a tuple of them.
        weights: For ``timm:NAME``: a safetensors checkpoint.
        pretrained: For ``timm:NAME``: let timm download its weights.

    Raises:
        ModelError: The file is missing, malformed or unsupported.
        SettingsError: A module without an example, or an argument that does not fit the source.
    """
    if isinstance(source, (str, Path)):
        return open_model(str(source), weights=str(weights) if weights else None, pretrained=pretrained)
    if example is None:
        raise SettingsError("a torch module needs an example input", fix="harden.load(module, example)")
    from harden.graph.export import from_torch

    return from_torch(source, example)


def fit(
    model: Model,
    data: Dataset,
    *,
    profile: str | Profile | Sequence[str | Profile],
    method: str = "distill",
    options: Mapping[str, Any] | None = None,
    validation: Dataset | None = None,
    epochs: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    engine: str = "local",
    workers: int | None = None,
    second_try: bool = True,
    **plan: Any,
) -> Fitted:
    """Harden a model.

    Args:
        model: The model; not changed.
        data: Examples to train on.
        profile: The noise or its text (``rram1:sigma_d=0.1``), or several noises that are mixed.
        method: The method's name; ``harden methods list`` shows them.
        options: The method's hyper-parameters.
        validation: Examples to select by; a stratified tenth of ``data``, at most 5,000, when absent.
        epochs: Passes over the training examples; one by default, or as many as show 12,800 examples.
        seed: Root of every random stream.
        device: What is trained on: ``cpu``, ``cuda``, or ``auto``.
        engine: Where training runs: ``local``, ``ray`` or ``ray://HOST:PORT``; see docs/scaling.md.
        workers: How many workers of the Ray cluster train together; None is one per machine (or per GPU).
        second_try: Whether a training that hardly helped is followed by a gentle one; see docs/levers.md.
        **plan: Further fields of ``harden.training.plan.TrainingPlan``, such as ``clip`` or ``lr``.

    Returns:
        The hardened model and how it came about. Validate it with ``harden.evaluate``.

    Raises:
        SettingsError: An unknown method or argument, a wrong option, or data that is no Dataset.
        DivergedError: Training diverged twice.
    """
    check_data(data)
    names = set(TrainingPlan.model_fields)
    unknown = set(plan) - names
    if unknown:
        raise UnknownNameError("argument of harden.fit or field of the plan", min(unknown), names)
    if validation is None:
        data, validation = split_validation(data, seed)
    several = (profile,) if isinstance(profile, (str, Profile)) else tuple(profile)
    profiles = [Profile.parse(noise) if isinstance(noise, str) else noise for noise in several]
    full = TrainingPlan(
        method=method,
        options=dict(options or {}),
        conditions=tuple(Condition(noise) for noise in profiles),
        epochs=epochs,
        seed=seed,
        **plan,
    )
    recipe = _trainable(method) == "recipe"
    batch = min(full.examples_per_step, len(data))
    with distributed.joined(), placement(check_name(engine), workers, batch, device) as where:
        run = partial(auto, trainer=where.trainer, engine=where.engine) if recipe else where.trainer
        ready = full.replace(device=where.device)
        problem = Problem(model, data, validation)
        trained = run(problem, ready)
        if second_try:
            trained = gentle_training.second_try(trained, problem, where.trainer)
    return Fitted(trained.model, trained.history, trained.selected_step, trained.levers, trained.seconds)


def _trainable(method: str) -> str:
    kind = methods.describe(method)["kind"]
    if kind not in ("objective", "recipe"):
        fix = f"harden.methods.load('{method}').apply(model, batches, profile), or harden fit --method {method}"
        raise SettingsError(f"method {method} is a {kind}: it does not train", fix=fix)
    return kind
