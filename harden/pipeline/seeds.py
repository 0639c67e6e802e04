"""``harden fit --seeds N``: the whole run once a seed, and what differs from seed to seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harden import distributed
from harden.pipeline.environment import command_line
from harden.progress import Notify
from harden.report.files import write_report
from harden.runfolder import RunFolder
from harden.settings import FitSettings, to_toml
from harden.statistics.intervals import proportion_interval

Fit = Callable[[FitSettings, Notify], dict[str, Any]]


def repeated(settings: FitSettings, out: Path, fit: Fit, notify: Notify) -> dict[str, Any]:
    """One run a seed, each in ``OUT/seed-K``.

    Args:
        settings: The run's settings; its seed is the first one.
        out: The folder of all runs; gets a report of its own.
        fit: Runs one seed.
        notify: Called with stage, done and total.

    Returns:
        The first run's document with ``seeds`` (one row per run), ``convergence_probability`` (the share of runs whose
        mean over chips reaches ``--threshold``) and ``convergence_ci95``; empty in a process that only follows.
    """
    if not distributed.is_leader():
        for each in _each(settings, out):
            fit(each, notify)
        return {}
    # How many seeds is not compared with what the folder holds: more may be added later.
    with RunFolder(out, to_toml(settings.model_copy(update={"seeds": 1}))) as folder:
        documents = {}
        for each in _each(settings, out):
            seed = each.seed
            documents[seed] = fit(
                each, lambda stage, done, total, seed=seed: notify(f"seed {seed}, {stage}", done, total)
            )
        document = joined(settings, documents)
        write_report(folder.path, document)
    return document


def joined(settings: FitSettings, documents: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """The first seed's document, its paths seen from the folder of all, and what each seed gave."""
    rows = [
        {"seed": seed, "clean": d["after"]["clean"]["accuracy"], **(d["after"]["profiles"][0]["accuracy"] or {})}
        for seed, d in documents.items()
        if d["after"]
    ]
    first, folder = documents[settings.seed], f"seed-{settings.seed}"
    after = first["after"] and {**first["after"], "model": {**first["after"]["model"], "path": f"{folder}/model.onnx"}}
    check = first["check_command"] and first["check_command"].replace("RUN/", f"RUN/{folder}/")
    value, interval = _convergence(settings.threshold, [row["mean"] for row in rows if "mean" in row])
    return {
        **first,
        "after": after,
        "artifacts": {f"{folder}/{name}": digest for name, digest in first["artifacts"].items()},
        "settings": settings.model_dump(mode="json", exclude_none=True, exclude={"out"}),
        "command": command_line("fit", settings),
        "check_command": check,
        "seeds": rows,
        "convergence_probability": value,
        "convergence_ci95": interval,
    }


def _each(settings: FitSettings, out: Path) -> list[FitSettings]:
    seeds = range(settings.seed, settings.seed + settings.seeds)
    return [settings.model_copy(update={"seeds": 1, "seed": seed, "out": str(out / f"seed-{seed}")}) for seed in seeds]


def _convergence(threshold: float | None, means: list[float]) -> tuple[float | None, list[float] | None]:
    if threshold is None or not means:
        return None, None
    reached = sum(mean >= threshold for mean in means)
    return reached / len(means), list(proportion_interval(reached, len(means)))
