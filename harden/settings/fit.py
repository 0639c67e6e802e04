"""What ``harden fit`` adds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harden.settings.common import Settings
from harden.settings.training import RunOptions
from harden.values import Duration, Texts


class FitSettings(RunOptions, Settings):
    """Settings of ``harden fit``: those of every command, the training's options, and these."""

    val: str | None = Field(
        None, description="examples on which weights are selected; default: a tenth of --data, at most 5,000"
    )
    test: str | None = Field(
        None, description="examples that the report is measured on; never used for training or selection"
    )
    budget: Duration | None = Field(
        None, gt=0, description="time for training and selection, such as 10min; units s, min, h, d"
    )
    allow_new_nodes: bool = Field(
        False, description="allow new nodes in the graph: clamps, and a Mul per channel for rescale"
    )
    new_head: bool = Field(
        False, description="first give the model a new last layer for the classes of --data, fitted without noise"
    )
    fold_bn: bool = Field(False, description="fold batch norms into the weights first, as the deployed file has them")
    seeds: int = Field(1, ge=1, description="repeat the run with this many seeds, each in a folder of its own")
    train_profile: Texts = Field((), description="noise to train with, if it differs from --profile; may be repeated")
    track: Literal["none", "tensorboard", "trackio"] = Field(
        "none", description="also send the training's numbers to tensorboard (in the run folder) or trackio"
    )
    quick_report: bool = Field(
        False,
        description="leave out what is measured beside the chips: severity curve, ranking of layers, column baseline; "
        "harden report RUN --add severity,layers,column_baseline adds it later",
    )
    controls: bool = Field(
        False, description="also fine-tune without noise, with and without the levers, and show both beside the result"
    )
    ablation: bool = Field(
        False,
        description="also train once without each lever, and show what it contributed; one more training per lever",
    )
