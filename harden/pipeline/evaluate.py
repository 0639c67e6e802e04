"""``harden eval``: one model, some noise conditions, many chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harden.analyses import replay as replaying
from harden.analyses.sweeps import parse_sweep, sweep
from harden.data.dataset import Dataset
from harden.engines import Engine, opened
from harden.errors import SettingsError
from harden.evaluation.copies import check_copies, parse_copies
from harden.evaluation.evaluate import evaluate as run_trials
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.pipeline.analyses import analyse
from harden.pipeline.checks import check_settings
from harden.pipeline.column import add_column_baseline
from harden.pipeline.command import command_line
from harden.pipeline.environment import environment
from harden.pipeline.inputs import check_digital, drawn_on, model_of, open_conditions, open_data, thread_count
from harden.pipeline.missing import require
from harden.pipeline.until import evaluate_until
from harden.progress import Notify, silent
from harden.report.files import read_record, write_report
from harden.runfolder import RunFolder
from harden.settings import EvalSettings, to_toml
from harden.store import write_atomic


def evaluate(settings: EvalSettings, notify: Notify = silent) -> dict[str, Any]:
    """Run ``harden eval``.

    Args:
        settings: What to evaluate.
        notify: Called with stage, done and total.

    Returns:
        A ``harden.eval/1`` document; also written to ``settings.out`` where given.

    Raises:
        HardenError: See harden.errors for which and the exit codes.
    """
    model, data, conditions = prepare_evaluation(settings, notify)
    with opened(settings.engine, settings.workers) as engine:
        return _evaluated(settings, model, data, conditions, notify, engine)


def prepare_evaluation(settings: EvalSettings, notify: Notify = silent) -> tuple[Model, Dataset, tuple[Condition, ...]]:
    """Open and check what ``harden eval`` works on; nothing is written."""
    check_settings(settings, "profile", "data")
    conditions = _conditions(settings)
    model = model_of(settings, notify=notify)
    if settings.copies:
        check_copies(conditions[0].copies, model.analog_weights(settings.digital))
    check_digital(model, settings.digital)
    data = open_data(settings.data, model, settings, notify)
    return model, data, conditions


def _evaluated(
    settings: EvalSettings,
    model: Model,
    data: Dataset,
    conditions: Sequence[Condition],
    notify: Notify,
    engine: Engine | None,
) -> dict[str, Any]:
    if settings.until:
        return evaluate_until(settings, model, data, conditions, thread_count(settings), notify, engine)
    if settings.out is None:
        return _document(settings, model, data, conditions, None, notify, engine)
    resolved = {"model_sha256": model.sha256, "data_sha256": data.sha256, "threads": thread_count(settings)}
    resolved["profiles"] = sorted({condition.profile.digest for condition in conditions})
    with RunFolder(settings.out, to_toml(settings, resolved)) as folder:
        finished = read_record(folder.path)
        if finished is not None:
            return finished
        document = _document(settings, model, data, conditions, folder / "trials.jsonl", notify, engine)
        _keep_worst(settings, document, model, folder.path)
        write_report(folder.path, document)
    return document


def replay(settings: EvalSettings) -> dict[str, Any]:
    """Run one recorded chip again: ``harden eval MODEL --replay chip.json --data ...``.

    Returns:
        A ``harden.replay/1`` document: ``accuracy``, ``recorded``, ``same_model``, ``equal``.

    Raises:
        InputError: The file is no record of a chip, or the data or profile are not the record's.
    """
    require(settings, "data")
    record = replaying.read_chip(Path(settings.replay or ""))
    profile = Profile.parse(settings.profile[0]).on_device(drawn_on(settings)) if settings.profile else None
    model = model_of(settings)
    data = open_data(settings.data, model, settings)
    return {"schema": "harden.replay/1", **replaying.replay(record, model, data, profile)}


def _conditions(settings: EvalSettings) -> tuple[Condition, ...]:
    copies = parse_copies(settings.copies)
    device = drawn_on(settings)
    conditions = tuple(replace(one, copies=copies) for one in open_conditions(settings.profile, settings.at, device))
    if not settings.sweep:
        return conditions
    axes = dict(parse_sweep(text) for text in settings.sweep)
    if settings.until:
        raise SettingsError("--sweep and --until cannot be combined", fix="Sweep with a fixed number of --chips")
    profiles = [Profile.parse(text).on_device(device) for text in settings.profile]
    swept = (one for profile in profiles for one in sweep(profile, axes, settings.at or None))
    return tuple(replace(one, copies=copies) for one in swept)


def _document(
    settings: EvalSettings,
    model: Model,
    data: Dataset,
    conditions: Sequence[Condition],
    trials: Path | None,
    notify: Notify,
    engine: Engine | None,
) -> dict[str, Any]:
    threads = thread_count(settings)
    document = run_trials(
        model,
        conditions,
        data,
        chips=settings.chips,
        seed=settings.seed,
        threshold=settings.threshold,
        requirements=settings.require,
        threads=threads,
        batch_size=settings.batch_size,
        digital=settings.digital,
        trials=trials,
        metrics=settings.metric,
        engine=engine,
        device=settings.device,
        progress=lambda done, total: notify("chips", done, total),
    ).document
    if settings.column_baseline:
        add_column_baseline(
            document,
            model,
            conditions,
            data,
            seed=settings.seed,
            threads=threads,
            digital=settings.digital,
            trials=trials,
        )
    return {
        **document,
        **analyse(settings, model, conditions[0], data, threads, notify),
        "settings": settings.model_dump(mode="json", exclude_none=True, exclude={"out"}),
        "command": command_line("eval", settings),
        "environment": environment(threads),
    }


def _keep_worst(settings: EvalSettings, document: dict[str, Any], model: Model, folder: Path) -> None:
    """Write the records of the worst chips, and their ONNX files on request."""
    if not settings.keep_worst or not document["profiles"][0].get("accuracies"):
        return
    chips = folder / "chips"
    chips.mkdir(exist_ok=True)
    for record in replaying.worst_chips(document, count=settings.keep_worst, digital=settings.digital):
        name = f"{record['profile']}-{record['at_s']:g}s-chip{record['chip']}"
        replaying.save_chip(record, chips / f"{name}.json")
        if settings.worst_onnx:
            write_atomic(chips / f"{name}.onnx", replaying.chip_onnx(record, model))
