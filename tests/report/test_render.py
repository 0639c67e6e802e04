"""The report as a file: one page, escaped, the same every time."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import matplotlib as mpl
import pytest
import yaml

from harden.errors import InputError
from harden.report.render import html, markdown
from harden.report.terminal import summary

Document = dict[str, Any]
EVIL = "<script>alert(1)</script>\x00\"'&$x_1^{2$</style>"


def test_equal_documents_give_equal_bytes(fit_document, fit_html):
    assert html(json.loads(json.dumps(fit_document()))) == fit_html
    assert markdown(fit_document()) == markdown(fit_document())


def test_the_users_own_matplotlib_settings_do_not_matter(eval_document):
    expected = html(eval_document())
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "lines.linewidth": 9, "svg.hashsalt": "other"}):
        assert html(eval_document()) == expected
        assert mpl.rcParams["font.size"] == 30


def test_it_is_one_html_page(fit_html):
    assert fit_html.startswith('<!doctype html>\n<html lang="en">')
    assert len(fit_html) < 600_000


def test_nothing_points_outside_the_file(fit_html):
    text = fit_html
    assert set(re.findall(r'https?://[^"\s)]+', text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(script|link|img|iframe|object|embed)\b", text)
    assert not re.search(r"@import|url\((?!#)", text)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', text))


def test_every_reference_has_its_target(fit_html):
    wanted = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', fit_html))
    assert {a or b for a, b in wanted} <= set(re.findall(r'\bid="([^"]+)"', fit_html))


def test_drawings_are_well_formed(fit_document, compare_document):
    for document in (fit_document(), compare_document()):
        drawings = re.findall(r"<svg.*?</svg>", html(document), flags=re.DOTALL)
        assert len(drawings) >= 4
        for drawing in drawings:
            ElementTree.fromstring(drawing)


def test_colours_are_variables(fit_html):
    drawings = "".join(re.findall(r"<svg.*?</svg>", fit_html, flags=re.DOTALL))
    assert not re.findall(r"(?<!,)#[0-9a-f]{6}\b", drawings)
    style = fit_html.partition("</style>")[0]
    for variable in set(re.findall(r"var\(--([\w-]+)", drawings)):
        assert style.count(f"--{variable}:") == 3, f"{variable} in light, dark and print"


def test_names_are_text(fit_document):
    document = fit_document()
    for rows in (document["after"]["perturbed"], document["sensitivity"]):
        rows[0]["key"] = EVIL
    document["after"]["not_perturbed"][0] = {"name": EVIL, "reason": EVIL}
    document["settings"][EVIL] = EVIL
    document["levers"][EVIL] = {EVIL: EVIL}
    document["controls"][EVIL] = {"label": EVIL, "accuracy": {"mean": 0.5}}
    document["method"]["name"] = document["model"]["path"] = document["command"][0] = EVIL
    for side in ("before", "after"):
        document[side]["profiles"][0].update({"name": EVIL, "parameters": {EVIL: EVIL}, "digest": EVIL})
        document[side]["data"]["source"] = document[side]["model"]["path"] = EVIL
    text = html(document)
    assert "<script" not in text
    assert text.count("</style>") == 1
    assert "\x00" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    for drawing in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        ElementTree.fromstring(drawing)
    header, body = card(markdown(document))
    assert header["model-index"]
    assert "<script" not in body.replace("\\<script", "")
    assert "\x00" not in summary(document)


def test_the_card_has_a_model_index(fit_document):
    header, body = card(markdown(fit_document()))
    assert header["library_name"] == "onnx"
    (index,) = header["model-index"]
    (result,) = index["results"]
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"]["name"] == "test.parquet"
    values = {m["name"]: m["value"] for m in result["metrics"]}
    spread = fit_document()["after"]["profiles"][0]["accuracy"]
    assert values["mean accuracy over 100 chips, gaussian"] == spread["mean"]
    assert values["worst of 100 chips, gaussian"] == spread["min"]
    assert "What this does not prove" in body
    assert "cifar10/" not in markdown(fit_document()), "folders of the author's machine stay private"


def test_the_card_opens_a_quantised_file_as_it_was_opened_for_the_figures(fit_document):
    document = fit_document()
    assert "SessionOptions" not in markdown(document)
    document["model"]["session"] = {"session.disable_quant_qdq": "1"}
    code = markdown(document).split("```python")[1].split("```")[0]
    assert 'options.add_session_config_entry("session.disable_quant_qdq", "1")' in code
    assert 'InferenceSession("model.onnx", options)' in code
    compile(code, "card", "exec")


def test_hugging_face_reads_the_header(fit_document):
    cards = pytest.importorskip("huggingface_hub").ModelCard(markdown(fit_document()))
    assert {r.metric_type for r in cards.data.eval_results} == {"accuracy"}
    assert len(cards.data.eval_results) == 4


def test_tables_of_the_card_are_rectangular(compare_document):
    rows = [line for line in markdown(compare_document()).splitlines() if line.startswith("|")]
    assert len(rows) > 8
    widths = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert set(widths) == {3, 5}


def test_another_document_is_refused():
    with pytest.raises(InputError, match=r"harden\.inspect/1.*report\.json"):
        html({"schema": "harden.inspect/1"})


def card(text):
    _, header, body = text.split("---\n", 2)
    return yaml.safe_load(header), body
