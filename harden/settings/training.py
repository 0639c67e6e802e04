"""The options of a training: its own, and those of every lever. Each is declared once, here or in its lever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, create_model

from harden.levers import levers
from harden.settings.common import Run


class _Own(Run):
    """The options that belong to no lever."""

    method: str = Field("distill", description="robust-training method; see harden methods list")
    options: dict[str, Any] = Field(
        default_factory=dict, description="option of the method, see harden methods show NAME; may be repeated"
    )
    epochs: float | None = Field(
        None, gt=0, description="passes over the training examples; default: 1, or as many as show 12800 examples"
    )
    batch_size: int | None = Field(None, ge=1, description="examples per step; default: 32")
    lr: float | None = Field(None, gt=0, description="peak learning rate; default: the optimizer's own")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="sgd (Nesterov momentum 0.9) or adamw")
    weight_decay: float = Field(5e-4, ge=0, description="weight decay of tensors with more than one axis")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps over which the learning rate rises")
    gradient_clip: float = Field(5.0, gt=0, allow_inf_nan=True, description="largest 2-norm of the gradient")
    select: str = Field(
        "auto",
        description="measure on validation chips that decides which weights are kept; default: the task's own, such as "
        "accuracy; balanced_accuracy: mean recall of the classes",
    )
    augment: Literal["auto", "on", "off"] = Field("auto", description="random crops and flips while training")
    amp: Literal["off", "bfloat16"] = Field(
        "off", description="bfloat16: train in mixed precision; selection and the report use single precision"
    )
    channels_last: bool = Field(False, description="train with images as [batch, height, width, channels] in memory")


def _options(trains: bool) -> tuple[type[Any], ...]:
    """The options of the levers that act in the training loop, or of the others; what is listed first comes last."""
    return tuple(lever.Options for lever in reversed(levers()) if lever.trains == trains)


if TYPE_CHECKING:

    class TrainingOptions(_Own):
        """The options of a training run; ``harden.levers`` has those that are not here."""

        def __getattr__(self, name: str) -> Any: ...

    class RunOptions(TrainingOptions):
        """With the options of the levers that act before or after training."""

else:
    TrainingOptions = create_model(
        "TrainingOptions",
        __base__=(*_options(trains=True), _Own),
        __module__=__name__,
        __doc__="The options of a training run: its own, and those of each lever that acts in the training loop.",
    )
    RunOptions = create_model(
        "RunOptions",
        __base__=(*_options(trains=False), TrainingOptions),
        __module__=__name__,
        __doc__="With the options of the levers that act before or after training.",
    )
