"""The frozen, validated description of a run: flags over ``harden.toml`` over defaults, and back to TOML.

Every value takes the same path, whether it came from a flag, a file or Python, and every problem is reported at once
with the place it came from. Paths in a file are relative to that file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from harden.errors import SettingsError
from harden.memory import amount
from harden.origins import read_toml

FILE = "harden.toml"
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "y": 365.25 * 86400.0}
# Where a run happens and is kept decides none of its numbers.
WHERE = frozenset({"out", "engine", "workers", "max_memory", "track"})
_PATHS = ("weights", "data", "val", "test", "out", "replay")


def seconds(value: object) -> object:
    """Read a duration: a number of seconds, or a text such as ``90s``, ``10min``, ``1h``, ``30d``.

    Raises:
        ValueError: The text is no duration.

    Example:
        >>> seconds("1h"), seconds("1.5min"), seconds(20)
        (3600.0, 90.0, 20)
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", value)
    unit = _SECONDS.get(match[2] or "s") if match else None
    if match is None or unit is None:
        raise ValueError(f"'{value}' is no duration; write a number and one of {', '.join(_SECONDS)}, such as 30d")
    return float(match[1]) * unit


def read_seconds(text: str, flag: str) -> float:
    """A duration that was given to a flag, in seconds.

    Raises:
        SettingsError: It is none; names the flag.
    """
    try:
        return float(seconds(text))  # pyright: ignore[reportArgumentType]
    except ValueError as error:
        raise SettingsError(f"{flag}: {error}") from None


def _separated(value: object) -> object:
    """Split ``a,b,c``; a list stays a list, a single value becomes a list of one."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return (value,) if isinstance(value, (int, float)) else value


def _durations(value: object) -> object:
    parts = _separated(value)
    return tuple(seconds(part) for part in parts) if isinstance(parts, (tuple, list)) else parts


def _repeated(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _size(value: object) -> object:
    parts = _separated(value.replace("x", ",") if isinstance(value, str) else value)
    return (parts[0], parts[0]) if isinstance(parts, (tuple, list)) and len(parts) == 1 else parts


def _clip(value: object) -> object:
    if isinstance(value, str) and value not in ("auto", "none", "search"):
        try:
            return float(value)
        except ValueError:
            raise ValueError("write auto, none, search, or a number of standard deviations such as 2") from None
    return value


def _positive_clip(value: object) -> object:
    clip = _clip(value)
    if isinstance(clip, (int, float)) and not clip > 0:
        raise ValueError("standard deviations must be above 0; write none for no clipping")
    return clip


def engine_name(value: str) -> str:
    """The name of an engine: ``local``, ``ray`` or ``ray://HOST:PORT``.

    Raises:
        ValueError: It is none.

    Example:
        >>> engine_name("ray://head:10001")
        'ray://head:10001'
    """
    if value not in ("local", "ray") and not re.fullmatch(r"ray://[^\s:/]+:\d{1,5}", value):
        raise ValueError("write local, ray, or ray://HOST:PORT")
    return value


def _scales(value: object) -> object:
    return (1.0, 1.5, 2.0) if value == "auto" else _separated(value)


def _percent(value: object) -> object:
    return value.strip().removesuffix("%") if isinstance(value, str) else value


def _amount(value: str) -> str:
    amount(value)
    return value


Percent = Annotated[float, BeforeValidator(_percent)]
Scales = Annotated[tuple[Annotated[float, Field(ge=0)], ...], BeforeValidator(_scales)]
Duration = Annotated[float, BeforeValidator(seconds)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(_separated)]
Durations = Annotated[tuple[Annotated[float, Field(ge=0)], ...], BeforeValidator(_durations)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_repeated)]
Size = Annotated[tuple[int, int], BeforeValidator(_size)]
Clip = Annotated[Literal["auto", "none", "search"] | float, BeforeValidator(_positive_clip)]


class Settings(BaseModel):
    """What every command about a model has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # By field, the flag or the line of the file that the value came from; see :func:`origin`.
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    model: str = Field(description="an ONNX file, or timm:NAME")
    profile: Texts = Field((), description="noise profile, NAME or NAME:key=value,...; may repeat")
    weights: str | None = Field(None, description="checkpoint (safetensors) for timm:NAME")
    pretrained: bool = Field(False, description="let timm download the pretrained weights of timm:NAME")
    data: str = Field("", description="examples: a parquet file, a folder of images, or .npz")
    objective: Literal["labels", "match"] = Field(
        "labels", description="match: the clean network's own outputs are right, no labels needed"
    )
    at: Durations = Field((), description="times since programming, such as 1h,30d; default: the profile's first")
    chips: int = Field(100, ge=1, description="virtual chips a condition")
    threshold: float | None = Field(None, ge=0, le=1, description="accuracy a chip must reach to count as good")
    require: Texts = Field((), description="a demand such as 'p05_accuracy>=0.85'; exit 6 if unmet; may repeat")
    mean: Numbers | None = Field(None, description="mean a channel, after x/255, such as .485,.456,.406")
    std: Numbers | None = Field(None, description="standard deviation a channel, after x/255")
    input_size: Size | None = Field(None, description="height,width that images are resized to")
    batch_size: int | None = Field(None, ge=1, description="examples a batch")
    limit: int | None = Field(None, ge=1, description="use the first N examples of each data set")
    digital: Texts = Field((), description="glob of tensors or nodes that are kept off the crossbars; may repeat")
    seed: int = Field(0, ge=0, description="root of every random stream")
    threads: int | None = Field(None, ge=1, le=256, description="processor threads; default: all cores")
    device: Literal["auto", "cpu", "cuda"] = Field("cpu", description="what ONNX Runtime runs chips on")
    draw: Literal["cpu", "device"] = Field(
        "cpu", description="device: draw chips on --device, from another family of random streams that is its own"
    )
    engine: Annotated[str, AfterValidator(engine_name)] = Field(
        "local", description="where the work is done: local, ray, or ray://HOST:PORT; see docs/scaling.md"
    )
    workers: int | None = Field(None, ge=1, description="with ray: trials at a time; default: all processors")
    max_memory: Annotated[str, AfterValidator(_amount)] | None = Field(
        None, description="memory this process may take, such as 8GB: batches and workers shrink to fit; Linux"
    )
    out: str | None = Field(None, description="run folder")


