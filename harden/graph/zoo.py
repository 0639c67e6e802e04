"""Models by name from timm, with the preprocessing they were made for; timm takes seconds to import."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub as hub
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.data.config import resolve_model_data_config
from torch import nn

from harden.data.preprocess import METADATA_KEY, Preprocess
from harden.errors import ModelError, UnknownNameError
from harden.graph.export import from_torch
from harden.graph.file import Model

_SHOWN = 4
_PATIENCE_S = 10.0
_WRAPPERS = ("module.", "_orig_mod.", "model.")  # of torch's DataParallel, torch.compile and Lightning


def from_timm(
    name: str,
    *,
    weights: Path | None = None,
    pretrained: bool = False,
    allow_random: bool = False,
    classes: int | None = None,
    fold_batch_norms: bool = False,
    input_size: tuple[int, int] | None = None,
) -> Model:
    """Export a timm model, with its preprocessing in the metadata.

    Args:
        name: timm's name, with or without ``timm:`` before it.
        weights: A safetensors file with the model's state; all of it, under timm's names.
        pretrained: Let timm download its own weights.
        allow_random: Accept untrained weights (to inspect an architecture).
        classes: Number of classes; what the weights have by default.
        fold_batch_norms: Fold batch norms into the weights before them.
        input_size: Height and width of the images; timm's own for this model by default.

    Raises:
        UnknownNameError: timm has no such model.
        ModelError: No weights, weights that do not fit, or a size that the model does not take.
    """
    name = name.removeprefix("timm:")
    source = f"timm:{name}"
    if weights is None and not pretrained and not allow_random:
        raise ModelError(
            "without weights the model is untrained",
            where=source,
            fix="Give --weights FILE.safetensors, or --pretrained",
        )
    state = None if weights is None else _unwrapped(_read(Path(weights)))
    module = _create(name, pretrained, classes, state)
    if state is not None:
        _fill(module, state, str(weights))
    record = _preprocess(module)
    if input_size is not None:
        record = replace(record, input_size=input_size)
    size = record.input_size or (224, 224)
    example = torch.zeros(2, record.channels, *size)
    example.view(-1)[:] = torch.linspace(-1, 1, example.numel())
    if input_size is not None:
        _check_size(module, example, source)
    model = from_torch(module, example, fold_batch_norms=fold_batch_norms, source=source)
    return model.with_metadata({METADATA_KEY: record.to_json()})


def _check_size(module: nn.Module, example: torch.Tensor, source: str) -> None:
    """Run the model once at a size that is not its own."""
    try:
        with torch.no_grad():
            module(example)
    except Exception as error:  # a model may refuse in any way
        reason = str(error).split("\n")[0]
        height, width = example.shape[-2:]
        raise ModelError(
            f"does not take images of {height}x{width}: {reason}", where=source, fix="Leave --input-size out"
        ) from error


def _create(name: str, pretrained: bool, classes: int | None, state: dict[str, torch.Tensor] | None) -> nn.Module:
    if name not in timm.list_models() and not timm.is_model(name.split(".")[0]):
        raise UnknownNameError("timm model", name, timm.list_models())
    if classes is None and state is not None:
        classes = _classes(timm.create_model(name, pretrained=False), state)
    try:
        if pretrained:
            _check_hub(name)
        return timm.create_model(name, pretrained=pretrained, num_classes=classes).eval()
    except ModelError:
        raise
    except Exception as error:  # timm and the hub raise anything: no network, no such tag
        reason = str(error).split("\n")[0].rstrip(".")
        fix = "Check the network, or give --weights FILE.safetensors" if pretrained else None
        raise ModelError(f"timm cannot make the model: {reason}", where=f"timm:{name}", fix=fix) from error


def _check_hub(name: str) -> None:
    """Say at once that there is no network; the hub's own code tries again for a minute, and tells of each attempt.

    Raises:
        ModelError: The checkpoint is not on this machine, and the hub does not answer.
    """
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    repository = getattr(config, "hf_hub_id", None)
    files = ("model.safetensors", "pytorch_model.bin")
    if not repository or any(isinstance(hub.try_to_load_from_cache(repository, file), str) for file in files):
        return
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(repository, files[0]), timeout=_PATIENCE_S)
    except hub.errors.HfHubHTTPError:
        return  # it answered
    except Exception as error:  # of the hub's HTTP client, which has changed before
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(
            f"the checkpoint cannot be downloaded: {repository} is not reachable ({reason})",
            where=f"timm:{name}",
            fix="Check the network, or give --weights FILE.safetensors",
        ) from error


def _classes(module: nn.Module, state: dict[str, torch.Tensor]) -> int | None:
    """The number of classes of a checkpoint, by the shape of its classifier."""
    config = getattr(module, "pretrained_cfg", None) or {}
    heads = config.get("classifier", ())
    for head in (heads,) if isinstance(heads, str) else heads or ():
        weight = state.get(f"{head}.weight")
        if weight is not None:
            return int(weight.shape[0])
    return None


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise ModelError("no such file", where=str(path), fix="Check --weights") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"not a readable safetensors file: {error}", where=str(path)) from error


def _unwrapped(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state under the model's own names, where a wrapper that it was trained in put its own before each."""
    while wrapper := next((item for item in _WRAPPERS if state and all(key.startswith(item) for key in state)), None):
        state = {name.removeprefix(wrapper): value for name, value in state.items()}
    return state


def _fill(module: nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    """Load a state strictly; counters of batches may be left out, no tensor may."""
    own = module.state_dict()
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    problems = [f"missing {name}" for name in own if name not in state and name not in counters]
    problems += [f"unexpected {name}" for name in state if name not in own]
    problems += [
        f"{name} is {list(state[name].shape)}, not {list(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ModelError("weights do not fit the model: " + "; ".join(problems[:_SHOWN]) + more, where=where)
    module.load_state_dict(state, strict=False)


def _preprocess(module: nn.Module) -> Any:
    """timm's record of how images become inputs, as harden writes it."""
    config = resolve_model_data_config(module)
    channels, height, width = config["input_size"]
    return Preprocess(
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        input_size=(height, width),
        channels=channels,
        resize="crop" if config["crop_mode"] == "center" else str(config["crop_mode"]),
        crop_pct=config["crop_pct"],
        interpolation=config["interpolation"],
    )
