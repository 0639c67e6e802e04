"""Names in a model and on disk are text, wherever they are shown."""

from __future__ import annotations

import re

import onnx
import small_digits

from harden.pipeline.fit import fit
from harden.settings import FitSettings, resolve

EVIL = "<script>alert(1)</script>"


def test_a_script_in_a_models_names_is_shown_and_not_run(tmp_path, monkeypatch, pace):
    monkeypatch.chdir(tmp_path)
    pace(severity_scales=(0.0, 1.0), ranking_passes=4, ranking_chips=2)
    small_digits.write(tmp_path)
    proto = onnx.load(tmp_path / small_digits.NAME)
    weight = next(node.input[1] for node in proto.graph.node if node.op_type == "Conv")
    for node in proto.graph.node:
        node.name = f"{EVIL}{node.name}"
        node.input[:] = [f"{EVIL}{name}" if name == weight else name for name in node.input]
    next(t for t in proto.graph.initializer if t.name == weight).name = f"{EVIL}{weight}"
    name = "a<img src=x onerror=alert(2)>&\"'.onnx"
    onnx.save(proto, tmp_path / name)
    fit(
        resolve(
            FitSettings,
            {"model": name, "method": "rescale", "profile": ("gaussian:sigma=0.2",), "data": "train.npz",
             "test": "test.npz",
             "chips": 2, "limit": 40, "threads": 1, "out": "run"},
        )
    )  # fmt: skip
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)[1]  # behind the YAML
    for text in (page, card):  # in Markdown, a backslash makes it text
        assert not re.search(r"(?<!\\)<(script>alert|img src=x)", text)
    again = onnx.load(tmp_path / "run" / "model.onnx")
    assert any(t.name == f"{EVIL}{weight}" for t in again.graph.initializer)
