"""The step between two evaluations: train, transform or choose; verify; write the hardened file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save

from harden import __version__
from harden.errors import SettingsError, VerificationError
from harden.graph.file import Model
from harden.methods.base import Transform
from harden.pipeline.budget import steps_within
from harden.pipeline.prepare import Prepared
from harden.pipeline.tracking import tracked
from harden.progress import Notify, stage
from harden.records import TrainingRecord
from harden.records.training import FileCheck
from harden.runtime.canary import canary
from harden.runtime.parity import parity
from harden.runtime.threads import torch_threads
from harden.settings import WHERE, TrainingOptions
from harden.statistics.requirements import METRIC
from harden.store import append_line, read_record, write_atomic
from harden.streams import numpy_generator
from harden.training.auto import auto, choose_scale
from harden.training.batches import as_tensors
from harden.training.listener import Listener
from harden.training.plan import TrainingPlan
from harden.training.second_try import second_try
from harden.training.trained import Trained
from harden.transforms.clamp import clamp_activations

_RECORD = "training.json"
_AFTER_TRAINING = "batch norms under noise"
_CHECKED_EXAMPLES = 16
_SECOND_IN_BUDGET = 0.05  # steps of a second training, as a share of the first one's, which used the time there was
_TRANSFORM_EXAMPLES = 4096
_TRANSFORM_BATCH = 128
_CLAMP_BATCHES = 4

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Hardened:
    """A hardened model, and how it came about.

    Attributes:
        model: As it is in the run folder.
        training: The record of its training, for the run's document.
        plan: How it trained in the end; None where nothing was trained.
    """

    model: Model
    training: TrainingRecord
    plan: TrainingPlan | None = None


def harden_model(prepared: Prepared, folder: Path, notify: Notify) -> Hardened:
    """Harden the model and write it, or load what an earlier process of this run left.

    Args:
        prepared: What to work on.
        folder: The run folder; gets ``model.onnx``, ``model.safetensors``, ``train.jsonl``.
        notify: Called with stage, done and total.

    Raises:
        DivergedError: Training diverged twice.
        VerificationError: The file does not compute what was trained; it is kept as ``model.rejected.onnx``.
    """
    done = _kept(prepared, folder)
    if done is not None:
        return done
    made, weights = _STEPS[prepared.kind](prepared, folder, notify)
    hardened, levers, percentile = made.model, dict(made.training.levers), prepared.settings.clamp_activations
    if percentile is not None:
        hardened, clamps = clamp_activations(hardened, _batches(prepared)[:_CLAMP_BATCHES], percentile)
        levers["clamp_activations"] = clamps
    hardened = hardened.with_metadata(_metadata(prepared))
    write_atomic(folder / "model.safetensors", save(weights))
    examples = prepared.examples(_CHECKED_EXAMPLES)
    with stage(notify, "verifying the file"):
        check = save_verified(hardened, examples, folder, digital=prepared.digital)
    training = made.training.replaced(levers=levers, check=check, sha256=hardened.sha256)
    changes = {} if made.plan is None else _changes(training_plan(prepared), made.plan)
    write_atomic(folder / _RECORD, json.dumps({"plan": changes, **training.to_json()}, indent=1) + "\n")
    return Hardened(hardened, training, made.plan)


def _kept(prepared: Prepared, folder: Path) -> Hardened | None:
    """What an earlier process of this run left, if it is whole; else it is made again from the last checkpoint."""
    earlier, file = read_record(folder / _RECORD), folder / "model.onnx"
    if earlier is None or "plan" not in earlier or not file.exists():
        return None
    hardened = Model.load(file).with_crossbars(prepared.model.crossbars)
    changes = earlier.pop("plan")
    training = TrainingRecord.read(earlier, str(folder / _RECORD))
    if hardened.sha256 != training.sha256:
        return None
    plan = None if prepared.kind == "transform" else training_plan(prepared).replace(**changes)
    return Hardened(hardened, training, plan)


def _changes(plan: TrainingPlan, final: TrainingPlan) -> dict[str, object]:
    """The fields in which a plan came to differ from the one that the settings say."""
    pairs = {name: (getattr(plan, name), getattr(final, name)) for name in TrainingPlan.model_fields}
    return {name: value for name, (before, value) in pairs.items() if value != before}


def _trained(prepared: Prepared, folder: Path, notify: Notify) -> tuple[Hardened, Tensors]:
    problem = prepared.problem
    if problem is None:
        raise SettingsError(f"method {prepared.method} needs --data")
    log = folder / "train.jsonl"
    plan = training_plan(prepared)
    budget = prepared.settings.budget
    if budget is not None:
        record = folder / "budget.json"
        # A recipe counts its budget in steps of plain training.
        pilot = plan.replace(method="noise", options={}) if prepared.kind == "recipe" else plan
        plan = plan.replace(steps=steps_within(budget, pilot, problem, record, prepared.trainer))
    scales = prepared.settings.train_sigma_scale
    search = partial(choose_scale, scales=scales) if len(scales) > 1 else auto
    searches = len(scales) > 1 or prepared.kind == "recipe"
    run = partial(search, trainer=prepared.trainer, engine=prepared.engine) if searches else prepared.trainer
    with tracked(prepared.settings, folder) as track:

        def keep(record: Mapping[str, float]) -> None:
            append_line(log, record)
            track(record)

        def tell(done: int, total: int, _: float | None) -> None:
            notify("training", done, total)
            if done >= total:
                notify(_AFTER_TRAINING, 0, 1)

        checkpoint = folder / "checkpoint.safetensors"
        trained = run(problem, plan, Listener(keep, tell), checkpoint)
        notify(_AFTER_TRAINING, 1, 1)
        if prepared.settings.second_try == "on":
            trained = second_try(
                trained,
                problem,
                prepared.trainer,
                Listener(on_progress=lambda done, total, _: notify("a second training, in small steps", done, total)),
                checkpoint,
                share=1.0 if budget is None else _SECOND_IN_BUDGET,
            )
    return Hardened(trained.model, _record(trained, prepared, log), trained.plan), _tensors(trained.weights)


def _record(trained: Trained, prepared: Prepared, log: Path) -> TrainingRecord:
    # A resumed or rolled-back run logged some steps twice; what counts is the history of the weights.
    write_atomic(log, "".join(json.dumps(record) + "\n" for record in trained.history))
    return TrainingRecord.read(
        {
            "steps": len(trained.history),
            "selected_step": trained.selected_step,
            "seconds": trained.seconds,
            "validation": [selection.document() for selection in trained.validation],
            **_memory(trained.levers.get("memory")),
            "examples": len(prepared.training or ()),
            "validation_examples": len(prepared.validation or ()),
            "levers": trained.levers,
        }
    )


def _memory(divisions: Any) -> dict[str, str]:
    """What the report says where memory did not suffice for a batch in one."""
    if not divisions:
        return {}
    last = divisions[-1]
    what = f"a batch of {last['batch_size']} was processed in {last['parts']} parts, from step {last['step']} on"
    return {"memory": f"ran short: {what}"}


def _transformed(prepared: Prepared, folder: Path, notify: Notify) -> tuple[Hardened, Tensors]:
    method = cast("Transform", prepared.checked.method)
    with stage(notify, "transforming"), torch_threads(prepared.threads):
        done = method.apply(
            prepared.model,
            _batches(prepared),
            prepared.noise[0].profile,
            at_s=prepared.noise[0].at_s,
            digital=prepared.digital,
            seed=prepared.settings.seed,
            allow_new_nodes=prepared.settings.allow_new_nodes,
        )
    weights = done.model.module().export_weights()
    record = TrainingRecord.read({"levers": {prepared.method: dict(done.record)}})
    return Hardened(done.model, record), _tensors(weights)


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
    """The plan of a training run: the settings' training options, and what was resolved."""
    settings = prepared.settings
    options = {name: getattr(settings, name) for name in TrainingOptions.model_fields}
    if settings.select == METRIC and not settings.metric:
        raise SettingsError("--select metric selects by the first --metric, and there is none", fix="Give --metric")
    resolved = {
        "select": settings.metric[0] if settings.select == METRIC else settings.select,
        "method": prepared.method,
        "conditions": prepared.noise,
        "digital": prepared.digital,
        "threads": prepared.threads,
        "device": prepared.device,
        "train_sigma_scale": settings.train_sigma_scale[:1],  # of several, a search chooses
    }
    return TrainingPlan(**options | resolved)


