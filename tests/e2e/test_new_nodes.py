"""Flags that let the graph grow: clamps and a Mul per channel, through ``harden fit`` on the embedded network."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from harden.data.embedded import content
from harden.errors import SettingsError
from harden.pipeline.fit import fit
from harden.settings import FitSettings, resolve

pytestmark = pytest.mark.usefixtures("brief")


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("digits_cnn.onnx", "train.npz", "test.npz"):
        (tmp_path / name).write_bytes(content(name))

    def make(**values):
        common = {"model": "digits_cnn.onnx", "chips": 4, "limit": 300, "threads": 1, "out": "run"}
        return resolve(FitSettings, {**common, **values})

    return make


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def test_clamps_are_in_the_hardened_file_and_in_the_report(settings):
    document = fit(
        settings(
            method="rescale", profile=("bitflip:rate=0.0001,storage=float32",), data="train.npz", test="test.npz",
            clamp_activations="99.99%", allow_new_nodes=True,
        )
    ).document  # fmt: skip
    assert operators("run/model.onnx").count("Clip") == 7
    assert document["levers"]["clamp_activations"]["activations"] == 7
    assert document["levers"]["clamp_activations"]["percentile"] == 99.99
    after, before = (document[role]["conditions"][0]["accuracy"]["mean"] for role in ("after", "before"))
    assert after > before


def test_rescale_may_add_a_mul_for_each_layer_of_a_folded_graph(settings):
    common = {"method": "rescale", "profile": ("gaussian:sigma=0.1",), "fold_bn": True}
    fit(settings(**common, out="plain"))
    fit(settings(**common, allow_new_nodes=True, out="grown"))
    assert operators("plain/model.onnx").count("Mul") == 0
    assert operators("grown/model.onnx").count("Mul") == 10


def test_clamps_without_leave_to_add_nodes_or_without_data_are_refused(settings):
    common = {"method": "rescale", "profile": ("bitflip",), "clamp_activations": "99.99%"}
    with pytest.raises(SettingsError) as found:
        fit(settings(**common))
    assert "--allow-new-nodes" in str(found.value)
    assert "--data" in str(found.value)
    assert not Path("run").exists()
