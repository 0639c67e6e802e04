"""What leaves the run folder: conductances, the bill of materials, the signature, the command that checks it all."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from harden.errors import SettingsError
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.pipeline.conductances import conductances
from harden.report import schema
from harden.report.bom import bom


def weights_of(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def test_conductances_are_the_mapping_by_hand(finished, command, tmp_path):
    """pcm: a pair over 0 to 25 µS, one scale per tensor."""
    file = finished[0] / "a" / "model.onnx"
    done = command(tmp_path, "export", str(file), "--profile", "pcm", "--out", "c.npz", "--json")
    assert done.code == 0, done.err
    archive = np.load(tmp_path / "c.npz", allow_pickle=False)
    about = json.loads(str(archive["about"]))
    assert about["range"] == [0, 25]
    assert about["digest"] == Profile.load("pcm").digest
    assert about["unit"] == "µS"
    by_hand = weights_of(file)
    keys = {name.rsplit("/", 1)[0] for name in archive.files if name != "about"}
    assert len(keys) == done.document["tensors"] == 3
    for key in keys:
        w = by_hand[key]
        k = 25 / np.abs(w).max()
        plus, minus = archive[f"{key}/g_plus_us"], archive[f"{key}/g_minus_us"]
        np.testing.assert_allclose(plus, np.maximum(w * k, 0), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(minus, np.maximum(-w * k, 0), rtol=1e-5, atol=1e-5)
        back = plus * archive[f"{key}/g_plus_us_weight_per_unit"] + minus * archive[f"{key}/g_minus_us_weight_per_unit"]
        np.testing.assert_allclose(back, w, rtol=1e-4, atol=1e-6)


def test_the_table_holds_the_same(finished, command, tmp_path):
    file = finished[0] / "a" / "model.onnx"
    done = command(tmp_path, "export", str(file), "--profile", "pcm", "--out", "c.csv", "--digital", "block*")
    assert done.code == 0, done.err
    with (tmp_path / "c.csv").open(newline="") as text:
        rows = list(csv.DictReader(text))
    by_hand = weights_of(file)
    assert {row["tensor"] for row in rows} == {"conv.weight", "fc.weight"}
    assert len(rows) == by_hand["conv.weight"].size + by_hand["fc.weight"].size
    for row in rows[:: len(rows) // 20]:
        w = by_hand[row["tensor"]]
        value = w.reshape(-1)[int(row["index"])]
        assert float(row["weight"]) == pytest.approx(value, rel=1e-6)
        difference = float(row["g_plus_us"]) - float(row["g_minus_us"])
        assert difference == pytest.approx(25 * value / np.abs(w).max(), rel=1e-4)


def test_single_devices_currents_and_several_pairs_are_named(finished):
    model = Model.load(finished[0] / "small.onnx")
    digital = ("block*", "conv*")
    single = conductances(model, Profile.load("rram_cmo"), digital)["fc.weight"]
    assert set(single) == {"weight", "g_us", "g_us_weight_per_unit"}
    mapping = Profile.load("rram_cmo").circuit.mapping
    assert single["g_us"].min() == pytest.approx(mapping.low, rel=1e-5)
    assert single["g_us"].max() == pytest.approx(mapping.high, rel=1e-5)
    currents = conductances(model, Profile.load("sonos"), digital)["fc.weight"]
    assert {"g_plus_na", "g_minus_na"} <= set(currents)


def test_each_column_has_a_scale_of_its_own_where_the_profile_says_so(finished):
    model = Model.load(finished[0] / "small.onnx")
    found = conductances(model, Profile.load("pcm", reference="column"), ("block*", "conv*"))["fc.weight"]
    top = np.maximum(found["g_plus_us"], found["g_minus_us"])
    axis = model.analog_weights(("block*", "conv*"))["fc.weight"].output_axis
    np.testing.assert_allclose(np.moveaxis(top, axis, 0).reshape(top.shape[axis], -1).max(1), 25, rtol=1e-5)


def test_a_profile_without_devices_has_no_conductances(finished):
    with pytest.raises(SettingsError, match="pcm"):
        conductances(Model.load(finished[0] / "small.onnx"), Profile.load("gaussian"))


def test_another_ending_is_refused(finished, command, tmp_path):
    file = finished[0] / "a" / "model.onnx"
    done = command(tmp_path, "export", str(file), "--profile", "pcm", "--out", "c.mat")
    assert done.code == 2
    assert ".npz or .csv" in done.err


def test_the_checking_command_gives_the_reported_numbers(finished, command):
    folder, done = finished
    words = shlex.split(done.document["check_command"].replace("RUN", "a"))
    again = command(folder, *words[1:], "--json")
    assert again.code == 0, again.err
    assert again.document["conditions"][0]["accuracies"] == done.document["after"]["conditions"][0]["accuracies"]


def test_the_record_names_layers_data_and_follows_its_schema(finished):
    document = json.loads((finished[0] / "a" / "report.json").read_text())
    jsonschema.Draft202012Validator(schema.load("harden.fit/2")).validate(document)
    keys = {row["key"] for row in document["after"]["perturbed"]}
    assert {row["key"] for row in document["sensitivity"]} == keys
    assert sum(row["share"] for row in document["sensitivity"]) == pytest.approx(1)
    assert document["training"]["data"]["source"] == "train.npz"
    assert document["preprocess"]["scale"] > 0


def test_the_bill_of_a_real_run_follows_cyclonedx(finished):
    validation = pytest.importorskip("cyclonedx.validation.json", reason="cyclonedx-python-lib is not installed")
    from cyclonedx.schema import SchemaVersion

    document = json.loads((finished[0] / "a" / "report.json").read_text())
    validator = validation.JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(bom(document))) is None
    assert validator.validate_str(json.dumps({**bom(document), "components": [{"name": "x"}]})) is not None


def test_a_signature_holds_until_a_byte_changes(finished, command, tmp_path):
    pytest.importorskip("model_signing", reason="model-signing is not installed")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    (tmp_path / "key.pem").write_bytes(
        private.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    )
    (tmp_path / "public.pem").write_bytes(
        private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    run = tmp_path / "run"
    run.mkdir()
    for name in ("model.onnx", "report.json", "train.jsonl"):
        (run / name).write_bytes((finished[0] / "a" / name).read_bytes())
    done = command(tmp_path, "report", "run", "--sign", "key.pem")
    assert done.code == 0, done.err
    line = next(line for line in done.out.splitlines() if line.startswith("check it with: python "))
    words = shlex.split(line.removeprefix("check it with: python ").replace("PUBLIC.pem", "public.pem"))

    def verified():
        return subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, check=False).returncode == 0

    assert verified()
    (run / "train.jsonl").write_text("a log is not signed\n")
    assert verified()
    changed = bytearray((run / "model.onnx").read_bytes())
    changed[len(changed) // 2] ^= 1
    (run / "model.onnx").write_bytes(changed)
    assert not verified()


def test_what_cannot_be_signed_says_so(finished, command, tmp_path):
    pytest.importorskip("model_signing", reason="model-signing is not installed")
    run = str(finished[0] / "a")
    absent = command(tmp_path, "report", run, "--sign", "none.pem")
    assert absent.code == 3
    assert "openssl ecparam" in absent.err
    (tmp_path / "key.pem").write_text("no key")
    assert command(tmp_path, "report", run, "--sign", "key.pem").code == 3
