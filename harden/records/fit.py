"""``harden.fit/2``: a network before and after hardening."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from harden.records.base import (
    Count,
    Described,
    Document,
    Positive,
    Rate,
    RateInterval,
    Real,
    Record,
    Whole,
    WithoutNulls,
    always,
    sometimes,
)
from harden.records.evaluation import Environment, EvalRecord, LayerRow, ModelRecord
from harden.records.training import AnotherTraining, TrainingRecord


class MethodRecord(Record):
    """The method; what ``harden methods show`` prints of it."""

    name: str = always("Its name, behind any alias.", "")
    kind: Annotated[str, Described("enum", ("objective", "transform", "recipe"))] = always("What it does.", "")
    summary: str = always("One sentence.", "")
    cost: str = always("Forward (F) and backward (B) passes per step.", "")
    source: str = always("The paper.", "")
    alias_of: str | None = always("The name behind it, where it was called by an alias.")
    description: str = always("What it does, with its equation.", "")
    options: tuple[Mapping[str, object], ...] = always(
        "Its options: name, type, default, minimum, maximum, choices, description.", ()
    )
    requested: str = always("The name that was asked for.", "")


class SeverityRecord(Record):
    """Mean accuracy against the noise's strength: a quick curve on a sample of the examples."""

    profile: str = always("The profile that is scaled.", "")
    scale: tuple[Positive, ...] = always("Multiples of its noise; 1 is the device, 0 no noise.", ())
    before: tuple[Rate | None, ...] = always("Mean accuracy before hardening, by multiple.", ())
    before_band: tuple[RateInterval, ...] = always("5th and 95th percentile over chips before hardening.", ())
    after: tuple[Rate | None, ...] = always("Mean accuracy after hardening, by multiple.", ())
    after_band: tuple[RateInterval, ...] = always("5th and 95th percentile over chips after hardening.", ())
    chips: Count | None = always("Number of chips, at most 20.")
    examples: Count | None = always("Number of examples, at most 300.")


class SeedRecord(Record):
    """One of several runs: its seed, and its accuracy under the first condition."""

    seed: Whole | None = always("The run's root seed.")
    clean: Rate | None = always("Accuracy of the hardened network without noise.")
    mean: Rate | None = sometimes("Mean accuracy over chips; with labels, as all below.")
    std: Positive | None = sometimes("Standard deviation over chips.")
    min: Rate | None = sometimes("Of the worst chip.")
    p05: Rate | None = sometimes("5th percentile over chips.")
    median: Rate | None = sometimes("Median over chips.")
    p95: Rate | None = sometimes("95th percentile over chips.")
    max: Rate | None = sometimes("Of the best chip.")
    ci95: RateInterval | None = sometimes("95% interval of the mean over other chips.")
    ci95_images: RateInterval | None = sometimes("95% interval of the mean over other chips and images.")
    quantiles: tuple[Mapping[str, object], ...] = sometimes("Quantiles over chips.", ())


class PreprocessRecord(Record):
    """What turns raw values into the network's input: (x / scale - mean) / std."""

    mean: tuple[Real, ...] = always("For each channel, in units of x / scale.", ())
    std: tuple[Positive, ...] = always("For each channel, in the same units.", ())
    input_size: tuple[Count, Count] | None = always("Height and width in pixels; null takes images as they are.")
    channels: Count | None = always("1 is grey, 3 RGB, 4 RGBA.")
    layout: str = always("NCHW or NHWC.", "")
    resize: str = always("crop, squash or border.", "")
    crop_pct: Positive | None = always("Side of the input over that of the resized image.")
    interpolation: str = always("The filter that images are resized by.", "")
    scale: Positive | None = always("What pixels are divided by.")


class FitRecord(Document):
    """What ``harden fit`` writes: a network before and after hardening, and how it came about."""

    SCHEMA: ClassVar[str] = "harden.fit/2"

    model: ModelRecord | None = always("The network as given.")
    method: MethodRecord | None = always("The method.")
    profile: str = always("Name of the first profile.", "")
    levers: Mapping[str, object] = always("What each lever did, by name: a record of its own, or null where off.", {})
    before: EvalRecord | None = always("Chips of the network as given; null without data.")
    after: EvalRecord | None = always("The same chips of the hardened network.")
    reported_on: Annotated[str, Described("enum", ("test", "validation"))] | None = always(
        "What before and after are measured on: validation without --test; null without data."
    )
    artifacts: Annotated[Mapping[str, str], WithoutNulls] = always(
        "SHA-256 of the files in the run folder, by name.", {}
    )
    training: TrainingRecord | None = always("How the weights came about.")
    preprocess: PreprocessRecord | None = always("What turns raw values into the network's input.")
    settings: Mapping[str, object] = always("harden fit's settings, resolved.", {})
    command: str = always("The command line that repeats the run.", "")
    check_command: str | None = always("The one that measures the hardened file again; null without --test.")
    environment: Environment | None = always("Versions and machine.")
    severity: SeverityRecord | None = always("Accuracy against the noise's strength; null without labels.")
    sensitivity: tuple[LayerRow, ...] = sometimes("With labels: each tensor's share of the loss's variance.", ())
    sensitivity_r2: Rate | None = sometimes("With labels: R² of the linear model behind the shares.")
    controls: Annotated[Mapping[str, AnotherTraining] | None, WithoutNulls] = always(
        "With --controls: trainings without noise, by name."
    )
    ablation: Annotated[Mapping[str, AnotherTraining] | None, WithoutNulls] = always(
        "With --ablation: trainings without one lever, by lever."
    )
    seeds: tuple[SeedRecord, ...] = sometimes("With --seeds: a row for each run; all else is of the first one.", ())
    convergence_probability: Rate | None = sometimes(
        "With --seeds: share of the runs whose mean reaches --threshold; null without one."
    )
    convergence_ci95: RateInterval | None = sometimes("With --seeds: Clopper-Pearson interval of that share.")
