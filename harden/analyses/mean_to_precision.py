"""``--until 'ci95(mean_accuracy)<0.005'``: only as many images as this certainty of the mean needs.

The target is the mean over chips of the accuracy on this whole test set. Each chip runs on a random sample of images of
its own, and the clean network's hits, known for every image, serve as a control variate: the chip's accuracy on its
sample is corrected by a share of how much easier than the whole set the sample was for the clean network. The number of
chips follows Stein's two-stage rule, which has its confidence whatever the variance turns out to be.

Such trials say something of the mean only. Standard deviation, percentiles, worst chip and yield need all images on
every chip, and are left out.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from harden.engines import Engine, LocalEngine
from harden.errors import DataError, SettingsError
from harden.evaluation.bench import Bench, recount_bench
from harden.evaluation.document import data_part, model_part
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.evaluation.trials import draw_chip
from harden.records import ConditionRecord, EvalRecord
from harden.records.condition import Until
from harden.records.evaluation import Clean, Runtime
from harden.streams import numpy_generator
from harden.tasks import Scores

if TYPE_CHECKING:
    from harden.graph.file import Model

FIRST = 40  # chips of the first stage: the t quantile is then within 4% of the normal one
_PILOT_CHIPS, _PILOT_IMAGES = 10, 256
_CHIP_COST = 32  # drawing a chip and opening its session, in images; not measured, so that a run repeats exactly
_MOST_CHIPS = 1_000_000
_UNKNOWN = ("std", "min", "p05", "median", "p95", "max", "ci95_images")  # what a sample of images cannot tell
_PATTERN = re.compile(r"\s*ci(?P<level>\d+(?:\.\d+)?)\s*\(\s*mean_accuracy\s*\)\s*<=?\s*(?P<half>[\d.eE+-]+)\s*$")


def parse_until(text: str) -> tuple[float, float]:
    """Read ``ciNN(mean_accuracy)<H``: the NN% interval shall be no wider than ± H.

    Returns:
        The confidence and H.

    Raises:
        SettingsError: It cannot be read, or a number is out of range.

    Example:
        >>> parse_until("ci95(mean_accuracy)<0.005")
        (0.95, 0.005)
    """
    match = _PATTERN.match(text)
    try:
        level, half = (float(match["level"]) / 100, float(match["half"])) if match else (math.nan, math.nan)
    except ValueError:
        level = half = math.nan
    if not (0.5 <= level < 1 and 0 < half < 0.5):
        raise SettingsError(
            f"cannot stop at '{text}'", where="--until", fix="Write 'ci95(mean_accuracy)<0.005': the mean ± 0.005"
        )
    return level, half


def two_stage(
    sample: Callable[[Iterable[int]], np.ndarray], half_width: float, confidence: float = 0.95, first: int = FIRST
) -> tuple[float, float, int]:
    """Stein's two-stage interval of fixed width for a mean.

    The first stage of n0 draws fixes s; in all n = max(n0, ceil((t(n0 - 1) s / h)^2)) draws are made. The interval is
    mean ± t(n0 - 1) s / sqrt(n), which is at most h and has its confidence for normal draws of any variance.

    Args:
        sample: Draws with the given numbers, independent of each other.
        half_width: h.
        confidence: In (0, 1).
        first: n0.

    Returns:
        Mean, half the width reached, number of draws.

    Source: Stein, Annals of Mathematical Statistics 16 (1945).
    """
    draws = np.asarray(sample(range(first)), dtype=np.float64)
    scale = float(special.stdtrit(first - 1, 0.5 + confidence / 2)) * float(draws.std(ddof=1))
    total = max(first, math.ceil((scale / half_width) ** 2))
    if total > _MOST_CHIPS:
        raise SettingsError(f"± {half_width:g} would need {total} chips", where="--until", fix="Ask for less")
    if total > first:
        draws = np.concatenate([draws, np.asarray(sample(range(first, total)), dtype=np.float64)])
    return float(draws.mean()), scale / math.sqrt(total), total


def mean_accuracy_until(judge: Judge, model: Model, until: str, *, images: int | None = None) -> Until:
    """The mean accuracy over chips on the whole test set, to a wanted certainty, from few images per chip.

    Args:
        judge: The whole test set, labelled, and the noise: its first condition. Chips are those that it judges models
            by; images come from a stream of their own.
        model: The model.
        until: Such as ``ci95(mean_accuracy)<0.005``.
        images: Images per chip; None balances a chip's fixed cost against the variance of its sample.

    Raises:
        SettingsError: The demand cannot be read, or needs too many chips.
    """
    confidence, half = parse_until(until)
    with judge.bench(model) as bench:
        if judge.recounted:
            recount_bench(bench, model, judge.data)
        sampler = _Sampler(bench, judge.condition, judge.seed)
        pilot = sampler.pilot()
        size, share = min(images or pilot.images, len(judge.data)), pilot.control
        engine = judge.where.engine or LocalEngine(judge.where.cores)
        mean, reached, chips = two_stage(lambda which: sampler.values(which, size, share, engine), half, confidence)
        return Until(
            mean=mean,
            ci=(mean - reached, mean + reached),
            confidence=confidence,
            half_width=reached,
            chips=chips,
            images_per_chip=size,
            images=chips * size + sampler.pilot_images,
            std_chips=pilot.std_chips,
            std_image=pilot.std_image,
            control=share,
            variance_ratio=pilot.variance_ratio,
            clean=bench.clean_headline,
        )


def evaluate_until(judge: Judge, model: Model, until: str) -> EvalRecord:
    """A record whose conditions know the mean and its interval; the rest of them is null.

    Args:
        judge: The judge; every example is in the mean.
        model: The model.
        until: The certainty that is wanted, such as ``ci95(mean_accuracy)<0.005``.
    """
    conditions, engine = judge.conditions, judge.where.engine
    started = time.perf_counter()
    entries = []
    for number, condition in enumerate(conditions):
        judge.notify("conditions", number, len(conditions))
        result = mean_accuracy_until(replace(judge.on(condition), recounted=number == 0), model, until)
        accuracy = {"mean": result.mean, **dict.fromkeys(_UNKNOWN), "ci95": result.ci}
        empty = dict.fromkeys(("yield", "tolerance", "confidence", "ece", "ekl", "agreement", "fidelity", "accuracies"))
        entry = {**condition.describe(), "chips": result.chips, "accuracy": accuracy, **empty, "until": result}
        entries.append(ConditionRecord.model_validate(entry))
    judge.notify("conditions", len(conditions), len(conditions))
    seconds = time.perf_counter() - started
    results = [entry.until for entry in entries if entry.until]
    images = sum(result.images or 0 for result in results)
    return EvalRecord(
        model=model_part(model),
        data=data_part(judge.data),
        seed=judge.seed,
        clean=Clean(accuracy=results[0].clean),
        conditions=tuple(entries),
        runtime=Runtime(seconds=seconds, images_per_second=images / seconds, engine=(engine or LocalEngine).name),
    )


@dataclass(frozen=True)
class _Pilot:
    """What a few chips say, as in the record; ``images`` per chip cost least for a given certainty."""

    std_chips: float
    std_image: float
    control: float
    variance_ratio: float | None
    images: int


class _Sampler:
    """Draws of one chip on one random sample of images."""

    def __init__(self, bench: Bench, condition: Condition, seed: int) -> None:
        self.bench, self.condition, self.seed = bench, condition, seed
        self.examples = bench.feed.examples
        self.clean = _hits(bench, bench.clean_scores)
        self.pilot_images = 0

    def hits(self, chip: int, size: int, stream: str = "until") -> tuple[np.ndarray, np.ndarray]:
        """Which of a chip's own random images it gets right, and which the clean network does."""
        rng = numpy_generator(self.seed, stream, "images", chip)
        index = np.sort(rng.choice(self.examples, size, replace=False))
        # The pilot's chips are others than those that count: its outcome decides how they are sampled.
        number = chip if stream == "until" else -1 - chip
        drawn = draw_chip(self.condition, self.bench.weights, seed=self.seed, index=number)
        session = self.bench.periphery.session(self.condition.profile, drawn, seed=self.seed, path=("chip", number))
        tally = self.bench.scorer.on(index).tally()
        for batch, count in self.bench.feed.batches(index):
            tally.add([output[:count] for output in session.run(*batch)])
        return _hits(self.bench, tally.result()), self.clean[index]

    def values(self, chips: Iterable[int], size: int, control: float, engine: Engine) -> np.ndarray:
        """One unbiased estimate of each chip's accuracy on all images."""

        def estimate(chip: int) -> float:
            hit, clean = self.hits(chip, size)
            return float(hit.mean() - control * (clean.mean() - self.clean.mean()))

        with contextlib.closing(engine.run(estimate, chips)) as results:
            return np.fromiter(results, dtype=np.float64)

    def pilot(self) -> _Pilot:
        """Both variances, and the images per chip that cost least for a given certainty.

        With c the fixed cost of a chip in images, minimising (c + m)(sigma_chip^2 + sigma_image^2 / m) gives
        m = sqrt(c sigma_image^2 / sigma_chip^2).
        """
        size = min(_PILOT_IMAGES, self.examples)
        self.pilot_images = _PILOT_CHIPS * size
        pairs = [self.hits(chip, size, "pilot") for chip in range(_PILOT_CHIPS)]
        hits, clean = np.array([hit for hit, _ in pairs]), np.array([clean for _, clean in pairs])
        # The least-squares share, pooled within chips; fixed before the chips that count, so these stay unbiased.
        centred = clean - clean.mean(axis=1, keepdims=True)
        control = float((centred * hits).sum() / (centred**2).sum()) if centred.any() else 0.0
        rest = hits - control * clean
        within, plain = (float(table.var(axis=1, ddof=1).mean()) for table in (rest, hits))
        left = 1 - size / self.examples
        between = max(float(rest.mean(axis=1).var(ddof=1)) - within / size * left, 1e-8)
        best = math.sqrt(_CHIP_COST * max(within, 1e-8) / between)
        batch = self.bench.feed.batch
        rounded = max(batch, batch * round(best / batch)) if best > batch else max(8, round(best))
        return _Pilot(
            std_chips=math.sqrt(between),
            std_image=math.sqrt(within),
            control=control,
            variance_ratio=within / plain if plain else None,
            images=min(rounded, self.examples),
        )


def _hits(bench: Bench, scores: Scores) -> np.ndarray:
    """[N] 1 for each right answer.

    Raises:
        DataError: The task has no right and wrong answers to single examples.
    """
    hits = scores.sums.get("hits")
    if hits is None:
        raise DataError(
            f"the task {bench.task.name} has no right and wrong answers, whose mean --until looks for",
            fix="Give --chips in place of --until",
        )
    return hits.astype(np.float64)
