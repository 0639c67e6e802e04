"""From settings to the things a run works on: model, data, noise conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from harden import distributed, streams
from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess, resolve_preprocess
from harden.errors import DataError, HardenError, SettingsError
from harden.evaluation.input_feed import Feed
from harden.evaluation.layout import available_cores
from harden.evaluation.outputs import kind_of_output
from harden.evaluation.plan import Condition
from harden.graph.analog import is_digital
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.progress import Notify, silent, stage
from harden.runtime.sessions import Session, choose_device
from harden.settings import FitSettings, Settings

_VALIDATION_SHARE = 0.1
_VALIDATION_MOST = 5000

T = TypeVar("T")


def open_model(
    source: str,
    *,
    weights: str | None = None,
    pretrained: bool = False,
    allow_random: bool = False,
    input_size: tuple[int, int] | None = None,
) -> Model:
    """Open an ONNX file, or export ``timm:NAME`` to ONNX.

    Args:
        source: A path, or ``timm:NAME``.
        weights: A safetensors checkpoint for ``timm:NAME``.
        pretrained: Let timm download the weights.
        allow_random: Accept ``timm:NAME`` with random weights.
        input_size: Height and width of the images of ``timm:NAME``; its own by default. An ONNX file has its size.

    Raises:
        ModelError: The file is missing, malformed or unsupported.
        SettingsError: ``weights`` or ``pretrained`` given for an ONNX file.
    """
    if source.startswith("timm:"):
        from harden.graph.zoo import from_timm  # timm takes seconds to import, and most models are files

        path = Path(weights) if weights else None
        return from_timm(
            source.removeprefix("timm:"),
            weights=path,
            pretrained=pretrained,
            allow_random=allow_random,
            input_size=input_size,
        )
    if weights or pretrained:
        flag = "--weights" if weights else "--pretrained"
        raise SettingsError(f"{flag} is for timm:NAME; {source} has its weights inside", fix=f"Leave {flag} out")
    return Model.load(source)


def model_of(settings: Settings, source: str | None = None, notify: Notify = silent) -> Model:
    """The model that a command's settings name, or another of its ``source``s under the same flags."""
    source = source or settings.model
    with stage(notify, f"opening {Path(source).name}"):
        return open_model(
            source, weights=settings.weights, pretrained=settings.pretrained, input_size=settings.input_size
        )


def open_preprocess(model: Model, settings: Settings) -> Preprocess:
    """How examples become inputs of ``model``: the flags, or what the model's file says."""
    return resolve_preprocess(model.preprocess, mean=settings.mean, std=settings.std, input_size=settings.input_size)


def drawn_on(settings: Settings) -> str | None:
    """The kind of device whose own family of streams chips are drawn from; None is the usual family.

    Raises:
        SettingsError: The device is not there.
    """
    return choose_device(settings.device) if settings.draw == "device" else None


def trained_on(device: str) -> Literal["cpu", "cuda"]:
    """The kind of device that a network is trained on: what ``--device`` says; ``auto`` is a GPU where torch has one.

    Raises:
        SettingsError: A GPU is wanted, and torch has none.
    """
    import torch

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise SettingsError(
            "torch finds no GPU here", where="--device cuda", fix="Install torch for CUDA, or leave --device out"
        )
    return "cuda" if there and device != "cpu" else "cpu"


def open_conditions(
    profiles: Sequence[str], times_s: Sequence[float], device: str | None = None
) -> tuple[Condition, ...]:
    """Every profile at every time, in the order asked for; all problems at once.

    Args:
        profiles: ``NAME[:key=value,...]``.
        times_s: Seconds since programming; none means each profile's first valid time.
        device: From :func:`drawn_on`.

    Raises:
        HardenError: A profile is unknown or malformed, or not valid at a time.
    """
    found: list[Condition] = []
    failures: list[HardenError] = []
    for text in profiles:
        profile = _collect(lambda text=text: Profile.parse(text).on_device(device), failures)
        if profile is None:
            continue
        for at_s in times_s or (profile.default_at_s,):
            time = _collect(lambda profile=profile, at_s=at_s: profile.check_time(at_s), failures)
            if time is not None:
                found.append(Condition(profile, time))
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise SettingsError(f"{len(failures)} profiles are wrong", problems=[str(failure) for failure in failures])
    return tuple(found)


def _collect(call: Callable[[], T], failures: list[HardenError]) -> T | None:
    try:
        return call()
    except HardenError as error:
        failures.append(error)
        return None


