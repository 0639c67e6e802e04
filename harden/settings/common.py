"""What every command about a model has in common."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from harden.values import Bytes, Durations, Engine, Numbers, Rate, Size, Texts

# Where a run happens and is kept decides none of its numbers.
WHERE = frozenset({"out", "engine", "workers", "max_memory", "track"})


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
    threshold: Rate | None = Field(None, description="accuracy a chip must reach to count as good, such as 0.9 or 90%")
    require: Texts = Field((), description="a demand such as 'p05_accuracy>=0.85'; exit 6 if unmet; may repeat")
    mean: Numbers | None = Field(None, description="mean a channel, after x/255, such as .485,.456,.406")
    std: Numbers | None = Field(None, description="standard deviation a channel, after x/255")
    input_size: Size | None = Field(None, description="height,width that images are resized to")
    batch_size: int | None = Field(None, ge=1, description="examples a batch")
    limit: int | None = Field(None, ge=1, description="use the first N examples of each data set")
    digital: Texts = Field((), description="glob of tensors or nodes that are kept off the crossbars; may repeat")
    seed: int = Field(0, ge=0, description="root of every random stream")
    threads: int | None = Field(None, ge=1, le=256, description="processor threads; default: all cores")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "cpu", description="what ONNX Runtime runs chips on, and what a network is trained on"
    )
    draw: Literal["cpu", "device"] = Field(
        "cpu", description="device: draw chips on --device, from another family of random streams that is its own"
    )
    engine: Engine = Field(
        "local", description="where the work is done: local, ray, or ray://HOST:PORT; see docs/scaling.md"
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="with ray: trials at a time (default: all processors), and workers that train together (default: "
        "one a machine, or a GPU)",
    )
    max_memory: Bytes | None = Field(
        None,
        description="memory this process may take, such as 8GB, 512MiB: batches and workers shrink to fit; Linux",
    )
    out: str | None = Field(None, description="run folder")
