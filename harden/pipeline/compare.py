"""``harden compare``: several models on the same chips."""

from __future__ import annotations

from pathlib import Path

from harden.data.dataset import Dataset
from harden.engines import opened
from harden.errors import SettingsError
from harden.evaluation.compare import compare as compare_evaluations
from harden.graph.file import Model
from harden.pipeline.checks import Checked, check
from harden.pipeline.data import open_data
from harden.pipeline.machine import command_line, environment, thread_count, where_of
from harden.pipeline.models import check_digital, model_of, open_model
from harden.progress import Notify, silent
from harden.records import CompareRecord
from harden.report.files import write_report
from harden.runfolder import RunFolder
from harden.settings import CompareSettings, to_toml


def compare(settings: CompareSettings, notify: Notify = silent) -> CompareRecord:
    """Run ``harden compare``.

    Args:
        settings: The models, the noise and the data.
        notify: Called with stage, done and total.

    Returns:
        The record; also written to ``settings.out`` where given.

    Raises:
        HardenError: See harden.errors for which and the exit codes.
    """
    models, checked = open_models(settings, notify)
    with opened(settings.engine, settings.workers) as engine:
        where = where_of(settings, engine)
        evaluations = {
            name: checked.judge(settings, data, where, notify).of(model, stage=name)
            for name, (model, data) in models.items()
        }
    record = compare_evaluations(evaluations).replaced(
        settings=settings.model_dump(mode="json", exclude_none=True, exclude={"out"}),
        command=command_line("compare", settings),
        environment=environment(thread_count(settings)),
    )
    if settings.out:
        with RunFolder(settings.out, to_toml(settings)) as folder:
            write_report(folder.path, record)
    return record


def open_models(settings: CompareSettings, notify: Notify = silent) -> tuple[dict[str, tuple[Model, Dataset]], Checked]:
    """Open and check what ``harden compare`` works on: by name a model and the data in its form; and the noise."""
    checked = check(settings, "profile", "data")
    sources = (settings.model, *settings.others)
    if len(set(sources)) < len(sources) or len(sources) < 2:
        raise SettingsError("give two or more different models", fix="harden compare A.onnx B.onnx --profile ... ")
    models = {}
    for name, source in zip(_names(sources), sources, strict=True):
        model = _opened(source, settings, notify)
        check_digital(model, settings.digital)
        models[name] = model, open_data(settings.data, model, settings, notify)
    return models, checked


def _opened(source: str, settings: CompareSettings, notify: Notify) -> Model:
    """One of the models; ``--weights`` and ``--pretrained`` are for those of timm."""
    return (
        model_of(settings, source, notify)
        if source.startswith("timm:")
        else open_model(source).with_crossbars(settings.crossbars)
    )


def _names(sources: tuple[str, ...]) -> list[str]:
    """File names where they differ, whole paths where they do not."""
    short = [Path(source).name for source in sources]
    return short if len(set(short)) == len(short) else list(sources)