class FitSettings(Settings):
    """Settings of ``harden fit``."""

    method: str = Field("distill", description="robust-training method; see harden methods list")
    options: dict[str, Any] = Field(default_factory=dict, description="key=value of the method; may repeat")
    val: str | None = Field(None, description="validation examples; default: a tenth of --data, at most 5,000")
    test: str | None = Field(None, description="examples to validate on, never trained on or selected by")
    epochs: float = Field(1.0, gt=0, description="passes over the training examples")
    budget: Duration | None = Field(None, gt=0, description="time for training and selection, such as 10min")
    lr: float | None = Field(None, gt=0, description="peak learning rate; default: the optimizer's own")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="sgd (Nesterov momentum 0.9) or adamw")
    clip: Clip = Field("auto", description="clamp weights to K standard deviations: K, auto, none, or search")
    clip_anneal: float = Field(
        0.0, ge=0, le=1, description="share of the training over which the clip comes down from the tensors' own range"
    )
    column_scaling: Literal["auto", "on", "off"] = Field(
        "off", description="clip columns in front of batch norms each on its own, and keep them at one range"
    )
    freeze_batch_norms: float | None = Field(
        None,
        ge=0,
        le=1,
        description="last share of the steps, in which batch norms compute as on the chip; 1: as the file has them; "
        "default: 0.5, 1 with --objective match",
    )
    range_penalty: float = Field(0.0, ge=0, description="weight of the penalty on max|w| / std of each analog tensor")
    kurtosis_penalty: float = Field(0.0, ge=0, description="weight of the penalty on kurtosis away from 1.8")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="known to undo clipping")
    weight_decay: float = Field(5e-4, ge=0, description="of tensors with more than one axis")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps over which the learning rate rises")
    gradient_clip: float = Field(5.0, gt=0, description="largest 2-norm of the gradient")
    protect: str | None = Field(
        None, description="keep the layers that noise hurts most digital: auto:5% of the weights at most"
    )
    clamp_activations: Percent | None = Field(
        None, gt=0, le=100, description="clamp ReLU-like activations to this percentile on --data, such as 99.99%"
    )
    allow_new_nodes: bool = Field(
        False, description="allow nodes in the graph that it did not have: clamps, a Mul per channel for rescale"
    )
    fold_bn: bool = Field(False, description="fold batch norms into the weights first, as the deployed file has them")
    seeds: int = Field(1, ge=1, description="repeat the run with so many seeds, each in a folder of its own")
    batch_norm_reestimation: Literal["auto", "on", "off"] = Field(
        "auto", description="re-estimate batch norms under noise at the end: auto keeps it only if it helps"
    )
    teacher: Literal["none", "clean", "self"] = Field(
        "none",
        description="learn from the clean network's outputs: a frozen copy, or the current weights without noise",
    )
    teacher_weight: float = Field(0.9, ge=0, le=1, description="share of the loss that the teacher decides")
    temperature: float = Field(1.0, gt=0, description="of the teacher's and the student's softmax")
    teacher_match: Literal["logits", "features", "both"] = Field(
        "logits", description="what is drawn to the teacher's: outputs, tensors inside the network, or both"
    )
    teacher_taps: Annotated[tuple[str, ...], BeforeValidator(_separated)] = Field(
        (), description="names of the tensors for --teacher-match features, a,b; default: chosen from the graph"
    )
    train_sigma_scale: Scales = Field(
        (1.0,),
        min_length=1,
        description="noise in training as a multiple of the profile's; of several, a,b,c, or auto (1,1.5,2), "
        "validation chips choose, within the run's steps",
    )
    noise_ramp: float = Field(0.0, ge=0, le=1, description="share of the training over which the noise rises from 0")
    train_profile: Texts = Field((), description="noise to train with, where it differs from --profile; may repeat")
    select: Literal["accuracy", "balanced_accuracy"] = Field(
        "accuracy", description="what validation chips choose the weights by; balanced: the mean recall of the classes"
    )
    track: Literal["none", "tensorboard", "trackio"] = Field(
        "none", description="also send the training's numbers to tensorboard (in the run folder) or trackio"
    )
    controls: bool = Field(
        False, description="also fine-tune without noise, with and without the levers, and show both beside the result"
    )
    augment: Literal["auto", "on", "off"] = Field("auto", description="random crops and flips while training")


