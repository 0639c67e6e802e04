"""One condition of an evaluation: what its chips scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from harden.records.base import (
    Count,
    HasMean,
    Interval,
    Number,
    Positive,
    Rate,
    RateInterval,
    Real,
    Record,
    WithoutNulls,
    always,
    sometimes,
)
from harden.records.measure import Measure


class Spread(Record):
    """A measure over chips, in the measure's own unit."""

    mean: Real = always("Mean over chips.", float("nan"))
    std: Positive | None = always("Standard deviation over chips, ddof 1; null for a single chip.")
    min: Real | None = always("Of the worst chip, where more is better.")
    p05: Real | None = always("5th percentile over chips (linear interpolation).")
    median: Real | None = always("Median over chips.")
    p95: Real | None = always("95th percentile over chips.")
    max: Real | None = always("Of the best chip, where more is better.")


class Quantile(Record):
    """A quantile of the accuracy over chips."""

    q: Rate = always("Which quantile, in (0, 1).", float("nan"))
    value: Rate = always("The accuracy there, by linear interpolation.", float("nan"))
    ci95: RateInterval | None = always(
        "Its 95% interval between two order statistics, for any distribution; null on a side that the chips are too "
        "few for."
    )


class AccuracySpread(Record):
    """The accuracy over chips, as fractions in [0, 1]; all but mean and ci95 is null with ``--until``."""

    mean: Rate = always("Mean over chips.", float("nan"))
    std: Positive | None = always("Standard deviation over chips, ddof 1; null for a single chip.")
    min: Rate | None = always("Of the worst chip.")
    p05: Rate | None = always("5th percentile over chips (linear interpolation).")
    median: Rate | None = always("Median over chips.")
    p95: Rate | None = always("95th percentile over chips.")
    max: Rate | None = always("Of the best chip.")
    ci95: RateInterval | None = always("95% interval of the mean over other chips, on these images.")
    ci95_images: RateInterval | None = always("95% interval of the mean over other chips and other images.")
    quantiles: tuple[Quantile, ...] = sometimes("Quantiles over chips, from the lowest; not with --until.", ())


class ScoreSpread(Spread):
    """A measure that is the headline over chips, in its own unit."""

    ci95: Interval | None = always("95% interval of the mean over other chips, on these examples.")


class Yield(Record):
    """The share of chips that reach a threshold."""

    threshold: Real | None = always("What a chip has to reach: an accuracy, or the headline of another task.")
    value: Rate | None = always("Share of chips at or above it or, where less is better, at or below.")
    ci95: RateInterval | None = always("Two-sided 95% Clopper-Pearson interval of the share.")


class Below(Record):
    """The share of chips below the threshold."""

    threshold: Real | None = always("What a chip has to reach: an accuracy, or the headline of another task.")
    counted: Rate | None = always("Share of the chips below it.")
    ci95: RateInterval | None = always("Two-sided 95% Clopper-Pearson interval of that share.")
    gaussian: Rate | None = always("The share that a fitted Gaussian has below it; null where one may not be fitted.")


class Distribution(Record):
    """The shape of the accuracy's distribution over chips."""

    skew: Real | None = always("Skew, without bias; null where the chips do not vary.")
    kurtosis: Real | None = always("Excess kurtosis, without bias; null for fewer than four chips.")
    gaussian: bool = always("Whether a Gaussian may be fitted.", False)
    reason: str | None = always("Why not; null where it may.")
    below: Below | None = sometimes("With a threshold: the share of chips below it.")


class Fidelity(Record):
    """How far a chip's outputs are from those of the clean network; for data without labels."""

    nrmse: Annotated[Spread | None, HasMean] = always("RMS error of the outputs over their RMS, from 0.")
    sqnr_db: Annotated[Spread | None, HasMean] = always("Signal over the noise of the outputs, in dB.")
    cosine: Annotated[Spread | None, HasMean] = always("Cosine of a chip's outputs and the clean ones, in [-1, 1].")
    concordance: Annotated[Spread | None, HasMean] = sometimes(
        "Concordance correlation with the right outputs (Lin 1989), mean over outputs, in [-1, 1]."
    )
    r2: Annotated[Spread | None, HasMean] = sometimes(
        "1 - sum of squared errors over that of the right outputs' deviations from their means, at most 1."
    )


class Reliability(Record):
    """The reliability diagram: images by confidence, in 15 equal bins (lo, hi] of [0, 1]."""

    share: tuple[Rate | None, ...] = always("Share of all images in each bin.", ())
    accuracy: tuple[Rate | None, ...] = always("Accuracy of the bin's images; null in an empty bin.", ())
    confidence: tuple[Rate | None, ...] = always("Mean confidence of the bin's images; null in an empty bin.", ())


class Verdict(Record):
    """A requirement, and whether the chips meet it."""

    text: str = always("The requirement as it was asked for, such as p05_accuracy>=0.85.", "")
    found: Real | None = always("What the chips have; null where they are too few to tell.")
    met: bool = always("Whether that meets it.", False)


class ColumnBaseline(Record):
    """The same device, had its noise referred to the largest weight of each column."""

    chips: Count = always("Number of chips, at most 20.", 0)
    accuracy: Annotated[AccuracySpread | None, HasMean] = always("Accuracy over them.")


