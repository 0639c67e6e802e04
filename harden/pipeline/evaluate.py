"""``harden eval``: one model, some noise conditions, many chips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harden.analyses import replay as replaying
from harden.analyses.column_baseline import with_column_baseline
from harden.analyses.mean_to_precision import evaluate_until
from harden.analyses.sweeps import sweep
from harden.analyses.table import analyse
from harden.data.dataset import Dataset
from harden.engines import opened
from harden.errors import SettingsError
from harden.evaluation.copies import check_copies
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.pipeline.checks import Checked, check, require
from harden.pipeline.data import open_data
from harden.pipeline.machine import command_line, drawn_on, environment, where_of
from harden.pipeline.models import check_digital, model_of
from harden.progress import Notify, silent
from harden.records import EvalRecord, ReplayRecord
from harden.report.files import read_record, write_report
from harden.runfolder import RunFolder
from harden.settings import EvalSettings, to_toml
from harden.store import write_atomic


def evaluate(settings: EvalSettings, notify: Notify = silent) -> EvalRecord:
    """Run ``harden eval``.

    Args:
        settings: What to evaluate.
        notify: Called with stage, done and total.

    Returns:
        The record; also written to ``settings.out`` where given.

    Raises:
        HardenError: See harden.errors for which and the exit codes.
    """
    model, data, checked = prepare_evaluation(settings, notify)
    with opened(settings.engine, settings.workers) as engine:
        judge = checked.judge(settings, data, where_of(settings, engine), notify)
        return evaluate_until(judge, model, settings.until) if settings.until else _evaluated(settings, judge, model)


def prepare_evaluation(settings: EvalSettings, notify: Notify = silent) -> tuple[Model, Dataset, Checked]:
    """Open and check what ``harden eval`` works on; nothing is written."""
    checked = check(settings, "profile", "data")
    if settings.until and (settings.require or settings.threshold is not None or settings.out):
        raise SettingsError(
            "--until measures the mean only, so it cannot be combined with --require, --threshold or --out",
            fix="Leave --until out to have every image on every chip",
        )
    checked = replace(checked, conditions=_conditions(settings, checked))
    model = model_of(settings, notify=notify)
    if settings.copies:
        check_copies(checked.copies, model.analog_weights(settings.digital))
    check_digital(model, settings.digital)
    data = open_data(settings.data, model, settings, notify)
    return model, data, checked


def _evaluated(settings: EvalSettings, judge: Judge, model: Model) -> EvalRecord:
    judge.check_demands(model)
    if settings.out is None:
        return _record(settings, judge, model)
    resolved = {"model_sha256": model.sha256, "data_sha256": judge.data.sha256, "threads": judge.where.cores}
    resolved["profiles"] = sorted({condition.profile.digest for condition in judge.conditions})
    with RunFolder(settings.out, to_toml(settings, resolved)) as folder:
        finished = read_record(folder.path)
        if isinstance(finished, EvalRecord):
            return finished
        record = _record(settings, judge, model, folder / "trials.jsonl")
        _keep_worst(settings, record, model, folder.path)
        write_report(folder.path, record)
    return record


def replay(settings: EvalSettings) -> ReplayRecord:
    """Run one recorded chip again: ``harden eval MODEL --replay chip.json --data ...``.

    Returns:
        What the chip scores now, and whether that is what was recorded.

    Raises:
        InputError: The file is no record of a chip, or the data or profile are not the record's.
    """
    require(settings, "data")
    record = replaying.read_chip(Path(settings.replay or ""))
    profile = Profile.parse(settings.profile[0]).on_device(drawn_on(settings)) if settings.profile else None
    model = model_of(settings)
    data = open_data(settings.data, model, settings)
    return replaying.replay(record, model, data, profile, where_of(settings))


def _conditions(settings: EvalSettings, checked: Checked) -> tuple[Condition, ...]:
    """Every profile at every time and every point of the sweep, with the copies."""
    conditions = checked.conditions
    if checked.axes:
        if settings.until:
            raise SettingsError("--sweep and --until cannot be combined", fix="Sweep with a fixed number of --chips")
        times = len(settings.at or (None,))  # the conditions of a profile follow each other
        profiles = [condition.profile for condition in conditions[::times]]
        conditions = tuple(swept for profile in profiles for swept in sweep(profile, checked.axes, settings.at or None))
    return tuple(replace(condition, copies=checked.copies) for condition in conditions)


def _record(settings: EvalSettings, judge: Judge, model: Model, trial_log: Path | None = None) -> EvalRecord:
    record = judge.of(model, trial_log=trial_log)
    if settings.column_baseline:
        record = with_column_baseline(judge, model, record, trial_log)
    return record.replaced(
        **analyse(judge, model, settings.also, settings.at),
        settings=settings.model_dump(mode="json", exclude_none=True, exclude={"out"}),
        command=command_line("eval", settings),
        environment=environment(judge.where.cores),
    )


def _keep_worst(settings: EvalSettings, record: EvalRecord, model: Model, folder: Path) -> None:
    """Write the records of the worst chips, and their ONNX files on request."""
    if not settings.keep_worst or not record.conditions[0].accuracies:
        return
    chips = folder / "chips"
    chips.mkdir(exist_ok=True)
    for chip in replaying.worst_chips(record, count=settings.keep_worst, digital=settings.digital):
        name = f"{chip.profile}-{chip.at_s:g}s-chip{chip.chip}"
        replaying.save_chip(chip, chips / f"{name}.json")
        if settings.worst_onnx:
            write_atomic(chips / f"{name}.onnx", replaying.chip_onnx(chip, model))
