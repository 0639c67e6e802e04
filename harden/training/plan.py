"""What a training run is told."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from harden.errors import SettingsError

Switch = Literal["auto", "on", "off"]

LEAST_STEPS = 4  # that a short run gets
FEWEST_STEPS = 100  # that are likely to harden anything
FEWEST_EXAMPLES = 12_800  # a training sees by default, over and over: an epoch of a small data set hardens nothing
BATCH_SIZE = 32  # by default: every step sees one chip, so many small steps see many chips (docs/levers.md)
# Peak learning rates for fine-tuning a pretrained network; see docs/levers.md for the measurements.
LEARNING_RATES = {"sgd": 0.01, "adamw": 5e-4}


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that decides a training run's numbers, besides the model and the data.

    Attributes:
        method: Name of an objective.
        options: Its hyper-parameters.
        profiles: Noise profiles with their time since programming in seconds (None: the profile's first). With several,
            the steps take turns, and the selection averages over all.
        epochs: Passes over the training data, > 0; ignored where ``steps`` is given. None: one, or as many as show
            12,800 examples where there are fewer.
        steps: Optimizer steps, or None.
        batch_size: Examples per step.
        optimizer: ``"sgd"`` (Nesterov momentum 0.9) or ``"adamw"``.
        lr: Peak learning rate; None takes the optimizer's own from ``LEARNING_RATES``.
        weight_decay: Of tensors with more than one axis; >= 0.
        warmup: Share of the steps over which the learning rate rises, in [0, 1).
        gradient_clip: Largest 2-norm of the gradient, > 0; infinity for none.
        clip: Standard deviations that analog weights are clamped to after every step, ``"auto"``, ``"search"`` (each
            tensor at the bound of least expected error, found before the first step), or None for none.
        rescale_first: ``"on"`` begins with the network as the method ``rescale`` makes it: less noise, the same
            function.
        clip_anneal: Share of the training over which the clip comes down from each tensor's own range, in [0, 1].
        column_scaling: Whether columns in front of batch norms are clipped each on its own and kept at one range;
            ``"auto"`` does where noise follows a tensor's range; off by default (docs/levers.md has the figures).
        freeze_batch_norms: Share of the steps, at the end, in which batch norms use their running statistics as the
            chip does, re-estimated under noise first; in [0, 1]. At 1 they stay as the file has them. None is 0.5 with
            labels; without, 1: unlabelled batches are often small or alike, and their statistics are not the data's.
        batch_norm_reestimation: ``"auto"`` tries it and keeps what is better on validation chips.
        teacher: ``"none"``, ``"clean"`` (a frozen copy of the network as given) or ``"self"`` (the current clean
            weights).
        teacher_weight: Share of the loss that the teacher decides, in [0, 1].
        temperature: Of the teacher's and the student's softmax, > 0.
        teacher_match: What is drawn to the teacher's: ``"logits"`` (outputs), ``"features"`` (tensors inside) or both.
        teacher_taps: Names of those tensors; chosen from the graph if empty.
        objective: ``"labels"``, or ``"match"``: the clean network's outputs are right, no labels needed.
        train_sigma_scale: Noise in training as a multiple of the profile's, >= 0.
        noise_ramp: Share of the training over which the noise rises from zero, in [0, 1].
        range_penalty: Weight of the penalty on max|w|/std of each analog tensor, >= 0.
        kurtosis_penalty: Weight of the penalty on the distance of each analog tensor's kurtosis from 1.8, >= 0.
        label_smoothing: In [0, 1).
        digital: Globs of tensors or nodes that stay off the crossbars.
        seed: Root of every random stream.
        threads: Torch threads; they are part of what decides the bits.
        selections: How often validation chips judge the weights; the last is at the end.
        selection_chips: Validation chips.
        select: What the validation chips' score is: ``"accuracy"``, or ``"balanced_accuracy"`` (mean recall of the
            classes), where classes are of unequal size.
        selection_examples: Validation examples at most; None is 1000, fewer for images above 64 x 64 pixels.
        augment: Crops and flips; ``"auto"`` for colour images up to 64 pixels (crops only, for grey ones).
        device: What the network is trained on, ``"cpu"`` or ``"cuda"``.
        amp: What the steps compute in: ``"off"`` is single precision, ``"bfloat16"`` mixed precision. Selections are in
            single precision, as the runtime is.
        channels_last: Whether images are [B, H, W, C] in memory while training.
    """

    method: str = "noise"
    options: Mapping[str, Any] = field(default_factory=dict)
    profiles: tuple[tuple[Any, float | None], ...] = ()
    epochs: float | None = None
    steps: int | None = None
    batch_size: int = BATCH_SIZE
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float | None = None
    weight_decay: float = 5e-4
    warmup: float = 0.05
    gradient_clip: float = 5.0
    clip: float | Literal["auto", "search"] | None = "auto"
    rescale_first: Literal["off", "on"] = "off"
    clip_anneal: float = 0.0
    column_scaling: Switch = "off"
    freeze_batch_norms: float | None = None
    batch_norm_reestimation: Switch = "auto"
    teacher: Literal["none", "clean", "self"] = "none"
    teacher_weight: float = 0.9
    temperature: float = 1.0
    teacher_match: Literal["logits", "features", "both"] = "logits"
    teacher_taps: tuple[str, ...] = ()
    objective: Literal["labels", "match"] = "labels"
    train_sigma_scale: float = 1.0
    noise_ramp: float = 0.0
    range_penalty: float = 0.0
    kurtosis_penalty: float = 0.0
    label_smoothing: float = 0.0
    digital: tuple[str, ...] = ()
    seed: int = 0
    threads: int = 1
    selections: int = 4
    selection_chips: int = 4
    selection_examples: int | None = None
    select: Literal["accuracy", "balanced_accuracy"] = "accuracy"
    augment: Switch = "auto"
    device: Literal["cpu", "cuda"] = "cpu"
    amp: Literal["off", "bfloat16"] = "off"
    channels_last: bool = False

    def __post_init__(self) -> None:
        problems = [text for wrong, text in self._checks() if wrong]
        if problems:
            raise SettingsError("the training plan is not possible", problems=problems)

    def _checks(self) -> list[tuple[bool, str]]:
        shares = ("clip_anneal", "teacher_weight", "noise_ramp")
        penalties = ("range_penalty", "kurtosis_penalty")
        return [
            (not self.profiles, "profiles: at least one noise profile is needed"),
            (self.epochs is not None and not self.epochs > 0, f"epochs={self.epochs}: must be above 0"),
            (self.steps is not None and self.steps < 1, f"steps={self.steps}: must be at least 1"),
            (self.batch_size < 1, f"batch_size={self.batch_size}: must be at least 1"),
            (self.optimizer not in LEARNING_RATES, f"optimizer={self.optimizer!r}: known are sgd, adamw"),
            (self.lr is not None and not self.lr > 0, f"lr={self.lr}: must be above 0"),
            (not self.weight_decay >= 0, f"weight_decay={self.weight_decay}: must be at least 0"),
            (not 0 <= self.warmup < 1, f"warmup={self.warmup}: must be in [0, 1)"),
            (not self.gradient_clip > 0, f"gradient_clip={self.gradient_clip}: must be above 0"),
            (isinstance(self.clip, (int, float)) and not self.clip > 0, f"clip={self.clip}: must be above 0"),
            (not self.temperature > 0, f"temperature={self.temperature}: must be above 0"),
            (not self.train_sigma_scale >= 0, f"train_sigma_scale={self.train_sigma_scale}: must be at least 0"),
            (not 0 <= self.label_smoothing < 1, f"label_smoothing={self.label_smoothing}: must be in [0, 1)"),
            (
                self.teacher == "none" and (self.teacher_match != "logits" or bool(self.teacher_taps)),
                "teacher_match, teacher_taps: there is no teacher; choose teacher clean or self",
            ),
            (self.device not in ("cpu", "cuda"), f"device={self.device!r}: known are cpu, cuda"),
            (self.rescale_first not in ("off", "on"), f"rescale_first={self.rescale_first!r}: known are off, on"),
            (self.amp not in ("off", "bfloat16"), f"amp={self.amp!r}: known are off, bfloat16"),
            (
                self.device != "cpu" and self.column_scaling != "off",
                "column_scaling: is done on processors only; leave it off, or take device cpu",
            ),
            (self.threads < 1, f"threads={self.threads}: must be at least 1"),
            (min(self.selections, self.selection_chips) < 1, "selections and selection_chips: must be at least 1"),
            (
                self.selection_examples is not None and self.selection_examples < 1,
                f"selection_examples={self.selection_examples}: must be at least 1",
            ),
            (not 0 <= self.frozen_share <= 1, f"freeze_batch_norms={self.freeze_batch_norms}: must be in [0, 1]"),
            *[(not 0 <= getattr(self, name) <= 1, f"{name}: must be in [0, 1]") for name in shares],
            *[(not getattr(self, name) >= 0, f"{name}: must be at least 0") for name in penalties],
        ]

    @property
    def frozen_share(self) -> float:
        """The share of the steps with frozen batch norms."""
        if self.freeze_batch_norms is not None:
            return self.freeze_batch_norms
        return 1.0 if self.objective == "match" else 0.5

    @property
    def learning_rate(self) -> float:
        """The peak learning rate."""
        return LEARNING_RATES[self.optimizer] if self.lr is None else self.lr

    def total_steps(self, examples: int) -> int:
        """Optimizer steps for so many training examples."""
        if self.steps is not None:
            return self.steps
        shown = max(FEWEST_EXAMPLES, examples) if self.epochs is None else self.epochs * examples
        return max(1, round(shown / self.batch_size))

    @property
    def digest(self) -> str:
        """Identifies the plan: a checkpoint of another plan is refused."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "profiles"}
        values["profiles"] = [(profile.digest, at_s) for profile, at_s in self.profiles]
        values["options"] = sorted(self.options.items())
        return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()