Analysis = Literal[
    "sensitivity", "ranking", "worst_case", "landscape", "corners", "stress", "rare_failures", "per_chip"
]


class EvalSettings(Settings):
    """Settings of ``harden eval``."""

    sweep: Texts = Field((), description="vary a knob of the profile, key=start:stop:step, or severity; may repeat")
    copies: Texts = Field(
        (), description="what if N devices were averaged for each weight: N, or GLOB=N for some; may repeat"
    )
    until: str | None = Field(
        None, description="only as many chips and images as the mean needs, such as 'ci95(mean_accuracy)<0.005'"
    )
    metric: Texts = Field((), description="a metric of yours, package.module:function; may repeat")
    replay: str | None = Field(None, description="run the recorded chip of this file again")
    column_baseline: bool = Field(
        False, description="also 20 chips whose noise refers to each column's largest weight, not the tensor's"
    )
    also: Annotated[tuple[Analysis, ...], BeforeValidator(_repeated)] = Field(
        (),
        description=f"an analysis, one of {', '.join(get_args(Analysis))}; may repeat",
    )
    keep_worst: int = Field(3, ge=0, description="worst chips whose records go to --out, for --replay")
    worst_onnx: bool = Field(False, description="with the records, the ONNX file of each of these chips")


class CompareSettings(Settings):
    """Settings of ``harden compare``."""

    others: Texts = Field((), description="the models to compare with; may repeat")


S = TypeVar("S", bound=Settings)


