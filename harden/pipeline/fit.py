"""``harden fit``: prepare, measure, harden, verify, measure again, report."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from harden import distributed, methods
from harden.data.overlap import shared_examples
from harden.evaluation.document import data_part, model_part
from harden.pipeline.controls import run_ablation, run_controls
from harden.pipeline.hardening import harden_model
from harden.pipeline.machine import command_line, environment
from harden.pipeline.placement import placed
from harden.pipeline.prepare import Prepared, prepare
from harden.pipeline.protection import with_protection
from harden.pipeline.seeds import repeated
from harden.pipeline.side import beside, column_baseline, run_passes
from harden.progress import Notify, silent
from harden.records import EvalRecord, FitRecord, TrainingRecord
from harden.report.files import read_record, write_report
from harden.runfolder import RunFolder, refuse_another_run
from harden.settings import EvalSettings, FitSettings, to_toml
from harden.store import read_lines
from harden.training.process_group import follow


def fit(settings: FitSettings, notify: Notify = silent) -> FitRecord | None:
    """Run ``harden fit``.

    Args:
        settings: What to harden, and how.
        notify: Called with stage, done and total.

    Returns:
        The record; also written to the run folder with ``model.onnx`` and ``report.html``. A finished run of the same
        settings is returned as it is. Where several processes train together, the others return None.

    Raises:
        HardenError: See harden.errors for which and the exit codes.
    """
    with distributed.joined():
        if settings.seeds > 1:
            return repeated(settings, run_folder(settings), _once, notify)
        return _once(settings, notify)


def _once(settings: FitSettings, notify: Notify) -> FitRecord | None:
    if settings.out or settings.profile:  # else there is no folder yet, and what is missing is told below
        refuse_another_run(run_folder(settings), to_toml(settings))
    prepared = prepare(settings, notify)
    if not distributed.is_leader():
        follow(prepared.problem)
        return None
    with placed(prepared) as ready:
        return _finished(ready, settings, notify)


def _finished(prepared: Prepared, settings: FitSettings, notify: Notify) -> FitRecord:
    judge = prepared.judge()
    if judge is not None:
        judge.check_demands(prepared.model)
    with RunFolder(run_folder(settings), to_toml(settings, prepared.resolved())) as folder:
        finished = read_record(folder.path)
        if isinstance(finished, FitRecord):
            return finished
        record = _run(prepared, folder, notify)
        write_report(folder.path, record)
    return record


def run_folder(settings: FitSettings) -> Path:
    """``--out``, or ``runs/MODEL-METHOD-PROFILE``."""
    if settings.out:
        return Path(settings.out)
    model = Path(settings.model.replace("timm:", "")).stem
    profile = settings.profile[0].split(":")[0]
    return Path("runs") / f"{model}-{settings.method}-{Path(profile).stem}"


def _run(prepared: Prepared, folder: RunFolder, notify: Notify) -> FitRecord:
    judge, before, after = prepared.judge(notify), None, None
    if judge is not None:
        log = folder / "trials.before.jsonl"
        before = judge.of(prepared.model, trial_log=log, stage="chips before")
        if not prepared.settings.quick_report:
            before = column_baseline(judge, prepared.model, before, folder)
    prepared, protection = with_protection(prepared, folder, notify)
    judge = prepared.judge(notify)
    done = harden_model(prepared, folder.path, notify)
    hardened, training = done.model, done.training
    if protection is not None:
        training = training.replaced(levers={**training.levers, "protect": protection.to_json()})
        done = replace(done, training=training)
    if judge is not None:
        after = judge.of(hardened, trial_log=folder / "trials.jsonl", stage="chips after")
        if after.model is not None:  # in this folder, wherever it lies
            after = after.replaced(model=after.model.replaced(path="model.onnx"))
    controls = run_controls(prepared, folder, notify, done) if prepared.settings.controls else None
    ablation = run_ablation(prepared, folder, notify, done) if prepared.settings.ablation else None
    analyses: dict[str, object] = {"severity": None, "controls": controls, "ablation": ablation}
    if judge is not None and judge.data.labels is not None and not prepared.settings.quick_report:
        passes = run_passes(judge, done.plan, training.steps or 0)
        analyses |= beside(judge, prepared.model, hardened, folder, passes)
    return _record(prepared, folder.path, before, after, training, analyses)


def _record(
    prepared: Prepared,
    folder: Path,
    before: EvalRecord | None,
    after: EvalRecord | None,
    training: TrainingRecord,
    analyses: Mapping[str, object],
) -> FitRecord:
    settings, model = prepared.settings, prepared.model
    names = ("model.onnx", "model.safetensors", "trials.jsonl")
    files = [folder / name for name in names if (folder / name).exists()]
    return FitRecord.model_validate(
        {
            "model": before.model if before else model_part(model),
            "method": {**methods.describe(settings.method), "requested": settings.method},
            "profile": prepared.conditions[0].profile.name,
            "levers": training.levers,
            "before": before,
            "after": after,
            "reported_on": ("test" if settings.test else "validation") if before else None,
            "artifacts": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
            "training": training.replaced(**_learned_from(prepared), history=list(read_lines(folder / "train.jsonl"))),
            "preprocess": asdict(model.preprocess) if model.preprocess else None,
            "settings": settings.model_dump(mode="json", exclude_none=True, exclude={"out"}),
            "command": command_line("fit", settings),
            "check_command": _check_command(prepared) if after else None,
            "environment": environment(prepared.threads),
            **analyses,
        }
    )


def _learned_from(prepared: Prepared) -> dict[str, object]:
    """The data of training and selection, by digest."""
    parts = {"data": prepared.training, "validation_data": prepared.validation}
    sources = {name: data for name, data in parts.items() if data is not None}
    records: dict[str, object] = {name: data_part(data) for name, data in sources.items()}
    if prepared.settings.test and prepared.test is not None:
        records["shared_with_test"] = shared_examples(prepared.test, *sources.values())
    return records


def _check_command(prepared: Prepared) -> str | None:
    """What measures the hardened file again; None where the data were split off inside the run."""
    settings = prepared.settings
    if not settings.test:
        return None
    # The hardened file knows its preprocessing, and needs no checkpoint.
    left_out = {"model", "data", "out", "weights", "pretrained", "mean", "std", "input_size", "digital", "engine"}
    shared = (settings.model_fields_set & set(EvalSettings.model_fields)) - left_out
    values = {name: getattr(settings, name) for name in shared}
    if prepared.digital:
        values["digital"] = prepared.digital
    return command_line("eval", EvalSettings(model="RUN/model.onnx", data=settings.test, **values))
