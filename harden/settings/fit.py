"""What ``harden fit`` adds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harden.settings.common import Settings
from harden.values import Clip, Duration, Names, Percent, Scales, Texts


class FitSettings(Settings):
    """Settings of ``harden fit``."""

    method: str = Field("distill", description="robust-training method; see harden methods list")
    options: dict[str, Any] = Field(default_factory=dict, description="option of the method; may be repeated")
    val: str | None = Field(None, description="validation examples; default: a tenth of --data, at most 5,000")
    test: str | None = Field(None, description="examples to validate on, never trained on or selected by")
    epochs: float | None = Field(
        None, gt=0, description="passes over the training examples; default: 1, or as many as show 12800 examples"
    )
    batch_size: int | None = Field(None, ge=1, description="examples per step; default: 32")
    budget: Duration | None = Field(
        None, gt=0, description="time for training and selection, such as 10min; units s, min, h, d"
    )
    lr: float | None = Field(None, gt=0, description="peak learning rate; default: the optimizer's own")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="sgd (Nesterov momentum 0.9) or adamw")
    clip: Clip = Field("auto", description="clamp weights to K standard deviations: K, auto, none, or search")
    second_try: Literal["on", "off"] = Field(
        "on", description="where training hardly helped, train again in small steps from the rescaled network"
    )
    rescale_first: Literal["off", "on"] = Field(
        "off", description="on: begin with channels rescaled, as by --method rescale: the same function, less noise"
    )
    clip_anneal: float = Field(
        0.0, ge=0, le=1, description="share of the training over which the clip tightens from the tensors' own range"
    )
    column_scaling: Literal["auto", "on", "off"] = Field(
        "off", description="clip each column in front of a batch norm by itself, and give all columns one range"
    )
    freeze_batch_norms: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of the steps, at the end, in which batch norms compute as on the chip; 1: from the start, "
        "with the file's statistics; default: 0.5, or 1 with --objective match",
    )
    range_penalty: float = Field(0.0, ge=0, description="weight of the penalty on max|w| / std of each analog tensor")
    kurtosis_penalty: float = Field(0.0, ge=0, description="weight of the penalty on kurtosis away from 1.8")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of each label that is spread over all classes; known to undo clipping"
    )
    weight_decay: float = Field(5e-4, ge=0, description="weight decay of tensors with more than one axis")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps over which the learning rate rises")
    gradient_clip: float = Field(5.0, gt=0, description="largest 2-norm of the gradient")
    protect: str | None = Field(
        None, description="keep digital the layers that noise hurts most: auto:5% for at most 5% of the weights"
    )
    clamp_activations: Percent | None = Field(
        None, gt=0, le=100, description="clamp ReLU-like activations to this percentile on --data, such as 99.99%"
    )
    allow_new_nodes: bool = Field(
        False, description="allow new nodes in the graph: clamps, and a Mul per channel for rescale"
    )
    new_head: bool = Field(
        False, description="first give the model a new last layer for the classes of --data, fitted without noise"
    )
    fold_bn: bool = Field(False, description="fold batch norms into the weights first, as the deployed file has them")
    seeds: int = Field(1, ge=1, description="repeat the run with this many seeds, each in a folder of its own")
    batch_norm_reestimation: Literal["auto", "on", "off"] = Field(
        "auto", description="re-estimate batch norms under noise at the end; auto keeps the result only if it helps"
    )
    teacher: Literal["none", "clean", "self"] = Field(
        "none",
        description="learn from the clean network's outputs: a frozen copy, or the current weights without noise",
    )
    teacher_weight: float = Field(0.9, ge=0, le=1, description="share of the teacher in the loss")
    temperature: float = Field(1.0, gt=0, description="temperature of the teacher's and the student's softmax")
    teacher_match: Literal["logits", "features", "both"] = Field(
        "logits", description="what is matched to the teacher: the outputs, tensors inside the network, or both"
    )
    teacher_taps: Names = Field(
        (), description="names of the tensors for --teacher-match features, a,b; default: chosen from the graph"
    )
    train_sigma_scale: Scales = Field(
        (1.0,),
        min_length=1,
        description="noise in training as a multiple of the profile's; from several (a,b,c, or auto for 1,1.5,2) "
        "validation chips choose, within the run's steps",
    )
    noise_ramp: float = Field(0.0, ge=0, le=1, description="share of the training over which the noise rises from 0")
    train_profile: Texts = Field((), description="noise to train with, if it differs from --profile; may be repeated")
    select: Literal["accuracy", "balanced_accuracy"] = Field(
        "accuracy",
        description="measure by which validation chips choose weights; balanced_accuracy: mean recall of the classes",
    )
    track: Literal["none", "tensorboard", "trackio"] = Field(
        "none", description="also send the training's numbers to tensorboard (in the run folder) or trackio"
    )
    controls: bool = Field(
        False, description="also fine-tune without noise, with and without the levers, and show both beside the result"
    )
    ablation: bool = Field(
        False,
        description="also train once without each lever, and show what it contributed; one more training per lever",
    )
    augment: Literal["auto", "on", "off"] = Field("auto", description="random crops and flips while training")
    amp: Literal["off", "bfloat16"] = Field(
        "off", description="bfloat16: train in mixed precision; selection and the report use single precision"
    )
    channels_last: bool = Field(False, description="train with images as [batch, height, width, channels] in memory")
