"""What every command about a model has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from harden.values import Bytes, Durations, Engine, Numbers, Share, Size, Texts

# Where a run happens and is kept decides none of its numbers.
WHERE = frozenset({"out", "engine", "workers", "max_memory", "track"})


class Run(BaseModel):
    """What a command and a training have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    objective: Literal["labels", "match"] = Field(
        "labels", description="match: the clean network's own outputs are the targets; no labels needed"
    )
    task: str = Field(
        "auto",
        description="what the network is for: classification, match (as --objective match), or a task of a package; "
        "default: what its outputs and the labels say, see harden inspect",
    )
    seed: int = Field(0, ge=0, description="root of every random stream")

    @model_validator(mode="before")
    @classmethod
    def _match_is_match(cls, values: Any) -> Any:
        """``objective`` and ``task`` say the same of matching; what one says the other need not repeat."""
        if not isinstance(values, Mapping):
            return values
        given = cast("Mapping[str, object]", values)
        task, objective = given.get("task", "auto"), given.get("objective")
        if objective == "match" and task not in ("auto", "match"):
            raise ValueError(f"--objective match and --task {task} exclude each other")
        return {**given, "task": "match", "objective": "match"} if "match" in (task, objective) else given


class Settings(Run):
    """What every command about a model has in common."""

    _origins: dict[str, str] = PrivateAttr(default_factory=dict[str, str])

    model: str = Field(description="an ONNX file, or timm:NAME")
    profile: Texts = Field(
        (), description="noise profile, NAME or NAME:key=value,..., see harden profiles list; may be repeated"
    )
    weights: str | None = Field(None, description="checkpoint (safetensors) for timm:NAME")
    pretrained: bool = Field(False, description="let timm download the pretrained weights of timm:NAME")
    data: str = Field("", description="examples: a parquet file, a folder of images, or .npz")
    at: Durations = Field(
        (), description="times since programming, such as 1h,30d; default: the first that the profile allows"
    )
    chips: int = Field(100, ge=1, description="virtual chips per condition")
    threshold: Share | None = Field(
        None,
        description="what a chip must reach to count as good: an accuracy such as 0.9 or 90%, or of another task "
        "its headline",
    )
    require: Texts = Field(
        (), description="what chips must reach, such as 'p05_accuracy>=0.85', or exit 6; may be repeated"
    )
    metric: Texts = Field(
        (), description="a metric of your own, module:function, also from the current folder; may be repeated"
    )
    headline: str = Field(
        "auto",
        description="figure that the report, --threshold and --require are about: of the task, such as rmse, or metric "
        "(the first --metric); default: the task's own",
    )
    mean: Numbers | None = Field(None, description="mean per channel, after x/255, such as .485,.456,.406")
    std: Numbers | None = Field(None, description="standard deviation per channel, after x/255")
    input_size: Size | None = Field(None, description="height,width that images are resized to")
    batch_size: int | None = Field(None, ge=1, description="examples per batch")
    limit: int | None = Field(None, ge=1, description="use the first N examples of each data set")
    digital: Texts = Field((), description="glob of tensors or nodes kept off the crossbars; may be repeated")
    crossbars: Literal["tensor", "use"] = Field(
        "tensor",
        description="use: each use of a stored tensor is a crossbar with noise of its own; tensor: all of them are one",
    )
    threads: int | None = Field(None, ge=1, le=256, description="processor threads; default: all cores")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "cpu", description="where ONNX Runtime runs chips, and where a network is trained"
    )
    draw: Literal["cpu", "device"] = Field(
        "cpu",
        description="device: draw the noise of the chips on --device, from random streams of its own: "
        "not the same chips as with cpu",
    )
    engine: Engine = Field(
        "local", description="where the work is done: local, ray, or ray://HOST:PORT; see docs/scaling.md"
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="with ray: trials at a time (default: all processors), and workers that train together (default: "
        "one per machine, or per GPU)",
    )
    max_memory: Bytes | None = Field(
        None,
        description="memory this process may take, such as 8GB, 512MiB: batches and workers shrink to fit; Linux only",
    )
    out: str | None = Field(None, description="run folder")

    @property
    def origins(self) -> Mapping[str, str]:
        """By field, the flag or the line of the file that its value came from."""
        return self._origins

    def remember(self, origins: Mapping[str, str]) -> None:
        """Note where values came from; see :attr:`origins`."""
        self._origins.update(origins)