def save_verified(
    model: Model, inputs: tuple[np.ndarray, ...], folder: Path, *, digital: tuple[str, ...] = ()
) -> FileCheck:
    """Check a hardened model on real inputs and under noise in ONNX Runtime, then write it.

    Args:
        model: The hardened model.
        inputs: Real examples where there are any, one array per input.
        folder: Gets ``model.onnx``, or ``model.rejected.onnx`` when a check fails.
        digital: Globs of tensors that are kept off the crossbars.

    Raises:
        VerificationError: torch and ONNX Runtime disagree, or noise does not reach a tensor.
    """
    try:
        agreement = parity(model, inputs)
        if not agreement.passed:
            raise VerificationError(
                f"torch and ONNX Runtime disagree by {agreement.max_abs_error:.2e} on real inputs", where=model.source
            )
        checked = canary(model, inputs, digital=digital)
    except VerificationError as error:
        rejected = write_atomic(folder / "model.rejected.onnx", model.serialize())
        raise type(error)(error.what, where=error.where, fix=f"The file is kept as {rejected}") from error
    model.save(folder / "model.onnx")
    return FileCheck(
        examples=len(inputs[0]),
        max_abs_error=agreement.max_abs_error,
        max_rel_error=agreement.max_rel_error,
        inert=tuple(checked.inert),
    )


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


def _tensors(weights: Mapping[str, torch.Tensor]) -> Tensors:
    return {name: tensor.detach().contiguous() for name, tensor in weights.items()}


_STEPS = {"objective": _trained, "recipe": _trained, "transform": _transformed}
