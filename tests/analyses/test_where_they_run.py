"""Everything that runs chips beside the trials runs them where the trials run, as the options say."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harden import pacing
from harden.analyses import rare_failures as module
from harden.data.embedded import content
from harden.evaluation import bench
from harden.evaluation.input_feed import Feed
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.evaluation.where import Where
from harden.noise.profile import Profile
from harden.pipeline.dry_run import dry_run
from harden.pipeline.evaluate import evaluate
from harden.pipeline.fit import fit
from harden.runtime import copy
from harden.settings import EvalSettings, FitSettings

NOISE = "gaussian:sigma=0.1"


@pytest.fixture
def files(tmp_path):
    for name in ("digits_cnn.onnx", "train.npz", "test.npz"):
        (tmp_path / name).write_bytes(content(name))
    return tmp_path


@pytest.fixture
def sessions(monkeypatch):
    """Device and threads of every session of a network's copy; a GPU is claimed for ``auto``, and the CPU computes."""
    opened = []

    class Spy(copy.Session):
        def __init__(self, source, values=None, *, threads=1, device="cpu"):
            opened.append((device, threads))
            super().__init__(source, values, threads=threads, device="cpu")

    monkeypatch.setattr(copy, "Session", Spy)
    monkeypatch.setattr(bench, "choose_device", lambda wanted: "cuda" if wanted == "auto" else "cpu")
    return opened


@pytest.fixture
def batches(monkeypatch):
    """Images per batch of every feed, in the order in which they were made."""
    sizes = []
    real = Feed.__init__

    def init(self, *args, **options):
        real(self, *args, **options)
        sizes.append(self.batch)

    monkeypatch.setattr(Feed, "__init__", init)
    return sizes


def evaluation(files, **options):
    model, data = str(files / "digits_cnn.onnx"), str(files / "test.npz")
    return EvalSettings(
        model=model, data=data, **{"profile": (NOISE,), "limit": 30, "chips": 3, "threads": 1, **options}
    )


def test_what_stands_beside_the_trials_runs_on_their_device_threads_and_batches(files, sessions, batches, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    beside = ("per_chip", "worst_case", "corners", "stress")

    evaluate(evaluation(files, device="auto", batch_size=7, also=beside, column_baseline=True))

    assert {device for device, _ in sessions} == {"cuda"}
    assert {threads for _, threads in sessions} == {1}
    assert len(batches) >= 2 + len(beside)
    assert set(batches[-1 - len(beside) :]) == {7}


def test_rare_failures_hold_the_threads(make_linear, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    model, data = make_linear(classes=2, examples=20)
    used = set()

    def score(bench, chip, profile, *, threads):
        used.add(threads)
        return SimpleNamespace(values={"accuracy": float(chip["w"].mean())})

    monkeypatch.setattr(module, "score", score)
    judge = Judge(data, (Condition(Profile.parse(NOISE)),), where=Where(threads=2))
    module.rare_failures(judge, model, 0.5)

    assert used == {2}


def test_the_column_baseline_has_no_more_chips_than_the_trials_and_tells_how_far_it_is(files):
    told = []

    record = evaluate(evaluation(files, column_baseline=True), lambda *step: told.append(step))

    assert record.conditions[0].column_baseline.chips == 3
    assert ("chips of a mapping that scales each column", 3, 3) in told


def test_the_corners_and_the_stress_curve_tell_how_far_they_are(files):
    told = []

    evaluate(evaluation(files, also=("corners", "stress")), lambda *step: told.append(step))

    assert {"corners", "stress"} <= {stage for stage, _, _ in told}


def test_the_curve_and_the_ranking_of_a_fit_run_on_its_device(files, sessions, monkeypatch):
    monkeypatch.setattr(pacing, "_current", pacing.Pacing(severity_scales=(0.0, 1.0)))
    settings = FitSettings(
        model=str(files / "digits_cnn.onnx"),
        profile=(NOISE,),
        data=str(files / "train.npz"),
        test=str(files / "test.npz"),
        method="rescale",
        limit=30,
        chips=2,
        threads=1,
        device="auto",
        out=str(files / "run"),
    )

    def notify(stage, done, total):
        if stage == "verifying the file":  # which is no chip; from here on there are only chips
            sessions.clear()

    record = fit(settings, notify)

    assert record.severity.chips == 2
    assert record.sensitivity
    assert {device for device, _ in sessions} == {"cuda"}


def test_a_dry_run_times_the_device_that_the_run_will_use(files, sessions):
    dry_run(evaluation(files, device="auto"))

    assert {device for device, _ in sessions} == {"cuda"}


def test_a_dry_run_times_the_batches_that_the_run_will_use(files, batches):
    dry_run(evaluation(files, batch_size=7))

    assert batches[-1] == 7
