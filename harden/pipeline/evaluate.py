"""``harden eval``: one model, some noise conditions, many chips."""

from __future__ import annotations

from typing import Any

from harden.data.dataset import Dataset
from harden.evaluation.evaluate import evaluate as run_trials
from harden.pipeline.inputs import open_conditions, open_model, open_preprocess, thread_count
from harden.pipeline.missing import require
from harden.pipeline.progress import Notify, silent
from harden.pipeline.reporting import write_report
from harden.settings import EvalSettings, to_toml
from harden.store import RunFolder


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
    require(settings, "profile", "data")
    conditions = open_conditions(settings.profile, settings.at)
    model = open_model(settings.model, weights=settings.weights, pretrained=settings.pretrained)
    data = Dataset.open(settings.data, open_preprocess(model, settings), limit=settings.limit)
    threads = thread_count(settings)

    def run(trials: Any) -> dict[str, Any]:
        return run_trials(
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
            progress=lambda done, total: notify("evaluating", done, total),
        ).document

    if settings.out is None:
        return run(None)
    resolved = {"model_sha256": model.sha256, "data_sha256": data.sha256, "threads": threads}
    with RunFolder(settings.out, to_toml(settings, resolved)) as folder:
        document = run(folder / "trials.jsonl")
        write_report(folder.path, document)
    return document