def open_data(source: str, model: Model, settings: Settings, notify: Notify = silent) -> Dataset:
    """Examples to evaluate a model on; with ``--objective match`` labels are left out, and outputs are compared."""
    preprocess, labelled = open_preprocess(model, settings), settings.objective == "labels"
    return Dataset.open(
        source,
        preprocess,
        limit=settings.limit,
        labelled=labelled,
        progress=reading(source, notify),
        inputs=input_names(model),
    )


def reading(source: str, notify: Notify) -> Callable[[int, int], None]:
    """What tells how much of a data set is read."""
    return lambda done, total: notify(f"reading {Path(source).name}", done, total)


def input_names(model: Model) -> tuple[str, ...]:
    """What the arrays of a data set are called where the model takes several inputs."""
    return tuple(spec.name for spec in model.inputs)


def open_training_data(
    settings: FitSettings,
    preprocess: Preprocess,
    inputs: tuple[str, ...] = (),
    *,
    labelled: bool = True,
    notify: Notify = silent,
) -> tuple[Dataset, Dataset, Dataset | None]:
    """The examples to train on, to select by, and to report on.

    The validation examples are ``--val``, or a stratified tenth of ``--data`` (at most 5,000), then not trained on.

    Args:
        settings: Which files, how many examples.
        preprocess: How examples become inputs.
        inputs: Names of the model's inputs.
        labelled: Whether labels are demanded; where not, they are used if there are any.
        notify: Told how much is read.

    Returns:
        Training, validation, and test data; the last is ``None`` without ``--test``.

    Raises:
        DataError: A data set cannot be read, or has other classes than the training examples; or ``--test`` is
            what is trained on.
    """

    def opened(source: str) -> Dataset:
        try:
            return Dataset.open(
                source, preprocess, limit=settings.limit, progress=reading(source, notify), inputs=inputs
            )
        except DataError:
            if labelled:
                raise
            return Dataset.open(source, preprocess, limit=settings.limit, labelled=False, inputs=inputs)

    train = opened(settings.data)
    if settings.val:
        validation = opened(settings.val)
    else:
        share = min(_VALIDATION_SHARE, _VALIDATION_MOST / len(train))
        train, validation = train.split(share, streams.numpy_generator(settings.seed, "split"))
    test = opened(settings.test) if settings.test else None
    for one in (validation, test):
        if one is not None:
            _check_classes(train, one)
    if test is not None and test.sha256 == train.sha256:
        what = "the data to report on are the data trained on, so the figures would prove nothing"
        raise DataError(what, where=test.source, fix="Leave --test out: a tenth of --data is then set aside for it")
    return train, validation, test


def _check_classes(train: Dataset, other: Dataset) -> None:
    """Refuse examples whose classes are named otherwise: the numbers would mean other things."""
    ours, theirs = train.class_names, other.class_names
    if ours is None or theirs is None or ours == theirs:
        return
    more, fewer = sorted(set(theirs) - set(ours)), sorted(set(ours) - set(theirs))
    told = [f"has the class {', '.join(map(repr, more[:3]))}, which {train.source} does not have"] if more else []
    told += [f"lacks the class {', '.join(map(repr, fewer[:3]))} of {train.source}"] if fewer else []
    raise DataError(
        "; ".join(told) or f"numbers its classes differently from {train.source}",
        where=other.source,
        fix="Give data sets with the same classes",
    )


def check_fits(model: Model, *data: Dataset) -> None:
    """Run the model on an example of each data set, before anything is written.

    Raises:
        DataError: Shapes differ, or the model's output is not a score for each of the data's classes.
        ModelError: ONNX Runtime does not accept the model.
    """
    session = Session(model.serialize())
    for one in data:
        example = Feed(model, one.subset(np.arange(1))).head(1)
        output = session.run(*example)[0]
        if one.labels is not None:
            kind_of_output(model, one, output)


def check_digital(model: Model, globs: Sequence[str]) -> None:
    """Refuse a glob that keeps nothing digital: the noise that it was to keep away would be there, unseen.

    Raises:
        SettingsError: Lists the globs that match no weight.
    """
    if not globs:
        return
    uses = model.module().uses
    idle = [glob for glob in globs if not any(is_digital(use, (glob,)) for use in uses)]
    if idle:
        names = ", ".join(repr(glob) for glob in idle)
        raise SettingsError(
            f"--digital {names} matches no weight on a crossbar", fix=f"See harden inspect {model.source}"
        )


def thread_count(settings: Settings) -> int:
    """The processor threads of a run: ``--threads``, or all cores this process may use.

    Processes that a launcher has started on one machine share its cores.
    """
    return settings.threads or max(1, available_cores() // distributed.neighbours())
