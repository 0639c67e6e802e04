"""Bad input: a one-line error that says what to do, the right exit code, nothing written."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harden.cli import main


def _truncate(folder):
    path = folder / "small.onnx"
    path.write_bytes(path.read_bytes()[:5000])


def _text(folder):
    (folder / "small.onnx").write_text("this is no model")


def _directory(folder):
    (folder / "small.onnx").unlink()
    (folder / "small.onnx").mkdir()


def _unlabelled(folder):
    table = pa.table({"image": [{"bytes": b"x", "path": "a.png"}]})
    pq.write_table(table, folder / "train.parquet")


def _other_classes(folder):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 16, size=(200, 8, 8), dtype=np.uint8)
    np.savez(folder / "many.npz", images=images, labels=np.arange(200) % 23)


def _other_run(folder):
    (folder / "taken").mkdir()
    (folder / "taken" / "notes.txt").write_text("mine")


CASES = [
    ("truncated ONNX", _truncate, [], 3, "small.onnx"),
    ("text file called .onnx", _text, [], 3, "small.onnx"),
    ("a directory", _directory, [], 3, "directory"),
    ("unknown profile", None, ["--profile", "ramm1"], 2, "Did you mean rram1"),
    ("negative sigma", None, ["--profile", "gaussian:sigma=-0.1"], 2, "sigma"),
    ("unknown method", None, ["--method", "nfft"], 2, "Did you mean nft"),
    ("unknown method option", None, ["--method", "nft", "-o", "betta=1"], 2, "Did you mean beta"),
    ("parquet without labels", _unlabelled, ["--data", "train.parquet"], 3, "label"),
    ("missing data", None, ["--data", "nowhere.parquet"], 3, "nowhere.parquet"),
    ("not the data's classes", _other_classes, ["--data", "many.npz"], 3, "23"),
    ("tested on what is trained on", None, ["--test", "train.npz"], 3, "Leave --test out"),
    ("a percentage without its sign", None, ["--threshold", "90"], 2, "write 0.9 or 90%"),
    ("folder of something else", _other_run, ["--out", "taken"], 2, "notes.txt"),
    ("wrong number of means", None, ["--mean", ".1,.2,.3", "--std", ".1,.2,.3"], 3, "channel"),
    ("zero chips", None, ["--chips", "0"], 2, "--chips"),
    ("a time that no law covers", None, ["--profile", "rram_wan", "--at", "1h"], 3, "valid"),
]


@pytest.mark.parametrize(("name", "damage", "arguments", "code", "hint"), CASES, ids=[case[0] for case in CASES])
def test_bad_input(name, damage, arguments, code, hint, prepared, monkeypatch, capsys):
    if damage:
        damage(prepared)
    monkeypatch.chdir(prepared)
    before = sorted(p.relative_to(prepared) for p in prepared.rglob("*"))
    out = [] if "--out" in arguments else ["--out", "a"]
    with pytest.raises(SystemExit) as caught:
        main(["fit", "small.onnx", "-q", *out, *arguments])
    printed = capsys.readouterr()
    assert caught.value.code == code, printed.err
    assert printed.out == ""
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("error: ")
    assert hint in lines[0]
    assert sorted(p.relative_to(prepared) for p in prepared.rglob("*")) == before


def test_unknown_preprocessing_names_the_flags(prepared, command):
    import onnx

    proto = onnx.load(prepared / "small.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, prepared / "bare.onnx")
    done = command(prepared, "fit", "bare.onnx", "--out", "a")
    assert done.code == 3
    assert "--mean" in done.err
    assert "--std" in done.err
    assert not (prepared / "a").exists()
