"""The step between two evaluations: train, transform or choose; verify; write the hardened file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from harden import __version__, methods
from harden.errors import SettingsError
from harden.graph.file import Model
from harden.pipeline.budget import steps_within
from harden.pipeline.clamping import with_clamps
from harden.pipeline.prepare import Prepared
from harden.pipeline.tracking import tracked
from harden.pipeline.verification import save_verified
from harden.progress import Notify, stage
from harden.settings import WHERE, FitSettings
from harden.store import append_line, read_record, write_atomic
from harden.streams import numpy_generator
from harden.training.auto import auto, choose_scale, final_plan
from harden.training.batches import as_tensors
from harden.training.plan import BATCH_SIZE, Trained, TrainingPlan
from harden.training.second_try import second_try

_RECORD = "training.json"
_AFTER_TRAINING = "batch norms under noise"
_CHECKED_EXAMPLES = 16
_SECOND_IN_BUDGET = 0.05  # steps of a second training, as a share of the first one's, which used the time there was
_TRANSFORM_EXAMPLES = 4096
_TRANSFORM_BATCH = 128


def harden_model(prepared: Prepared, folder: Path, notify: Notify) -> tuple[Model, dict[str, Any]]:
    """Harden the model and write it, or load what an earlier process of this run left.

    Args:
        prepared: What to work on.
        folder: The run folder; gets ``model.onnx``, ``model.safetensors``, ``train.jsonl``.
        notify: Called with stage, done and total.

    Returns:
        The hardened model, and the record of how it came about.

    Raises:
        DivergedError: Training diverged twice.
        VerificationError: The file does not compute what was trained; it is kept as ``model.rejected.onnx``.
    """
    record = folder / _RECORD
    known = read_record(record)
    if known is not None and (folder / "model.onnx").exists():
        hardened = Model.load(folder / "model.onnx")
        if hardened.sha256 == known["sha256"]:
            return hardened, known
        # The file is not what was written; it is made again from the last checkpoint.
    hardened, weights, made = _STEPS[prepared.kind](prepared, folder, notify)
    percentile = prepared.settings.clamp_activations
    hardened, clamps = with_clamps(hardened, percentile, _batches(prepared) if percentile else [])
    made["levers"] |= clamps
    hardened = hardened.with_metadata(_metadata(prepared))
    write_atomic(folder / "model.safetensors", save(weights))
    with stage(notify, "verifying the file"):
        made["check"] = save_verified(hardened, prepared.examples(_CHECKED_EXAMPLES), folder, digital=prepared.digital)
    made["sha256"] = hardened.sha256
    write_atomic(record, json.dumps(made, indent=1) + "\n")
    return hardened, made


def _trained(prepared: Prepared, folder: Path, notify: Notify) -> tuple[Model, dict[str, Any], dict[str, Any]]:
    if prepared.training is None or prepared.validation is None:
        raise SettingsError(f"method {prepared.method} needs --data")
    log = folder / "train.jsonl"
    plan = training_plan(prepared)
    budget = prepared.settings.budget
    if budget is not None:
        record = folder / "budget.json"
        # A recipe counts its budget in steps of plain training.
        pilot = replace(plan, method="noise", options={}) if prepared.kind == "recipe" else plan
        steps = steps_within(
            budget, pilot, prepared.model, prepared.training, prepared.validation, record, prepared.trainer
        )
        plan = replace(plan, steps=steps)
    scales = prepared.settings.train_sigma_scale
    search = partial(choose_scale, scales=scales) if len(scales) > 1 else auto
    searches = len(scales) > 1 or prepared.kind == "recipe"
    run = partial(search, trainer=prepared.trainer, engine=prepared.engine) if searches else prepared.trainer
    with tracked(prepared.settings, folder) as track:

        def keep(record: dict[str, Any]) -> None:
            append_line(log, record)
            track(record)

        def tell(done: int, total: int, _: float | None) -> None:
            notify("training", done, total)
            if done >= total:
                notify(_AFTER_TRAINING, 0, 1)

        trained = run(
            prepared.model,
            prepared.training,
            prepared.validation,
            plan,
            on_step=keep,
            on_progress=tell,
            checkpoint=folder / "checkpoint.safetensors",
        )
        notify(_AFTER_TRAINING, 1, 1)
        if prepared.settings.second_try == "on":
            trained = second_try(
                trained,
                prepared.model,
                prepared.training,
                prepared.validation,
                final_plan(plan, trained.levers),
                trainer=prepared.trainer,
                share=1.0 if budget is None else _SECOND_IN_BUDGET,
                on_progress=lambda done, total, _: notify("a second training, in small steps", done, total),
                checkpoint=folder / "checkpoint.safetensors",
            )
    return trained.model, _tensors(trained.weights), _told(trained, prepared, log)


def _told(trained: Trained, prepared: Prepared, log: Path) -> dict[str, Any]:
    # A resumed or rolled-back run logged some steps twice; what counts is the history of the weights.
    write_atomic(log, "".join(json.dumps(record) + "\n" for record in trained.history))
    return {
        "steps": len(trained.history),
        "selected_step": trained.selected_step,
        "seconds": trained.seconds,
        "validation": trained.validation,
        **_memory(trained.levers.get("memory")),
        "examples": len(prepared.training or ()),
        "validation_examples": len(prepared.validation or ()),
        "levers": trained.levers,
    }


def _memory(divisions: Any) -> dict[str, str]:
    """What the report says where memory did not suffice for a batch in one."""
    if not divisions:
        return {}
    last = divisions[-1]
    said = f"a batch of {last['batch_size']} was processed in {last['parts']} parts, from step {last['step']} on"
    return {"memory": f"ran short: {said}"}


def _transformed(prepared: Prepared, folder: Path, notify: Notify) -> tuple[Model, dict[str, Any], dict[str, Any]]:
    method = methods.load(prepared.settings.method, prepared.settings.options)
    with stage(notify, "transforming"):
        threads = torch.get_num_threads()
        torch.set_num_threads(prepared.threads)
        try:
            done = method.apply(
                prepared.model,
                _batches(prepared),
                prepared.noise[0].profile,
                at_s=prepared.noise[0].at_s,
                digital=prepared.digital,
                seed=prepared.settings.seed,
                allow_new_nodes=prepared.settings.allow_new_nodes,
            )
        finally:
            torch.set_num_threads(threads)
    weights = done.model.module().export_weights()
    return done.model, _tensors(weights), {"levers": {prepared.method: dict(done.record)}}


def _batches(prepared: Prepared) -> list[tuple[torch.Tensor, ...]]:
    """Unlabelled inputs for a transform: real ones where there is data, else random ones."""
    if prepared.training is None:
        return [tuple(torch.from_numpy(value) for value in prepared.examples(_CHECKED_EXAMPLES))]
    # In an order of their own: data is often sorted by class, and a batch of one class has no statistics to go by.
    order = numpy_generator(prepared.settings.seed, "transform").permutation(len(prepared.training))
    chosen = order[:_TRANSFORM_EXAMPLES]
    starts = range(0, len(chosen), _TRANSFORM_BATCH)
    return [as_tensors(prepared.training.feed(np.sort(chosen[at : at + _TRANSFORM_BATCH]))) for at in starts]


def training_plan(prepared: Prepared) -> TrainingPlan:
    """The plan of a training run: the settings of the same names, and what was resolved."""
    settings = prepared.settings
    same = {field.name for field in fields(TrainingPlan)} & set(FitSettings.model_fields)
    resolved = {
        "method": prepared.method,
        "profiles": tuple((condition.profile, condition.at_s) for condition in prepared.noise),
        "batch_size": settings.batch_size or BATCH_SIZE,
        "clip": None if settings.clip == "none" else settings.clip,
        "digital": prepared.digital,
        "threads": prepared.threads,
        "device": prepared.device,
        "train_sigma_scale": settings.train_sigma_scale[0],
    }
    return TrainingPlan(**{name: getattr(settings, name) for name in same} | resolved)


def _metadata(prepared: Prepared) -> dict[str, str]:
    """What the file says of itself; no times, no paths, so that equal runs give equal files."""
    settings = prepared.settings.model_dump(mode="json", exclude={*WHERE, "model", "data", "val", "test", "weights"})
    digest = hashlib.sha256(json.dumps([settings, prepared.resolved()], sort_keys=True).encode()).hexdigest()
    return {
        "harden.version": __version__,
        "harden.method": prepared.method,
        "harden.settings_sha256": digest,
        "harden.profiles": json.dumps({c.profile.name: c.profile.digest for c in prepared.conditions}),
    }


def _tensors(weights: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in weights.items()}


_STEPS = {"objective": _trained, "recipe": _trained, "transform": _transformed}
