"""``harden fit --seeds N``: the whole run once a seed, and what differs from seed to seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harden import distributed
from harden.pipeline.environment import command_line
from harden.progress import Notify
from harden.records import EvalRecord, FitRecord
from harden.records.fit import SeedRecord
from harden.report.files import write_report
from harden.runfolder import RunFolder
from harden.settings import FitSettings, to_toml
from harden.statistics.intervals import proportion_interval

Fit = Callable[[FitSettings, Notify], FitRecord | None]


def repeated(settings: FitSettings, out: Path, fit: Fit, notify: Notify) -> FitRecord | None:
    """One run a seed, each in ``OUT/seed-K``.

    Args:
        settings: The run's settings; its seed is the first one.
        out: The folder of all runs; gets a report of its own.
        fit: Runs one seed.
        notify: Called with stage, done and total.

    Returns:
        The first run's record with ``seeds`` (one row per run), ``convergence_probability`` (the share of runs whose
        mean over chips reaches ``--threshold``) and ``convergence_ci95``; None in a process that only follows.
    """
    if not distributed.is_leader():
        for each in _each(settings, out):
            fit(each, notify)
        return None
    # How many seeds is not compared with what the folder holds: more may be added later.
    with RunFolder(out, to_toml(settings.model_copy(update={"seeds": 1}))) as folder:
        records: dict[int, FitRecord] = {}
        for each in _each(settings, out):
            seed = each.seed
            record = fit(each, lambda stage, done, total, seed=seed: notify(f"seed {seed}, {stage}", done, total))
            if record is not None:
                records[seed] = record
        whole = joined(settings, records)
        write_report(folder.path, whole)
    return whole


def joined(settings: FitSettings, records: Mapping[int, FitRecord]) -> FitRecord:
    """The first seed's record, its paths seen from the folder of all, and what each seed gave."""
    rows = [_row(seed, record.after) for seed, record in records.items() if record.after]
    first, folder = records[settings.seed], f"seed-{settings.seed}"
    after = first.after
    if after and after.model:
        after = after.replaced(model=after.model.replaced(path=f"{folder}/model.onnx"))
    value, interval = _convergence(settings.threshold, [row.mean for row in rows if row.mean is not None])
    return first.replaced(
        after=after,
        artifacts={f"{folder}/{name}": digest for name, digest in first.artifacts.items()},
        settings=settings.model_dump(mode="json", exclude_none=True, exclude={"out"}),
        command=command_line("fit", settings),
        check_command=first.check_command and first.check_command.replace("RUN/", f"RUN/{folder}/"),
        seeds=rows,
        convergence_probability=value,
        convergence_ci95=interval,
    )


def _row(seed: int, after: EvalRecord) -> SeedRecord:
    spread = after.conditions[0].accuracy
    over_chips = spread.to_json() if spread else {}
    return SeedRecord.model_validate({"seed": seed, "clean": after.clean.accuracy, **over_chips})


def _each(settings: FitSettings, out: Path) -> list[FitSettings]:
    seeds = range(settings.seed, settings.seed + settings.seeds)
    return [settings.model_copy(update={"seeds": 1, "seed": seed, "out": str(out / f"seed-{seed}")}) for seed in seeds]


def _convergence(threshold: float | None, means: list[float]) -> tuple[float | None, list[float] | None]:
    if threshold is None or not means:
        return None, None
    reached = sum(mean >= threshold for mean in means)
    return reached / len(means), list(proportion_interval(reached, len(means)))
