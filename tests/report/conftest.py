"""Example documents: a small seeded function makes what a run would write, with a skewed distribution of chips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from harden.report.render import html
from harden.statistics.intervals import tolerance_rank
from harden.streams import numpy_generator

Document = dict[str, Any]
LAYERS = ["conv1", *(f"layer{s}.{b}.conv{c}" for s in (1, 2, 3) for b in (0, 1, 2) for c in (1, 2)), "fc"]


def chips(mean, spread, count, *names):
    """Accuracies of ``count`` chips on 10,000 images: a long tail towards bad chips."""
    rng = numpy_generator(0, "example", *names)
    values = mean + spread * (0.9 - rng.gamma(2.0, 0.55, count)) if count else np.zeros(0)
    return [float(v) for v in np.round(np.clip(values, 0.05, 0.999), 4)]


def bins(accuracy):
    """A reliability diagram: nothing below a third, most images at high confidence, too sure by a tenth."""
    confidence = [(i + 0.5) / 15 for i in range(15)]
    share = [0.0] * 5 + [(i - 4) / 55 for i in range(5, 15)]
    right = [max(0.0, c - 0.1 * (1 - accuracy)) if s else None for c, s in zip(confidence, share, strict=True)]
    return {
        "share": share,
        "accuracy": right,
        "confidence": [c if s else None for c, s in zip(confidence, share, strict=True)],
    }


def profile_entry(values, *, name, at_s, threshold, **knobs):
    x, n = np.asarray(values), len(values)
    half = 1.96 * x.std(ddof=1) / np.sqrt(n)
    half_images = float(np.hypot(half, 1.96 * np.sqrt(x.mean() * (1 - x.mean()) / 10_000)))
    reached = int(np.sum(x >= (threshold or 0)))
    low = float(stats.beta.ppf(0.025, reached, n - reached + 1)) if reached else 0.0
    high = float(stats.beta.ppf(0.975, reached + 1, n - reached)) if reached < n else 1.0
    p05 = float(np.quantile(x, 0.05))
    order = np.sort(x)
    rank = {f"{round(100 * c)}/95": tolerance_rank(n, c) for c in (0.90, 0.95, 0.99)}
    return {
        "name": name,
        "digest": "b9c1f0aa52d04be1",
        "parameters": knobs,
        "at_s": at_s,
        "chips": n,
        "accuracy": {
            "mean": float(x.mean()),
            "std": float(x.std(ddof=1)),
            "min": float(x.min()),
            "p05": float(np.quantile(x, 0.05)),
            "median": float(np.median(x)),
            "p95": float(np.quantile(x, 0.95)),
            "max": float(x.max()),
            "ci95": [float(x.mean() - half), float(x.mean() + half)],
            "ci95_images": [float(x.mean() - half_images), float(x.mean() + half_images)],
        },
        "yield": None if threshold is None else {"threshold": threshold, "value": reached / n, "ci95": [low, high]},
        "tolerance": {k: float(order[r - 1]) if r else None for k, r in rank.items()},
        "confidence": float(x.mean()) + 0.06,
        "ece": 0.061,
        "reliability": bins(float(x.mean())),
        "ekl": 0.214,
        "agreement": float(x.mean()) + 0.03,
        "fidelity": None,
        "rms_noise_relative": 0.412,
        "tolerance_ranks": rank,
        "requirements": [{"text": "p05_accuracy>=0.75", "found": p05, "met": p05 >= 0.75}],
        "accuracies": values,
    }


def evaluation(entries, *, accuracy=0.8742, path="resnet20_jpeg_bn.onnx"):
    return {
        "schema": "harden.eval/1",
        "model": {
            "path": path,
            "sha256": "5f2c" * 16,
            "opset": 17,
            "parameters": 272474,
            "analog_parameters": 270896,
            "batch_norm": "kept",
        },
        "data": {
            "source": "cifar10/test.parquet",
            "examples": 10000,
            "sha256": "9a01" * 16,
            "classes": {"count": 10, "commonest": 0.1, "names": ["airplane", "automobile", "bird", *"abcdefg"]},
        },
        "seed": 0,
        "canary": {"tensors": 20, "inert": []},
        "clean": {
            "accuracy": accuracy,
            "loss": 0.391,
            "confidence": 0.941,
            "ece": 0.067,
            "reliability": bins(accuracy),
        },
        "profiles": entries,
        "runtime": {
            "seconds": 251.3,
            "images_per_second": 3979.0,
            "clean_images_per_second": 4102.0,
            "workers": 2,
            "engine": "local",
        },
    }


def make_eval(count=100, threshold=0.8, times=()):
    """One network; several times if asked for."""
    if not times:
        values = chips(0.80, 0.032, count, "after")
        knobs = {"sigma": 0.1, "relative_to": "max"}
        return evaluation([profile_entry(values, name="gaussian", at_s=0.0, threshold=threshold, **knobs)])
    entries = [
        profile_entry(
            chips(0.87 - 0.03 * i, 0.02 + 0.008 * i, count, "time", i), name="pcm", at_s=t, threshold=threshold
        )
        for i, t in enumerate(times)
    ]
    return evaluation(entries)


def make_fit(count=100, threshold=0.8):
    """Before and after hardening, with everything a fit document may carry."""
    rng = numpy_generator(0, "example", "training")
    knobs = {"sigma": 0.1, "relative_to": "max"}
    sides = {}
    for role, mean, spread, clean in (("before", 0.284, 0.075, 0.8742), ("after", 0.822, 0.030, 0.8655)):
        values = chips(mean, spread, count, role)
        entry = profile_entry(values, name="gaussian", at_s=0.0, threshold=threshold, **knobs)
        path = "resnet20_jpeg_bn.onnx" if role == "before" else "runs/a/model.onnx"
        sides[role] = evaluation([entry], accuracy=clean, path=path)
    sides["after"]["model"]["sha256"] = "c07a" * 16
    losses = 0.35 + 1.6 * np.exp(-np.arange(360) / 70) + rng.normal(0, 0.08, 360)
    shares = rng.dirichlet(np.full(len(LAYERS), 0.7))
    document = {
        "schema": "harden.fit/1",
        "model": {"path": "resnet20_jpeg_bn.onnx", "sha256": "5f2c" * 16, "batch_norm": "kept"},
        "method": {"name": "nft_irs", "requested": "nft", "kind": "objective", "cost": "1F 1B"},
        "profile": [{"name": "gaussian", "digest": "b9c1f0aa52d04be1", "at_s": 0.0}],
        "levers": {
            "clip": {"k": 2.0, "anneal": 0.0, "tensors": 20, "beyond_at_start": 0.046},
            "teacher": None,
            "train_sigma_scale": 1.0,
            "batch_norm_reestimation": {"tried": True, "kept": True, "before": 0.781, "after": 0.812},
        },
        "controls": {
            name: {"label": name, "accuracy": {"mean": mean}, "accuracies": [mean] * count, "clean": 0.87}
            for name, mean in (("none", 0.797), ("none_bare", 0.241))
        },
        **sides,
        "severity": {
            "profile": "gaussian",
            "scale": [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5],
            "before": [0.8742, 0.835, 0.68, 0.46, 0.284, 0.19, 0.14],
            "after": [0.8655, 0.862, 0.854, 0.842, 0.822, 0.79, 0.741],
            "before_band": [[0.8742, 0.8742], *([m - 0.1, m + 0.05] for m in (0.835, 0.68, 0.46, 0.284, 0.19, 0.14))],
            "after_band": [
                [0.8655, 0.8655],
                *([m - 0.04, m + 0.02] for m in (0.862, 0.854, 0.842, 0.822, 0.79, 0.741)),
            ],
            "chips": 32,
        },
        "sensitivity": [
            {"key": f"{layer}.weight", "share": float(s), "drop": float(0.12 * s)}
            for layer, s in zip(LAYERS, shares, strict=True)
        ],
        "sensitivity_r2": 0.24,
        "artifacts": {"model.onnx": "c07a" * 16, "trials.jsonl": "11ee" * 16},
        "reported_on": "test",
        "training": {
            "history": [{"step": i + 1, "loss": float(v), "cross_entropy": float(v)} for i, v in enumerate(losses)],
            "validation": [
                {"step": s, "accuracy": float(0.82 - 0.5 * np.exp(-s / 60) + rng.normal(0, 0.006))}
                for s in range(30, 361, 30)
            ],
            "selected_step": 330,
            "seconds": 187.4,
            "examples": 45000,
            "check": {"examples": 16, "max_abs_error": 3.1e-6, "inert": []},
        },
        "settings": {
            "seed": 0,
            "threads": 2,
            "data": "cifar10/train.parquet",
            "test": "cifar10/test.parquet",
            "method": "nft_irs",
            "options": {"beta": 0.001, "heads": 4},
            "optimizer": "sgd",
            "lr": 0.02,
        },
        "environment": {
            "platform": "Linux x86_64",
            "cores": 2,
            "harden": "0.1.0",
            "python": "3.12.4",
            "torch": "2.14.1",
            "onnxruntime": "1.31.1",
        },
        "check_command": "harden eval RUN/model.onnx --data cifar10/test.parquet",
        "preprocess": {"mean": [0.49], "std": [0.25], "layout": "NCHW", "input_size": None},
        "command": [
            *("harden", "fit", "resnet20_jpeg_bn.onnx", "--method", "nft", "--profile", "gaussian:sigma=0.1"),
            *(
                "--data",
                "cifar10/train.parquet",
                "--test",
                "cifar10/test.parquet",
                "--threshold",
                "0.8",
                "--out",
                "runs/a",
            ),
        ],
    }
    document["after"]["perturbed"] = [
        {
            "key": f"{layer}.weight",
            "node": f"/{layer}/Conv" if layer != "fc" else "/fc/Gemm",
            "op": "Conv" if layer != "fc" else "Gemm",
            "shape": [16, 16, 3, 3] if layer != "fc" else [10, 64],
            "rms_noise_relative": float(0.3 + 0.3 * rng.random()),
        }
        for layer in LAYERS
    ]
    document["after"]["not_perturbed"] = [
        *({"name": f"bn{i}.weight", "reason": "batch norm"} for i in range(19)),
        {"name": "fc.bias", "reason": "bias"},
    ]
    return document


def make_compare(count=60):
    models = []
    for i, (name, mean, clean) in enumerate(
        [("resnet20.onnx", 0.29, 0.874), ("wide.onnx", 0.76, 0.88), ("nft.onnx", 0.82, 0.866)]
    ):
        entries = [
            profile_entry(chips(mean - 0.05 * j, 0.03, count, name, j), name=p, at_s=None, threshold=0.8)
            for j, p in enumerate(("rram1", "fefet2"))
        ]
        models.append({"name": name, "evaluation": evaluation(entries, accuracy=clean, path=f"models/{name}")})
        models[-1]["evaluation"]["model"]["sha256"] = f"{i}" * 64
    differences = []
    for j in range(2):
        one, two = (np.asarray(m["evaluation"]["profiles"][j]["accuracies"]) for m in models[1:])
        d = two - one
        half = 1.96 * d.std() / np.sqrt(count)
        differences.append(
            {
                "a": models[1]["name"],
                "b": models[2]["name"],
                "condition": j,
                "paired": True,
                "mean": float(d.mean()),
                "ci95": [float(d.mean() - half), float(d.mean() + half)],
                "better": int((d > 0).sum()),
                "worse": int((d < 0).sum()),
                "p_value": 0.0004,
            }
        )
    command = ["harden", "compare", *(m["name"] for m in models)]
    return {"schema": "harden.compare/1", "models": models, "differences": differences, "command": command}


@pytest.fixture(scope="session")
def fit_html():
    """The report of the fit document; rendered once."""
    return html(make_fit())


@pytest.fixture(scope="session")
def eval_document():
    return make_eval


@pytest.fixture(scope="session")
def fit_document():
    return make_fit


@pytest.fixture(scope="session")
def compare_document():
    return make_compare