class Until(Record):
    """The mean accuracy to a wanted certainty, from few images per chip; ``--until``."""

    mean: Rate = always("Mean over chips of the accuracy on all images.", float("nan"))
    ci: RateInterval | None = always("Its interval.")
    confidence: Rate | None = always("The interval's confidence.")
    half_width: Positive | None = always("Half the interval's width.")
    chips: Count | None = always("Number of chips.")
    images_per_chip: Count | None = always("Images that each chip ran on.")
    images: Count | None = always("Images in all, the pilot's included.")
    std_chips: Positive | None = always("Standard deviation of the accuracy between chips, from the pilot.")
    std_image: Positive | None = always("Standard deviation of a hit within a chip, from the pilot.")
    control: Real | None = always("Coefficient of the control variate, the clean network's hits.")
    variance_ratio: Positive | None = always("Share of the variance within a chip that the control variate leaves.")
    clean: Rate | None = always("Accuracy of the network without noise.")


class ConditionRecord(Record):
    """One profile at one time and one point of a sweep, and what its chips scored.

    Rates are fractions in [0, 1]. With ``--until`` only the mean is known.
    """

    name: str = always("The profile's name.", "")
    digest: str = always("SHA-256 of the profile, or the first part of it.", "")
    parameters: Mapping[str, object] = always("The profile's parameters, resolved; by name.", {})
    at_s: Positive | None = always("Seconds since programming.")
    sweep: Annotated[Mapping[str, Real], WithoutNulls] = sometimes(
        "In a sweep, corners and stress: the swept knobs and their values.", {}
    )
    copies: Annotated[Mapping[str, Count], WithoutNulls] = sometimes(
        "With --copies: devices averaged for each weight, by glob.", {}
    )
    chips: Number | None = always("Number of chips.")
    accuracy: Annotated[AccuracySpread | None, HasMean] = always("Over chips; null for data without labels.")
    yield_: Yield | None = always("Share of chips at or above the threshold; null without one.", key="yield")
    tolerance: Mapping[str, Real | None] | None = always(
        "Tolerance bounds: with 95% confidence, 90% (95%, 99%) of chips have at least this accuracy (of another "
        "headline, at least or at most, as is better); by 90/95, 95/95, 99/95. Null where the chips are too few."
    )
    loss: Real | None = sometimes("Mean cross-entropy over chips, in nats; not with --until.")
    confidence: Rate | None = always("Mean over chips and images of the largest class probability.")
    ece: Rate | None = always("Mean over chips of the expected calibration error, 15 bins.")
    agreement: Rate | None = always(
        "Mean share of images to which a chip gives the class that the clean network gives."
    )
    top5: Rate | None = sometimes("Mean top-5 accuracy over chips; null for few classes; not with --until.")
    balanced_accuracy: Rate | None = sometimes("Mean over chips of the mean recall of the classes; not with --until.")
    f1: Rate | None = sometimes("Mean over chips of F1, averaged over classes; not with --until.")
    auroc: Rate | None = sometimes("Mean over chips of the area under the ROC curve; not with --until.")
    rms_noise_relative: Positive | None = sometimes(
        "Root mean square of the noise over that of the weights, mean over chips; not with --until."
    )
    ekl: Real | None = always("Mean KL divergence of a chip's class probabilities from the average chip's, in nats.")
    fidelity: Fidelity | None = always("For data without labels: distance from the clean network's outputs.")
    clean_accuracy: Rate | None = sometimes("Accuracy of the network without noise; not with --until.")
    accuracies: tuple[Rate | None, ...] | None = always("Of each chip, in order; null for data without labels.")
    measure: Measure | None = sometimes("The headline, where it is not the accuracy.")
    score: Annotated[ScoreSpread | None, HasMean] = sometimes("The headline over chips, where it is not the accuracy.")
    scores: tuple[Real | None, ...] = sometimes("The headline of each chip, in order; where score is.", ())
    tolerance_ranks: Mapping[str, Count | None] = sometimes(
        "With labels: which chip, counted from the worst, gives each tolerance bound.", {}
    )
    distribution: Distribution | None = sometimes("With labels: the shape of the distribution over chips.")
    worst_chip: Count | None = sometimes("Number of the chip that is worst by the headline.")
    spreads: Mapping[str, Annotated[Spread | None, HasMean]] = sometimes(
        "With labels: other measures over chips, by name.", {}
    )
    reliability: Reliability | None = sometimes("With labels: images of all chips by confidence.")
    class_accuracy: tuple[Rate | None, ...] = sometimes(
        "With labels: mean accuracy over chips on the images of each class; null for a class without images.", ()
    )
    metrics: Mapping[str, Annotated[Spread | None, HasMean]] = sometimes(
        "With --metric: the user's own metrics over chips, by name.", {}
    )
    non_finite_chips: Count | None = sometimes("Chips with an output that is not finite, where there are any.")
    requirements: tuple[Verdict, ...] = sometimes("What was required, and whether it is met; not with --until.", ())
    column_baseline: ColumnBaseline | None = sometimes(
        "In fit, and with --column-baseline: the device with a scale per column; null where that is the same."
    )
    periphery: Mapping[str, object] | None = sometimes(
        "With converters or output noise: their knobs, and under ranges each layer's ranges of input and output."
    )
    until: Until | None = sometimes("With --until: how the mean was found.")