def resolve(kind: type[S], flags: Mapping[str, object], config: Path | None = None) -> S:
    """Flags over the file over the defaults, validated; every problem at once.

    Args:
        kind: The settings class of the command.
        flags: What the user gave, by field name. ``None`` and empty tuples count as absent.
        config: The TOML file; ``None`` looks for ``harden.toml`` in the current folder.

    Returns:
        The frozen settings.

    Raises:
        SettingsError: Any value is wrong or any key unknown; lists all problems with their origin.
    """
    path = config if config is not None else Path(FILE)
    from_file, lines = _read(path) if config is not None or path.is_file() else ({}, {})
    problems = _unknown_keys(from_file, lines)
    given = {name: value for name, value in flags.items() if value is not None and value != () and value != {}}
    merged = {name: value for name, value in from_file.items() if name in kind.model_fields}
    origins = {name: lines[name] for name in merged}
    if kind is not FitSettings and "test" in from_file:
        # In a folder prepared for fit, what is evaluated is the test set.
        merged["data"], origins["data"] = from_file["test"], lines["test"]
    merged |= given
    origins |= {name: flag_of(name) for name in given}
    try:
        settings = kind.model_validate(merged)
    except ValidationError as error:
        problems += [_problem(one, origins) for one in error.errors()]
        settings = None
    if settings is None or problems:
        raise SettingsError("a setting is wrong" if len(problems) == 1 else "settings are wrong", problems=problems)
    settings._origins.update(origins)
    return settings


def origin(settings: Settings, name: str) -> str:
    """Where a value came from: a flag, ``harden.toml, line 3: key``, or ``default``."""
    return settings._origins.get(name, "default" if name not in settings.model_fields_set else flag_of(name))


def flag_of(name: str) -> str:
    """What sets a field on the command line.

    Example:
        >>> flag_of("batch_size"), flag_of("options"), flag_of("model")
        ('--batch-size', '-o', 'MODEL')
    """
    return {"model": "MODEL", "options": "-o"}.get(name, "--" + name.replace("_", "-"))


def to_toml(settings: Settings, resolved: Mapping[str, object] | None = None) -> str:
    """The settings as TOML: every field that is there, but ``WHERE``. Reading it back gives equal settings.

    Args:
        settings: What to write.
        resolved: Added under ``[resolved]``: whatever else decides a number, such as digests and thread counts.
    """
    import tomli_w

    document = {k: v for k, v in settings.model_dump(mode="json").items() if v is not None and k not in WHERE}
    if resolved:
        document["resolved"] = {k: v for k, v in resolved.items() if v is not None}
    return tomli_w.dumps(document)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of a settings file by field, and where each stands."""
    values, lines = read_toml(path)
    values.pop("resolved", None)
    places = {name.replace("-", "_"): f"{path}, line {lines[name]}: {name}" for name in values}
    values = {name.replace("-", "_"): value for name, value in values.items()}
    return {name: _relative(path, name, value) for name, value in values.items()}, places


def _relative(file: Path, name: str, value: Any) -> Any:
    if name not in _PATHS and not (name == "model" and not str(value).startswith("timm:")):
        return value
    if not isinstance(value, str) or file.parent == Path() or ":" in value:
        return value
    return str(file.parent / value)


def _unknown_keys(values: Mapping[str, Any], places: Mapping[str, str]) -> list[str]:
    known = {name for kind in (FitSettings, EvalSettings, CompareSettings) for name in kind.model_fields}
    return [f"{places[name]}: unknown key{_near(name, known)}" for name in values if name not in known]


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _problem(error: Any, origins: Mapping[str, str]) -> str:
    name = str(error["loc"][0]) if error["loc"] else "settings"
    if name == "model" and error["type"] == "missing":
        return "MODEL is missing: give an ONNX file or timm:NAME"
    place, value = origins.get(name, flag_of(name)), error["input"]
    shown = "" if isinstance(value, dict) or error["type"] == "missing" else f" (got {value!r})"
    if error["type"] == "literal_error":
        known = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return f"{place}: must be one of {', '.join(known)}{shown}{_near(str(value), known)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}{shown}"
