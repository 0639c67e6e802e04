"""The net for silent errors: it finds planted faults, each of which goes unseen without it, and nothing else."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toys
from onnx import TensorProto, helper
from PIL import Image

import harden
from harden.data import arrays, dataset
from harden.data.preprocess import Preprocess
from harden.errors import VerificationError
from harden.evaluation import bench as benches
from harden.evaluation import judge as judges
from harden.evaluation.judge import Judge
from harden.evaluation.plan import as_conditions
from harden.evaluation.recount import MOST, recount
from harden.graph.file import Model
from harden.streams import numpy_generator
from harden.tasks._heads import Head

node = helper.make_node
RGB = Preprocess((0.4, 0.45, 0.5), (0.2, 0.25, 0.3))
PLAIN = Preprocess((0,), (1,))
COUNT = 260


def picture_model(ends="scores", dtype=TensorProto.FLOAT, shape=(3, 6, 8)):
    """A network for which left and right, rows and columns, and the order of the channels all matter."""
    flat = int(np.prod(shape))
    nodes = [node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), node("Flatten", ["f"], ["v"])]
    nodes += [node("MatMul", ["v", "w"], ["m"], "only"), node("Softmax", ["m"], ["p"], axis=-1)]
    proto = toys.proto(
        nodes[: 4 if ends == "probabilities" else 3],
        {"x": ["n", *shape]},
        {"p" if ends == "probabilities" else "m": ["n", 4]},
        {"w": (1 if dtype == TensorProto.FLOAT else 0.02) * toys.numbers(flat, 4, seed=5)},
    )
    proto.graph.input[0].type.tensor_type.elem_type = dtype
    return Model.from_proto(proto)


def pictures():
    return numpy_generator(0, "pictures").integers(0, 256, (COUNT, 6, 8, 3)).astype(np.uint8)


def named_by(weights, inputs, wrong=40):
    """The classes that a linear network names, of which the first few are then made wrong."""
    labels = (inputs.reshape(len(inputs), -1) @ weights).argmax(axis=1)
    labels[:wrong] = (labels[:wrong] + 1) % 4
    return labels


def normal(pixels):
    """What a network for pictures takes, by numpy."""
    return ((pixels / 255 - np.array(RGB.mean)) / np.array(RGB.std)).transpose(0, 3, 1, 2)


def judged(model, data):
    judge = Judge(data=data, conditions=as_conditions("gaussian:sigma=0.01"), chips=1)
    return judge.of(model).clean.accuracy


@pytest.fixture
def archive(tmp_path):
    """A network and pictures in a file, on which it is right for 220 of 260."""
    model, pixels = picture_model(), pictures()
    labels = named_by(toys.numbers(3 * 6 * 8, 4, seed=5), normal(pixels))
    np.savez(tmp_path / "pictures.npz", x=pixels, y=labels)
    return model, tmp_path / "pictures.npz"


def misread_transpose(monkeypatch):
    right = arrays.normalise
    monkeypatch.setattr(dataset, "normalise", lambda raw, *rest, **more: right(raw[:, :, ::-1], *rest, **more))


def other_channels(monkeypatch):
    right = arrays.normalise
    monkeypatch.setattr(dataset, "normalise", lambda raw, *rest, **more: right(raw[..., ::-1], *rest, **more))


def labels_off_by_one(monkeypatch):
    right = dataset.encode

    def shifted(*arguments):
        labels, names = right(*arguments)
        return (labels + 1) % 4, names

    monkeypatch.setattr(dataset, "encode", shifted)


def a_cast(monkeypatch):
    right = arrays.normalise
    monkeypatch.setattr(
        dataset, "normalise", lambda *rest, **more: right(*rest, **more).astype(np.int8).astype(np.float32)
    )


def pixels_not_divided(monkeypatch):
    right = arrays.normalise
    monkeypatch.setattr(
        dataset, "normalise", lambda raw, record, *rest, **more: right(raw, replace(record, scale=1), *rest, **more)
    )


def a_dropped_row(monkeypatch):
    right = dataset.sources.read

    def read(*arguments):
        examples = right(*arguments)
        return replace(examples, values=np.delete(examples.values, 9, 0), labels=np.delete(examples.labels, 9, 0))

    monkeypatch.setattr(dataset.sources, "read", read)


def labels_one_row_late(monkeypatch):
    right = dataset.sources.read

    def read(*arguments):
        examples = right(*arguments)
        return replace(examples, labels=np.roll(examples.labels, 1))

    monkeypatch.setattr(dataset.sources, "read", read)


def softmax_twice(monkeypatch):
    right = Head.log_probabilities
    monkeypatch.setattr(
        Head, "log_probabilities", lambda head, z: right(Head(0, "m"), np.exp(right(head, z)).astype(np.float32))
    )


FAULTS = [
    misread_transpose,
    other_channels,
    labels_off_by_one,
    a_cast,
    pixels_not_divided,
    a_dropped_row,
    labels_one_row_late,
    softmax_twice,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found_and_nothing_else_finds_it(fault, archive, monkeypatch):
    model, path = archive
    assert judged(model, harden.Dataset.open(path, RGB)) == 220 / 260
    fault(monkeypatch)
    with pytest.raises(
        VerificationError, match=r"(accuracy|confidence) without noise is 0\.\d{4} .* and 0\.\d{4} "
    ) as it:
        judged(model, harden.Dataset.open(path, RGB))
    assert it.value.exit_code == 5
    monkeypatch.setattr(judges, "recount_bench", lambda *_: None)
    judged(model, harden.Dataset.open(path, RGB))  # a figure, and no word


def test_both_ways_of_python_and_the_command_line_have_the_net(archive, monkeypatch, tmp_path):
    from harden.cli import main

    model, path = archive
    (tmp_path / "m.onnx").write_bytes(model.serialize())
    (tmp_path / "n.onnx").write_bytes(picture_model("probabilities").serialize())
    labels_off_by_one(monkeypatch)
    flags = ["--mean", ".4,.45,.5", "--std", ".2,.25,.3", "--profile", "gaussian:sigma=0.01", "--chips", "1"]
    flags += ["--threads", "1", "--data", str(path)]
    monkeypatch.chdir(tmp_path)
    commands = [["eval", "m.onnx"], ["eval", "m.onnx", "--until", "ci95(mean_accuracy)<0.1"]]
    commands += [["compare", "m.onnx", "n.onnx"], ["fit", "m.onnx", "--method", "rescale"]]
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([*command, *flags])
        assert ended.value.code == 5, command
    with pytest.raises(VerificationError):
        harden.evaluate(model, "gaussian:sigma=0.01", harden.Dataset.open(path, RGB), chips=1)


def table_of(folder, x, labels, form):
    names = np.array(["ant", "bee", "cat", "10"])[labels]
    rows = x.reshape(len(x), -1)
    if form == "csv":
        with (folder / "t.csv").open("w") as file:
            writer = csv.writer(file)
            writer.writerow([*(f"c{i}" for i in range(rows.shape[1])), "label"])
            writer.writerows([*row, name] for row, name in zip(rows.tolist(), names, strict=True))
        return folder / "t.csv"
    table = pa.table({"x": rows.tolist(), "label": names if form == "names" else labels})
    described = {"shape": json.dumps(x.shape[1:])}
    if form == "order":
        described["huggingface"] = json.dumps({"info": {"features": {"label": {"names": list("dcba")}}}})
    pq.write_table(table.replace_schema_metadata(described), folder / "t.parquet")
    return folder / "t.parquet"


@pytest.mark.parametrize("form", ["csv", "names", "numbers", "order"])
@pytest.mark.parametrize("limit", [None, 120])
def test_tables_are_counted_alike(form, limit, tmp_path):
    x = toys.numbers(COUNT, 24)
    model = picture_model(shape=(24,))
    path = table_of(tmp_path, x, named_by(toys.numbers(24, 4, seed=5), x), form)
    data = harden.Dataset.open(path, PLAIN, limit=limit)
    judged(model, data)
    judged(model, data.subset(np.arange(len(data))[::-3]))


@pytest.mark.parametrize(
    ("form", "record", "shape"),
    [
        *(("folder", record, (3, 6, 8)) for record in ("as they are", "crop", "border", "squash")),
        *(("npz", record, (6, 8, 3)) for record in ("as they are", "crop")),
        ("parquet", "border", (6, 8, 3)),
        ("parquet", "as they are", (3, 6, 8)),
        *((form, "crop", (3, 6, 8)) for form in ("channels first", "memory", "loader")),
    ],
)
def test_pictures_are_counted_alike(form, record, shape, tmp_path, monkeypatch):
    model, pixels = picture_model("probabilities", shape=shape), pictures()[:40]
    preprocess = RGB
    if record != "as they are":
        preprocess = replace(RGB, input_size=(6, 8), resize=record, crop_pct=0.9)
    labels = np.arange(40) % 4
    source: object = tmp_path / "source"
    if form == "folder":
        for at, image in enumerate(pixels):
            folder = tmp_path / "source" / str(8 + labels[at])
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{at:02}.png")
    elif form == "parquet":
        (tmp_path / "p").mkdir()
        items = []
        for at, image in enumerate(pixels):
            Image.fromarray(image).save(tmp_path / "p" / f"{at}.png")
            items.append(
                {"bytes": (tmp_path / "p" / f"{at}.png").read_bytes() if at % 2 else None, "path": f"{at}.png"}
            )
        source = tmp_path / "p" / "t.parquet"
        pq.write_table(pa.table({"image": items, "label": labels}), source)
    elif form in ("npz", "channels first"):
        source = tmp_path / "t.npz"
        np.savez(source, x=pixels if form == "npz" else pixels.transpose(0, 3, 1, 2), y=labels)
    elif form == "loader":
        np.save(tmp_path / "x.npy", pixels)
        (tmp_path / "pictured.py").write_text(
            "import numpy as np\nfrom PIL import Image\n"
            "def load():\n    for i, x in enumerate(np.load('x.npy')): yield Image.fromarray(x), i % 4\n"
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.delitem(__import__("sys").modules, "pictured", raising=False)
        source = "pictured:load"
    data = (
        harden.Dataset.from_arrays(pixels, labels, preprocess)
        if form == "memory"
        else harden.Dataset.open(source, preprocess)
    )
    judged(model, data)
    judged(model, data.subset([30, 2, 17]))
    if form == "folder":
        judged(model, harden.Dataset.open(source, preprocess, limit=10))


@pytest.mark.parametrize("dtype", [TensorProto.UINT8, TensorProto.INT64, TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_inputs_of_every_type_are_counted_alike(dtype):
    whole = dtype in (TensorProto.UINT8, TensorProto.INT64)
    record = Preprocess((0, 0, 0), (1, 1, 1)) if whole else RGB
    for shape in ((3, 6, 8), (6, 8, 3)):
        judged(
            picture_model(dtype=dtype, shape=shape),
            harden.Dataset.from_arrays(pictures(), np.arange(COUNT) % 4, record),
        )


@pytest.mark.parametrize("stored", [(0, 1, 2, 3), (0, 3, 1, 2)], ids=["last", "first"])
@pytest.mark.parametrize("record", [PLAIN, Preprocess((0, 0, 0), (1, 1, 1)), RGB], ids=["one", "three", "RGB"])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_arrays_of_every_layout_are_counted_alike(stored, record, kind):
    values = pictures()[:60].transpose(stored)
    values = values if kind == np.uint8 else (values / 255).astype(np.float32)
    for shape in ((3, 6, 8), (6, 8, 3)):
        judged(picture_model(shape=shape), harden.Dataset.from_arrays(values, np.arange(60) % 4, record))


def test_without_labels_the_size_of_the_outputs_is_counted(archive, monkeypatch):
    model, _ = archive
    judged(model, harden.Dataset.from_arrays(pictures(), None, RGB))
    pixels_not_divided(monkeypatch)
    with pytest.raises(VerificationError, match="size of the outputs without noise"):
        judged(model, harden.Dataset.from_arrays(pictures(), None, RGB))


def test_only_a_few_examples_are_counted(archive):
    model, path = archive
    asked = []
    recount(model, harden.Dataset.open(path, RGB), lambda index: asked.append(index) or {}, lambda *_: ({}, {}))
    (index,) = asked
    assert (len(index), index[0], index[-1]) == (MOST, 0, COUNT - 1)
    assert benches.recount_bench is judges.recount_bench
