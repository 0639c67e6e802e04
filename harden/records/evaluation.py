"""``harden.eval/2``: one network under noise."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from harden.records.base import (
    Count,
    Described,
    Digest,
    Document,
    HasMean,
    Interval,
    Number,
    Positive,
    Rate,
    Real,
    Record,
    Whole,
    always,
    is_number,
    sometimes,
)
from harden.records.condition import ConditionRecord, Reliability, Spread

if TYPE_CHECKING:
    import numpy as np

_HEAD = ("noise", "time", "chips", "mean", "5th percentile", "worst")


class ModelRecord(Record):
    """Which network."""

    path: str = always("Where it was read from: a file, or timm:NAME.", "")
    sha256: Digest = always("SHA-256 of the file.", "")
    opset: Number | None = always("Version of ONNX's operators.")
    parameters: Count | None = sometimes("Number of parameters; not with --until, nor without data.")
    analog_parameters: Count | None = sometimes("How many of them are on crossbars; where parameters is.")
    batch_norm: Annotated[str, Described("enum", ("kept", "folded", "none"))] = always("Batch norms in the graph.", "")
    crossbars: Annotated[str, Described("enum", ("tensor", "use"))] = sometimes(
        "With --crossbars use: each use of a stored tensor is a crossbar of its own.", "tensor"
    )
    session: Mapping[str, str] = sometimes(
        "Of a file with QuantizeLinear or DequantizeLinear: options of the ONNX Runtime sessions that computed it.", {}
    )


class Classes(Record):
    """The classes of labelled data."""

    count: Number | None = always("How many.")
    commonest: Rate | None = always("Share of the examples that are of the commonest class.")
    names: tuple[str, ...] | None = always("Their names in order; null where the data has none.")


class DataRecord(Record):
    """Which examples."""

    source: str = always("Where they were read from.", "")
    examples: Number | None = always("How many.")
    sha256: str = always("SHA-256 of the examples and labels.", "")
    classes: Classes | None = sometimes("With labels, of the data that is reported on.")


class Clean(Record):
    """The network without noise, on the same examples; nulls for data without labels."""

    accuracy: Rate | None = always("Share of right answers.")
    loss: Real | None = sometimes("Cross-entropy, in nats; not with --until, as all below.")
    confidence: Rate | None = sometimes("Mean of the largest class probability.")
    ece: Rate | None = sometimes("Expected calibration error, 15 bins.")
    top5: Rate | None = sometimes("Top-5 accuracy; with labels, as all below.")
    balanced_accuracy: Rate | None = sometimes("Mean recall of the classes.")
    f1: Rate | None = sometimes("F1, mean over classes.")
    auroc: Rate | None = sometimes("Area under the ROC curve.")
    score: Real | None = sometimes("The headline, where it is not the accuracy.")
    values: Mapping[str, Real | None] = sometimes("Further measures of the task, by name.", {})
    metrics: Mapping[str, Real] = sometimes("With --metric: the user's own metrics, by name.", {})
    reliability: Reliability | None = sometimes("Images by confidence.")
    doubts: tuple[str, ...] = sometimes("Signs that labels and answers do not belong together, a clause each.", ())


class TensorRecord(Record):
    """A tensor on a crossbar."""

    key: str = always("Its key: the tensor's name, with the node's where it has other uses.", "")
    node: str = always("The node that uses it; the first of several.", "")
    op: str = always("That node's operator.", "")
    shape: tuple[Count, ...] = always("Its shape.", ())
    uses: Number = sometimes("Where there are several: how many operands of nodes it is.", 1)
    rms_noise_relative: Positive | None = always("RMS of chip 0's noise over that of the weights.")
    rms_noise_relative_to_max: Positive | None = always("RMS of chip 0's noise over the largest weight.")


class ExactTensor(Record):
    """A tensor that is not perturbed."""

    name: str = always("Its name.", "")
    reason: str = always("Why it is left exact.", "")


class ExactProduct(Record):
    """A product with a stored operand that is computed exactly."""

    node: str = always("The node.", "")
    op: str = always("Its operator.", "")
    name: str = always("The stored tensor.", "")
    reason: str = always("Why it is on no crossbar.", "")


class Canary(Record):
    """The check that noise arrives: strong noise changes the outputs alike in torch and ONNX Runtime."""

    tensors: Count | None = always("In how many tensors it was tried.")
    inert: tuple[str, ...] = always("Those that move no output.", ())
    exact: tuple[ExactProduct, ...] = sometimes("Products with a stored operand that is on no crossbar.", ())


class Runtime(Record):
    """How fast it went; nothing here is a result."""

    seconds: Positive | None = always("Time that the trials took, in s.")
    images_per_second: Positive | None = always(
        "Examples per second of all chips; null where no trial was left to run."
    )
    clean_images_per_second: Positive | None = sometimes("The same without noise; not with --until, as all below.")
    workers: Count | None = sometimes("Chips at a time.")
    threads_per_worker: Count | None = sometimes("Threads of each.")
    batch_size: Count | None = sometimes("Examples per batch.")
    engine: str = always("Where the trials ran: local or ray.", "")
    memory: str | None = sometimes("Where memory did not suffice: what was done instead.")


class Environment(Record):
    """Versions of what computed, and the machine that it computed on."""

    harden: str = always("Version of harden.", "")
    python: str = always("Version of Python.", "")
    torch: str = always("Version of torch.", "")
    onnx: str = always("Version of onnx.", "")
    onnxruntime: str = always("Version of ONNX Runtime.", "")
    timm: str = always("Version of timm.", "")
    numpy: str = always("Version of numpy.", "")
    scipy: str = always("Version of scipy.", "")
    platform: str = always("The operating system.", "")
    processor: str = always("The processor's kind.", "")
    threads: Count | None = always("Threads the run was given.")


class LayerRow(Record):
    """What noise in one tensor does."""

    key: str = always("The tensor's key.", "")
    share: Rate | None = sometimes("From ranking: share of the loss's variance under noise, in a linear model.")
    drop: Real | None = sometimes("Accuracy lost by noise in it alone.")
    drop_ci95: Interval | None = sometimes("95% interval of that over chips.")
    gain: Real | None = sometimes("Accuracy regained by keeping it alone clean.")
    gain_ci95: Interval | None = sometimes("95% interval of that over chips.")


class LayerRanking(Record):
    """What noise does, layer by layer; ``--also sensitivity`` or ``--also ranking``."""

    sensitivity: tuple[LayerRow, ...] = always("A row for each tensor.", ())
    sensitivity_r2: Rate | None = sometimes("From ranking: R² of the linear model behind the shares.")
    passes: Count | None = sometimes("From ranking: noisy backward passes.")
    clean: Rate | None = sometimes("From sensitivity: accuracy without noise.")
    noisy: Rate | None = sometimes("From sensitivity: mean accuracy over the chips, with noise in every tensor.")
    chips: Count | None = sometimes("Chips of the trials.")


class WorstWidth(Record):
    """The worst chip found in a box around the weights."""

    width: Positive = always("Half the box's width, in multiples of the noise's standard deviation.", float("nan"))
    accuracy: Rate | None = always("Accuracy of the worst chip found.")
    loss: Real | None = always("Its cross-entropy, in nats.")
    random: Rate | None = always("Accuracy at the random start: what the box does without an adversary.")


class WorstCase(Record):
    """Chips chosen by an adversary; ``--also worst_case``."""

    clean: Rate | None = always("Accuracy without noise.")
    worst_case: tuple[WorstWidth, ...] = always("A row for each width of the box.", ())
    steps: Count | None = always("Steps of each search.")
    restarts: Count | None = always("Searches for each width.")


class Landscape(Record):
    """Loss and accuracy along random directions of the noise; ``--also landscape``."""

    alpha: tuple[Real, ...] = always("Positions along a direction; 1 is the chip itself.", ())
    loss: tuple[tuple[Real, ...], ...] = always("Cross-entropy in nats: a row for each direction.", ())
    accuracy: tuple[tuple[Rate, ...], ...] = always("Accuracy: a row for each direction.", ())
    slope: Positive | None = always("Mean change of the loss per unit of alpha.")


class RareFailures(Record):
    """The probability of a chip below the threshold, by subset simulation; ``--also rare_failures``."""

    experimental: bool = always("True: the estimate has no interval that is sure.", True)
    threshold: Rate | None = always("The accuracy that a good chip reaches.")
    probability: Rate | None = always("Geometric mean of the runs, or their mean where one is 0.")
    runs: tuple[Rate, ...] = always("The estimate of each run.", ())
    spread: Positive | None = always("The largest over the smallest; null where one is 0.")
    acceptance: tuple[Rate, ...] = always("Share of moves accepted, level by level, run after run.", ())
    evaluations: Count | None = always("Chips tried in all.")


class FieldCalibration(Record):
    """What calibrating each chip's batch norms in the field would give; ``--also per_chip``."""

    chips: Count | None = always("Number of chips.")
    calibration_examples: Count | None = always("Examples whose inputs each chip was calibrated on.")
    examples: Count | None = always("The others, on which both accuracies are.")
    as_it_is: Annotated[Spread | None, HasMean] = always("Accuracy of the chips as they come.")
    calibrated: Annotated[Spread | None, HasMean] = always("Accuracy with batch norms of their own.")
    gain: Real | None = always("Mean gain in accuracy, on the same chips.")
    gain_ci95: Interval | None = always("95% interval of the gain over chips.")


