"""What a fit measures beside its chips: within a share of the run, left out, or added to a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harden.analyses.column_baseline import CHIPS, with_column_baseline
from harden.analyses.layer_ranking import layer_ranking
from harden.analyses.severity import severity_curve
from harden.errors import InputError, SettingsError
from harden.evaluation.judge import Judge
from harden.graph.file import Model
from harden.parsing import parse_toml, read_text
from harden.pipeline.placement import placed
from harden.pipeline.prepare import Prepared, prepare
from harden.pipeline.protection import with_protection
from harden.progress import Notify, silent
from harden.records import EvalRecord, FitRecord
from harden.records.evaluation import LayerRanking
from harden.report.files import RECORD, read_record, write_report
from harden.runfolder import SETTINGS, RunFolder, no_finished_run
from harden.settings import FitSettings, to_toml
from harden.store import scratch
from harden.training.plan import TrainingPlan

NAMES = ("severity", "layers", "column_baseline")
SHARE = {"severity": 1 / 4, "layers": 1 / 8}
"""What each may cost, as a share of the run's own passes."""
_FEWEST_CHIPS, _CHIPS_SHARE = 4, 1 / 4  # of the column baseline
_STEP = 4  # what a step costs for each of its examples: forward, backward (twice that), and the teacher


def column_baseline(judge: Judge, model: Model, before: EvalRecord, folder: RunFolder) -> EvalRecord:
    """The record of the network as given, with the column baseline on a quarter of the chips: 4 to 20."""
    return with_column_baseline(judge, model, before, folder / "trials.jsonl", baseline_chips(judge))


def baseline_chips(judge: Judge) -> int:
    """How many chips the column baseline of a fit has."""
    return min(CHIPS, judge.chips, max(_FEWEST_CHIPS, int(judge.chips * _CHIPS_SHARE)))


def run_passes(judge: Judge, plan: TrainingPlan | None, steps: int) -> float:
    """What a run costs itself, in passes of one example: its training, and its chips before and after.

    Args:
        judge: What it is measured by.
        plan: How it was trained; None where it was not.
        steps: How many steps that took.
    """
    chips = 2 * len(judge.conditions) * judge.chips * len(judge.data)
    return chips + (0 if plan is None else _STEP * steps * plan.examples_per_step)


def beside(judge: Judge, original: Model, hardened: Model, folder: RunFolder, passes: float) -> dict[str, object]:
    """The severity curve and the ranking of layers, under the first condition.

    Args:
        judge: The run's judge; its data has labels.
        original: The network as given.
        hardened: The hardened network.
        folder: The run folder, which keeps what is measured.
        passes: What the run itself costs, see :func:`run_passes`.

    Returns:
        The fields of the run's record that they fill.
    """
    severity = severity_curve(judge, original, hardened, folder.path, SHARE["severity"] * passes)
    ranking = folder.step("layers", LayerRanking, lambda: layer_ranking(judge, hardened, SHARE["layers"] * passes))
    return {"severity": severity, **dict(ranking.given())}


def add(run: Path, names: Sequence[str], notify: Notify = silent) -> FitRecord:
    """Measure on a finished run what it left out, or measure it again in full, and write its report anew.

    Args:
        run: The run folder of a fit; its model and data lie where they lay.
        names: Of ``NAMES``.
        notify: Called with stage, done and total.

    Returns:
        The record with what was added.

    Raises:
        SettingsError: A name is unknown.
        InputError: The folder holds no finished fit, or one without labels.
        RunFolderError: Model, data or version are no longer those of the run.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise SettingsError(
            f"nothing is called '{', '.join(unknown)}'", where="--add", fix=f"Name some of {', '.join(NAMES)}"
        )
    record = read_record(run)
    if record is None:
        raise no_finished_run(run, RECORD)
    if not isinstance(record, FitRecord) or record.seeds:
        where = "one of its seeds' folders" if isinstance(record, FitRecord) else "a run of harden fit"
        raise InputError(
            "the folder holds no single run of harden fit",
            where=str(run),
            fix=f"Name {where}; for evaluations there is harden eval --also",
        )
    with placed(prepare(_settings(run), notify)) as prepared:
        text = to_toml(prepared.settings, prepared.resolved())
        with RunFolder(run, text) as folder:
            record = record.replaced(**_added(prepared, record, folder, names, notify))
            write_report(run, record)
    return record


def _settings(run: Path) -> FitSettings:
    values = parse_toml(read_text(run / SETTINGS, None), None)
    return FitSettings.model_validate({name: value for name, value in values.items() if name != "resolved"})


def _added(
    prepared: Prepared, record: FitRecord, folder: RunFolder, names: Sequence[str], notify: Notify
) -> dict[str, object]:
    given, before = prepared.judge(notify), record.before
    protected, _ = with_protection(prepared, folder, notify)
    judge = protected.judge(notify)
    if given is None or judge is None or before is None or judge.data.labels is None:
        raise InputError("the run has no chips with labels to measure beside", where=str(folder.path))
    hardened = Model.load(folder / "model.onnx")
    fields: dict[str, object] = {}
    if "column_baseline" in names:
        fields["before"] = with_column_baseline(given, prepared.model, before)
    if "severity" in names:
        with scratch() as logs:  # those in the run folder are of the curve that the run itself drew
            fields["severity"] = severity_curve(judge, prepared.model, hardened, logs)
    if "layers" in names:
        fields |= layer_ranking(judge, hardened).given()
    return fields
