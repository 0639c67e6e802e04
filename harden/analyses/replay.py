"""Keep the worst chips, and run one again: a regression test for a model.

A chip is a seed and a number, so a file of a few lines is enough to draw it again; the ONNX file of that very chip can
be written beside it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harden.errors import DataError, InputError, ModelError, ProfileError
from harden.evaluation.bench import bench_of, recount_bench, score
from harden.evaluation.plan import Condition
from harden.evaluation.trials import draw_chip
from harden.evaluation.where import Where
from harden.noise.profile import Profile
from harden.parsing import parse_json, read_text
from harden.records import ChipRecord, EvalRecord, ReplayRecord
from harden.runtime.rewrite import split_uses
from harden.store import write_atomic

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model

_KEYS = (
    "model_sha256",
    "data_sha256",
    "examples",
    "profile",
    "digest",
    "parameters",
    "at_s",
    "seed",
    "chip",
    "accuracy",
)


def worst_chips(evaluation: EvalRecord, *, count: int = 3, digital: tuple[str, ...] = ()) -> list[ChipRecord]:
    """The records of the worst chips under each condition, worst first.

    Args:
        evaluation: A finished evaluation.
        count: How many for each condition.
        digital: The globs the evaluation was made with.
    """
    model, data = evaluation.model, evaluation.data
    if model is None or data is None or data.examples is None or evaluation.seed is None:
        return []
    records = []
    for condition in evaluation.conditions:
        accuracies = np.array(condition.accuracies or ())
        for chip in np.argsort(accuracies, kind="stable")[:count]:
            record = ChipRecord(
                model_sha256=model.sha256,
                data_sha256=data.sha256,
                examples=data.examples,
                profile=condition.name,
                digest=condition.digest,
                parameters=condition.parameters,
                at_s=condition.at_s or 0.0,
                seed=evaluation.seed,
                chip=int(chip),
                accuracy=float(accuracies[chip]),
                digital=digital,
                crossbars=model.crossbars,
            )
            records.append(record.replaced(copies=condition.copies) if condition.copies else record)
    return records


def save_chip(record: ChipRecord, path: Path) -> Path:
    """Write one record."""
    return write_atomic(path, json.dumps(record.document, indent=1) + "\n")


def read_chip(path: Path) -> ChipRecord:
    """Read one record.

    Raises:
        InputError: The file is absent, no JSON, or no chip.
    """
    fix = "Give a chip.json that harden eval wrote"
    record = parse_json(read_text(path), str(path), "cannot be read as a chip", fix)
    missing = [k for k in _KEYS if not isinstance(record, dict) or k not in record]
    if missing or record.get("schema") != ChipRecord.SCHEMA:
        what = f"is not a recorded chip (missing: {', '.join(missing) or 'its schema'})"
        raise InputError(what, where=str(path), fix=fix)
    return ChipRecord.read(record, str(path))


def replay(
    record: ChipRecord,
    model: Model,
    data: Dataset,
    profile: Profile | None = None,
    where: Where | None = None,
) -> ReplayRecord:
    """Draw a recorded chip again and score it.

    Args:
        record: From `read_chip`.
        model: The model; another one than the record's is allowed, and said: that is how a regression is tested.
        data: The examples of the record.
        profile: The record's noise; None loads it by name.
        where: The device, threads and batch size; None takes all cores of this processor. Which weights are digital,
            the record says.

    Raises:
        DataError: Other examples than the record's.
        ProfileError: The profile is not the record's.
    """
    if (data.sha256, len(data)) != (record.data_sha256, record.examples):
        raise DataError(
            f"these are other examples than the chip's ({record.examples} examples, {record.data_sha256[:12]})",
            where=str(data.source),
            fix="Use the same data and --limit",
        )
    condition = _condition(record, profile)
    where = replace(where or Where(), digital=record.digital)
    with bench_of(_wired(model, record), data, where) as bench:
        recount_bench(bench, model, data)
        chip = draw_chip(condition, bench.weights, seed=record.seed, index=record.chip)
        path = ("chip", record.chip)
        scores = score(bench, chip, condition.profile, threads=where.cores, seed=record.seed, path=path)
        accuracy = bench.headline(scores)
    return ReplayRecord(
        accuracy=accuracy,
        recorded=record.accuracy,
        same_model=model.sha256 == record.model_sha256,
        equal=accuracy == record.accuracy,
    )


def chip_onnx(record: ChipRecord, model: Model, profile: Profile | None = None) -> bytes:
    """The ONNX file of a recorded chip: the model with that chip's weights, each use with a tensor of its own.

    Raises:
        ModelError: Another model than the record's.
        ProfileError: The profile is not the record's.
    """
    if model.sha256 != record.model_sha256:
        raise ModelError("this is not the model of the chip", where=str(model.source), fix="Use the evaluated file")
    condition = _condition(record, profile)
    model = _wired(model, record)
    weights = model.analog_weights(record.digital)
    chip = draw_chip(condition, weights, seed=record.seed, index=record.chip)
    uses = {key: replace(use, tensor=chip[key]) for key, use in weights.items()}
    return split_uses(model.proto, uses).proto.SerializeToString()


def _wired(model: Model, record: ChipRecord) -> Model:
    """The model with the crossbars of the record."""
    return model.with_crossbars("tensor" if record.crossbars == "tensor" else "use")


def _condition(record: ChipRecord, profile: Profile | None) -> Condition:
    copies = tuple(record.copies.items())
    return Condition(_profile(record, profile), record.at_s, copies=copies)


def _profile(record: ChipRecord, profile: Profile | None) -> Profile:
    if profile is None:
        knobs: dict[str, Any] = dict(record.parameters)
        severity = knobs.pop("severity", 1.0)
        device = knobs.pop("draw", None)
        profile = Profile.load(record.profile, **knobs).scaled(severity).on_device(device)
    if profile.digest != record.digest:
        raise ProfileError(
            f"profile '{profile.name}' is not the one the chip was drawn with",
            fix=f"Give the profile with digest {record.digest[:12]} by --profile",
        )
    return profile