class EvalRecord(Document):
    """What ``harden.evaluate`` hands back, and ``harden eval`` writes: one network under noise.

    Example:
        ``result = harden.evaluate(model, "rram1", test); result.conditions[0].accuracy.mean``
    """

    SCHEMA: ClassVar[str] = "harden.eval/2"

    model: ModelRecord | None = always("The network.")
    data: DataRecord | None = always("The examples that chips were judged on.")
    seed: Whole | None = always("Root of every random stream.")
    clean: Clean = always("The network without noise.", Clean.read({}))
    conditions: tuple[ConditionRecord, ...] = always(
        "One entry for each profile, time and point of a sweep, in the order asked for.", ()
    )
    perturbed: tuple[TensorRecord, ...] = sometimes("The tensors on crossbars; not with --until, as the next two.", ())
    not_perturbed: tuple[ExactTensor, ...] = sometimes("The others, and why.", ())
    canary: Canary | None = sometimes("The check that noise arrives.")
    runtime: Runtime | None = always("How fast it went.")
    sensitivity: tuple[LayerRow, ...] = sometimes("With --also sensitivity or ranking: a row for each tensor.", ())
    sensitivity_r2: Rate | None = sometimes("With --also ranking: R² of the linear model behind the shares.")
    worst_case: WorstCase | None = sometimes("With --also worst_case.")
    landscape: Landscape | None = sometimes("With --also landscape.")
    corners: tuple[ConditionRecord, ...] = sometimes("With --also corners: conditions of their own.", ())
    stress: tuple[ConditionRecord, ...] = sometimes("With --also stress: conditions of their own.", ())
    rare_failures: RareFailures | None = sometimes("With --also rare_failures.")
    per_chip: FieldCalibration | None = sometimes("With --also per_chip.")
    settings: Mapping[str, object] = sometimes(
        "harden eval's settings, resolved; not from Python, as the next two.", {}
    )
    command: str | None = sometimes("The command line that repeats it.")
    environment: Environment | None = sometimes("Versions and machine.")

    def accuracies(self, index: int = 0) -> np.ndarray:
        """[K] the accuracy of each chip under the condition with this index."""
        import numpy as np  # not at the top: the command line's help reads this file, and needs no numbers

        return np.array(self.conditions[index].accuracies, dtype=np.float64)

    def __repr__(self) -> str:
        """The conditions as a table; the first column to the left, numbers to the right."""
        table = [list(_HEAD), *self._rows()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(cells))
            for cells in (list(zip(row, widths, strict=True)) for row in table)
        ]
        clean = self.clean.accuracy
        noiseless = "" if clean is None else f", accuracy without noise {clean:.4f}"
        return "\n".join([f"Evaluation of {self.model.path if self.model else 'a model'}{noiseless}", *lines])

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{c}</th>" for c in _HEAD)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows()
        )
        clean = self.clean.accuracy
        title = "" if clean is None else f"<p>clean accuracy {clean:.4f}</p>"
        return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def _rows(self) -> list[list[str]]:
        rows: list[list[str]] = []
        for condition in self.conditions:
            spread = condition.accuracy
            numbers = (spread.mean, spread.p05, spread.min) if spread else (None, None, None)
            cells = [f"{value:.4f}" if is_number(value) else "-" for value in numbers]
            rows.append([condition.name, f"{condition.at_s or 0:g} s", str(condition.chips), *cells])
        return rows
