"""Copies of devices: independent noise falls as one over the root of their number, streams stay in place."""

from __future__ import annotations

import pytest
import torch

from harden.data.embedded import content
from harden.errors import SettingsError
from harden.evaluation.copies import averaged_chip, count_copies, parse_copies
from harden.evaluation.plan import Condition
from harden.evaluation.trials import draw_chip
from harden.graph.analog import AnalogWeight
from harden.noise.profile import Profile
from harden.pipeline.evaluate import evaluate, replay
from harden.settings import EvalSettings, resolve

PROFILE = Profile.parse("gaussian:sigma=0.1")


def uses(**tensors):
    return {key: AnalogWeight(key, key, f"node_{key}", "Gemm", tensor, 0, 1) for key, tensor in tensors.items()}


def deviation(copies, key="a"):
    weights = uses(a=torch.linspace(-1, 1, 4000).reshape(40, 100), b=torch.ones(10, 10))
    chips = [averaged_chip(PROFILE, weights, copies, seed=0, index=i, at_s=0.0) for i in range(20)]
    return float(torch.stack([chip[key] - weights[key].tensor for chip in chips]).std())


@pytest.mark.parametrize("n", [2, 4, 9])
def test_noise_falls_with_the_root_of_the_copies(n):
    assert deviation((("*", n),)) == pytest.approx(0.1 / n**0.5, rel=0.02)
    assert deviation((("b", n),)) == pytest.approx(0.1, rel=0.02)


def test_the_average_is_over_draws_of_their_own():
    weights = uses(a=torch.randn(5, 6, generator=torch.Generator().manual_seed(0)))
    both = averaged_chip(PROFILE, weights, (("*", 2),), seed=3, index=7, at_s=0.0)["a"]
    first = PROFILE.chip(weights, seed=3, index=7)["a"]
    second = 2 * both - first
    assert not torch.allclose(first, second)
    more = averaged_chip(PROFILE, weights, (("*", 3),), seed=3, index=7, at_s=0.0)["a"]
    third = 3 * more - first - second
    assert len({round(float(t[0, 0]), 5) for t in (first, second, third)}) == 3


def test_one_copy_is_the_chip_as_it_was():
    weights = uses(a=torch.ones(3, 3), b=torch.ones(2, 2))
    plain = PROFILE.chip(weights, seed=0, index=1)
    condition = Condition(PROFILE, copies=(("*", 1), ("b", 2)))
    drawn = draw_chip(condition, weights, seed=0, index=1)
    assert torch.equal(drawn["a"], plain["a"])
    assert not torch.equal(drawn["b"], plain["b"])


def test_the_last_glob_counts_and_nodes_may_be_named():
    weights = uses(a=torch.ones(1, 1), b=torch.ones(1, 1))
    assert count_copies(parse_copies(["2", "node_b=4"]), weights) == {"a": 2, "b": 4}
    with pytest.raises(SettingsError) as found:
        parse_copies(["x", "fc=0", "=3"])
    assert len(found.value.problems) == 3


def test_eval_asks_what_if_and_replays_the_chip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("digits_cnn.onnx", "test.npz"):
        (tmp_path / name).write_bytes(content(name))

    def run(**values):
        common = {"model": "digits_cnn.onnx", "data": "test.npz", "limit": 200, "chips": 6, "threads": 1}
        return resolve(EvalSettings, {**common, **values})

    noise = {"profile": ("gaussian:sigma=0.2",)}
    one, four = (evaluate(run(**noise, **more)) for more in ({}, {"copies": ("4",), "out": "run"}))
    before, after = (record.conditions[0].accuracy.mean for record in (one, four))
    assert after > before + 0.2
    assert four.conditions[0].copies == {"*": 4}
    record = sorted((tmp_path / "run" / "chips").glob("*.json"))[0]
    assert replay(run(replay=str(record))).equal
    with pytest.raises(SettingsError, match="nothing_like_this"):
        evaluate(run(**noise, copies=("nothing_like_this=2",)))
