"""``harden fit``: open, measure, train, verify, measure again, report."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save

from harden import __version__, methods
from harden.data.dataset import Dataset
from harden.evaluation.evaluate import evaluate
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.pipeline.budget import steps_within
from harden.pipeline.environment import environment
from harden.pipeline.inputs import (
    check_fits,
    open_conditions,
    open_model,
    open_preprocess,
    open_training_data,
    thread_count,
)
from harden.pipeline.missing import require
from harden.pipeline.progress import Notify, silent
from harden.pipeline.reporting import read_record, write_report
from harden.pipeline.severity import severity_curve
from harden.pipeline.verification import save_verified
from harden.settings import FitSettings, to_toml
from harden.store import RunFolder, append_line, read_lines, write_atomic
from harden.training.loop import train
from harden.training.plan import TrainingPlan


@dataclass(frozen=True)
class _Prepared:
    """Everything a run works on, opened and checked before the first step."""

    settings: FitSettings
    method: str
    model: Model
    conditions: tuple[Condition, ...]
    noise: tuple[Condition, ...]  # what it is trained with
    training: Dataset
    validation: Dataset
    test: Dataset
    threads: int

    def resolved(self) -> dict[str, Any]:
        """What decides the numbers beside the settings."""
        return {
            "method": self.method,
            "model_sha256": self.model.sha256,
            "data_sha256": self.training.sha256,
            "test_sha256": self.test.sha256,
            "threads": self.threads,
            "version": __version__,
        }


def fit(settings: FitSettings, notify: Notify = silent) -> dict[str, Any]:
    """Run ``harden fit``.

    Args:
        settings: What to harden, and how.
        notify: Called with stage, done and total.

    Returns:
        A ``harden.fit/1`` document; also written to the run folder with ``model.onnx`` and ``report.html``. A finished
        run of the same settings is returned as it is.

    Raises:
        HardenError: See harden.errors for which and the exit codes.
    """
    require(settings, "profile", "data")
    prepared = _prepare(settings)
    with RunFolder(run_folder(settings), to_toml(settings, prepared.resolved())) as folder:
        finished = read_record(folder.path)
        if finished is not None:
            return finished
        before = _measure(prepared, prepared.model, folder / "trials.before.jsonl", notify, "before")
        hardened, training = _train(prepared, folder.path, notify)
        after = _measure(prepared, hardened, folder / "trials.jsonl", notify, "after")
        after["model"]["path"] = "model.onnx"  # in this folder, wherever it lies
        severity = severity_curve(
            prepared.model,
            hardened,
            prepared.conditions[0],
            prepared.test,
            folder=folder.path,
            chips=settings.chips,
            seed=settings.seed,
            threads=prepared.threads,
            digital=settings.digital,
            notify=notify,
        )
        document = _document(prepared, folder.path, before, after, severity, training)
        write_report(folder.path, document)
    return document


def run_folder(settings: FitSettings) -> Path:
    """``--out``, or ``runs/MODEL-METHOD-PROFILE``."""
    if settings.out:
        return Path(settings.out)
    model = Path(settings.model.replace("timm:", "")).stem
    profile = settings.profile[0].split(":")[0]
    return Path("runs") / f"{model}-{settings.method}-{Path(profile).stem}"


def _prepare(settings: FitSettings) -> _Prepared:
    methods.load(settings.method, settings.options)
    conditions = open_conditions(settings.profile, settings.at)
    noise = open_conditions(settings.train_profile, ()) or conditions
    model = open_model(settings.model, weights=settings.weights, pretrained=settings.pretrained)
    preprocess = open_preprocess(model, settings)
    training, validation, test = open_training_data(settings, preprocess)
    check_fits(model, training, test or validation)
    return _Prepared(
        settings=settings,
        method=methods.resolve(settings.method),
        model=model.with_metadata({"harden.preprocess": preprocess.to_json()}),
        conditions=conditions,
        noise=noise,
        training=training,
        validation=validation,
        test=test or validation,
        threads=thread_count(settings),
    )


def _measure(prepared: _Prepared, model: Model, trials: Path, notify: Notify, stage: str) -> dict[str, Any]:
    settings = prepared.settings
    return evaluate(
        model,
        prepared.conditions,
        prepared.test,
        chips=settings.chips,
        seed=settings.seed,
        threshold=settings.threshold,
        requirements=settings.require,
        threads=prepared.threads,
        digital=settings.digital,
        trials=trials,
        progress=lambda done, total: notify(f"chips {stage}", done, total),
    ).document


def _train(prepared: _Prepared, folder: Path, notify: Notify) -> tuple[Model, dict[str, Any]]:
    """Train and save the verified model, or load what an earlier process of this run left."""
    record = folder / "training.json"
    if record.exists() and (folder / "model.onnx").exists():
        return Model.load(folder / "model.onnx"), json.loads(record.read_text(encoding="utf-8"))
    log = folder / "train.jsonl"
    plan = _plan(prepared)
    budget = prepared.settings.budget
    if budget is not None:
        steps = steps_within(
            budget, plan, prepared.model, prepared.training, prepared.validation, folder / "budget.json"
        )
        plan = replace(plan, steps=steps)
    trained = train(
        prepared.model,
        prepared.training,
        prepared.validation,
        plan,
        on_step=lambda record: append_line(log, record),
        on_progress=lambda done, total, _: notify("training", done, total),
        checkpoint=folder / "checkpoint.safetensors",
    )
    # A resumed or rolled-back run logged some steps twice; what counts is the history of the weights.
    write_atomic(log, "".join(json.dumps(record) + "\n" for record in trained.history))
    hardened = trained.model.with_metadata(_metadata(prepared))
    weights = {name: tensor.detach().contiguous() for name, tensor in trained.weights.items()}
    write_atomic(folder / "model.safetensors", save(weights))
    check = save_verified(hardened, prepared.test, folder, digital=prepared.settings.digital)
    training = {
        "selected_step": trained.selected_step,
        "seconds": trained.seconds,
        "validation": trained.validation,
        "examples": len(prepared.training),
        "validation_examples": len(prepared.validation),
        "levers": trained.levers,
        "check": check,
    }
    write_atomic(record, json.dumps(training, indent=1) + "\n")
    return hardened, training


def _plan(prepared: _Prepared) -> TrainingPlan:
    settings = prepared.settings
    return TrainingPlan(
        method=settings.method,
        options=settings.options,
        profiles=tuple((condition.profile, condition.at_s) for condition in prepared.noise),
        epochs=settings.epochs,
        batch_size=settings.batch_size or 128,
        optimizer=settings.optimizer,
        lr=settings.lr,
        clip=None if settings.clip == "none" else settings.clip,
        batch_norm_reestimation=settings.batch_norm_reestimation,
        augment=settings.augment,
        teacher=settings.teacher,
        objective=settings.objective,
        train_sigma_scale=settings.train_sigma_scale,
        digital=settings.digital,
        seed=settings.seed,
        threads=prepared.threads,
    )


def _metadata(prepared: _Prepared) -> dict[str, str]:
    """What the file says of itself; no times, no paths, so that equal runs give equal files."""
    settings = prepared.settings.model_dump(mode="json", exclude={"out", "model", "data", "val", "test", "weights"})
    digest = hashlib.sha256(json.dumps([settings, prepared.resolved()], sort_keys=True).encode()).hexdigest()
    return {
        "harden.version": __version__,
        "harden.method": prepared.method,
        "harden.settings_sha256": digest,
        "harden.profiles": json.dumps({c.profile.name: c.profile.digest for c in prepared.conditions}),
    }


def _document(
    prepared: _Prepared,
    folder: Path,
    before: dict[str, Any],
    after: dict[str, Any],
    severity: dict[str, Any],
    training: dict[str, Any],
) -> dict[str, Any]:
    settings = prepared.settings
    names = ("model.onnx", "model.safetensors", "trials.jsonl")
    steps = list(read_lines(folder / "train.jsonl"))
    return {
        "schema": "harden.fit/1",
        "model": before["model"],
        "method": {**methods.describe(settings.method), "requested": settings.method},
        "profile": before["profiles"][0]["name"],
        "levers": training["levers"],
        "before": before,
        "after": after,
        "severity": severity,
        "reported_on": "test" if settings.test else "validation",
        "artifacts": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
        "training": {**training, "history": steps},
        "settings": settings.model_dump(mode="json", exclude_none=True, exclude={"out"}),
        "command": _command(settings),
        "environment": environment(prepared.threads),
    }


def _command(settings: FitSettings) -> str:
    """The command line that repeats this run, without its folder."""
    words = ["harden", "fit", settings.model]
    for name in sorted(settings.model_fields_set - {"model", "out"}):
        value = getattr(settings, name)
        flag = "--" + name.replace("_", "-")
        if name == "options":
            words += [part for key, one in value.items() for part in ("-o", f"{key}={one}")]
        elif isinstance(value, bool):
            words += [flag] if value else []
        elif isinstance(value, tuple) and all(isinstance(one, str) for one in value):
            words += [part for one in value for part in (flag, one)]
        elif isinstance(value, tuple):
            words += [flag, ",".join(f"{one:g}" for one in value)]
        elif value is not None:
            words += [flag, str(value)]
    return shlex.join(words)
