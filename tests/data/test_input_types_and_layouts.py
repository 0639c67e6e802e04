"""What a model sees of the same examples, whatever type and layout its input has: figures worked out by numpy alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toys
from onnx import TensorProto, helper
from PIL import Image

from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.errors import DataError
from harden.evaluation.evaluate import evaluate
from harden.evaluation.input_feed import Feed, fitted
from harden.graph.file import Model
from harden.streams import numpy_generator
from harden.training.problem import Problem

PLAIN = Preprocess((0,), (1,))
RGB = Preprocess((0, 0, 0), (1, 1, 1))
PIXELS = numpy_generator(0, "pixels").integers(0, 256, (5, 4, 6, 3)).astype(np.uint8)
LABELS = np.arange(5) % 2


def taking(dtype, *shape, **others):
    """A model whose first input has a type and a shape; only the inputs matter here."""
    node = helper.make_node
    nodes = [node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), node("Flatten", ["f"], ["v"])]
    nodes += [node("MatMul", ["v", "w"], ["m"], "only")]
    numbers = int(np.prod([side for side in shape if isinstance(side, int)]))
    last = "m"
    for name in others:
        nodes += [node("Mul", [last, name], [f"{last}{name}"])]
        last += name
    ends = {"x": ["n", *shape], **others}
    proto = toys.proto(nodes, ends, {last: ["n", 2]}, {"w": toys.numbers(numbers, 2)})
    proto.graph.input[0].type.tensor_type.elem_type = dtype
    return Model.from_proto(proto)


def seen(dtype, shape, values, record=PLAIN):
    return Feed(taking(dtype, *shape), Dataset.from_arrays(values, LABELS, record)).head(5)[0]


@pytest.mark.parametrize("dtype", [TensorProto.UINT8, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT16])
@pytest.mark.parametrize("record", [PLAIN, RGB, Preprocess((0, 0, 0), (1 / 255,) * 3)])
def test_integers_are_taken_as_they_are(dtype, record):
    ours = seen(dtype, (3, 4, 6), PIXELS, record)
    assert ours.dtype == helper.tensor_dtype_to_np_dtype(dtype)
    assert (ours == PIXELS.transpose(0, 3, 1, 2)).all()
    assert (seen(dtype, (4, 6, 3), PIXELS, record) == PIXELS).all()


def test_bytes_are_token_numbers():
    tokens = PIXELS[:, 0, :, 0]
    assert (seen(TensorProto.INT64, (6,), tokens) == tokens).all()
    assert np.allclose(seen(TensorProto.FLOAT, (6,), tokens), tokens / 255)  # pixels, as docs/data.md says
    assert (seen(TensorProto.INT64, (6,), tokens.astype(np.float32)) == tokens).all()


def test_large_numbers_stay_the_same_on_every_way(tmp_path, monkeypatch):
    numbers = 2**24 + 1 + np.arange(10).reshape(5, 2)
    model = taking(TensorProto.INT64, 2)
    rows = "".join(f"{a},{b},{label}\n" for (a, b), label in zip(numbers.tolist(), LABELS.tolist(), strict=True))
    (tmp_path / "ids.csv").write_text(f"a,b,label\n{rows}")
    np.savez(tmp_path / "ids.npz", x=numbers, y=LABELS)
    (tmp_path / "ids_of.py").write_text(
        "import numpy as np\ndef load():\n    for i in range(5): yield np.arange(2) + 2**24 + 1 + 2 * i, i % 2\n"
    )
    monkeypatch.chdir(tmp_path)
    for source in ("ids.csv", "ids.npz", "ids_of:load"):
        assert (Feed(model, Dataset.open(source, PLAIN)).head(5)[0] == numbers).all(), source


@pytest.mark.parametrize(
    ("dtype", "value", "told"),
    [
        (TensorProto.UINT8, 126.99999, "126.999992 would become 126: the model's input 'x' is of type uint8"),
        (TensorProto.UINT8, 0.5, "0.5 would become 0"),
        (TensorProto.UINT8, -1.0, "-1 would become 255"),
        (TensorProto.UINT8, 256, "256 would become 0"),
        (TensorProto.INT8, 200, "200 would become -56"),
        (TensorProto.UINT64, -3, "-3 would become"),
        (TensorProto.INT64, 2.0**63, "would become"),
        (TensorProto.BOOL, 2, "2 would become True"),
        (TensorProto.FLOAT16, 7e4, "70000 would become inf"),
    ],
)
def test_a_number_that_would_change_is_refused(dtype, value, told):
    values = np.zeros((5, 3), np.asarray(value).dtype)
    values[3, 1] = value
    for use in (Feed, lambda model, data: Problem(model, data, data).training.feed([0, 3])):
        with pytest.raises(DataError, match="<memory>: ") as caught:
            use(taking(dtype, 3), Dataset.from_arrays(values, LABELS, PLAIN))
        assert told in str(caught.value)


def test_preprocessing_that_gives_no_integers_is_refused():
    with pytest.raises(DataError, match=r"--mean 0 --std 1"):
        seen(TensorProto.UINT8, (3, 4, 6), PIXELS, Preprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))


@pytest.mark.parametrize("wanted", [(3, 4, 6), (4, 6, 3), (3, None, None), (None, None, 3)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("stored", ["last", "first"])
@pytest.mark.parametrize("record", [PLAIN, RGB])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_images_are_in_the_models_layout(wanted, layout, stored, record, kind):
    record = Preprocess(record.mean, record.std, layout=layout)
    images = PIXELS if kind == "uint8" else (PIXELS / 255).astype(np.float32)
    data = Dataset.from_arrays(images if stored == "last" else images.transpose(0, 3, 1, 2), LABELS, record)
    expected = (PIXELS / 255).astype(np.float32)
    if wanted[-1] != 3:
        expected = expected.transpose(0, 3, 1, 2)
    ours = data.matching(wanted, "net.onnx")
    assert np.allclose(ours.inputs(slice(None)), expected)
    assert np.allclose(ours.subset([3, 1]).inputs([0]), expected[3:4])
    assert ours.matching(wanted, "net.onnx") is ours


def test_pictures_in_a_folder_are_in_the_models_layout(tmp_path):
    for at, image in enumerate(PIXELS):
        folder = tmp_path / "abcde"[at]
        folder.mkdir()
        Image.fromarray(image).save(folder / "0.png")
    data = fitted(taking(TensorProto.FLOAT, 4, 6, 3), Dataset.open(tmp_path, RGB))
    assert np.allclose(data.inputs(slice(None)), PIXELS / 255)
    assert data.preprocess.layout == "NHWC"  # what the hardened file will say
    with pytest.raises(DataError, match=r"\[1, 4, 6\].* wants \[4, 6, 3\]\. Give --mean and --std with 3 values"):
        fitted(taking(TensorProto.FLOAT, 4, 6, 3), Dataset.open(tmp_path, PLAIN))


@pytest.mark.parametrize("wanted", [(4, 6), (1, 4, 6), (4, 6, 1), ("h", "w"), ("c", 4, 6)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_grey_pictures_need_no_axis_of_channels(wanted, kind):
    values = PIXELS[..., 0].astype(kind)
    expected = values / 255 if kind == np.uint8 else values
    for record in (PLAIN, Preprocess((0,), (1,), (4, 6))):
        ours = Dataset.from_arrays(values, LABELS, record).matching(wanted, "net.onnx").inputs(slice(None))
        assert ours.shape == (
            5,
            *(side if isinstance(side, int) else {"h": 4, "w": 6, "c": 1}[side] for side in wanted),
        )
        assert np.allclose(ours.reshape(5, 4, 6), expected)


@pytest.mark.parametrize("shape", [(3, 4, 6), (4, 6, 3), (2, 4, 6), (4, 6), (1, 24)])
def test_arrays_are_left_alone(shape):
    values = numpy_generator(0, "values").normal(300, 99, (5, *shape)).astype(np.float32)
    data = Dataset.from_arrays(values, LABELS, PLAIN)
    assert (data.inputs(slice(None)) == values).all()
    assert (seen(TensorProto.FLOAT, shape, values) == values).all()


def test_signals_get_the_axis_that_the_model_has(tmp_path):
    beats = numpy_generator(0, "beats").normal(size=(6, 8)).astype(np.float32)
    labels = np.arange(6) % 2
    np.savez(tmp_path / "beats.npz", x=beats, y=labels)
    pq.write_table(pa.table({"beat": beats.tolist(), "label": labels}), tmp_path / "beats.parquet")
    model, scaled = taking(TensorProto.FLOAT, 1, 8), Preprocess(tuple(range(8)), (2,) * 8)
    for name in ("beats.npz", "beats.parquet"):
        data = Dataset.open(tmp_path / name, PLAIN)
        assert (Feed(model, data).head(6)[0] == beats[:, None]).all()
        assert (Problem(model, data, data.subset([4, 2])).validation.inputs([0]) == beats[4, None]).all()
        per_value = fitted(model, Dataset.open(tmp_path / name, scaled)).inputs(slice(None))
        assert np.allclose(per_value[:, 0], (beats - np.arange(8)) / 2)
        clean = evaluate(model, "gaussian:sigma=0.01", data, chips=1, threads=1).clean.accuracy
        own = (beats @ toys.numbers(8, 2)).argmax(axis=1)
        assert clean == (own == labels).mean()


@pytest.mark.parametrize(
    ("shape", "wanted", "fix"),
    [
        ((128, 2), (2, 128), r"Transpose them: x\.transpose\(0, 2, 1\)"),
        ((784,), (28, 28), r"Reshape them: x\.reshape\(-1, 28, 28\)"),
        ((5,), (4,), "Give examples of the shape that the model was trained on"),
        ((8, 3, 8), (3, 8, 8), "Transpose them"),
    ],
)
def test_other_layouts_say_what_to_do(shape, wanted, fix):
    data = Dataset.from_arrays(np.zeros((5, *shape), np.float32), LABELS, PLAIN)
    with pytest.raises(DataError, match=rf"net\.onnx wants .*\. {fix}$"):
        data.matching(wanted, "net.onnx")


@pytest.mark.parametrize("rate", [np.float32(3), np.full(6, 3, np.int64)])
def test_a_second_input_without_axes_is_one_number(rate, tmp_path):
    model = taking(TensorProto.FLOAT, 4, k=[])
    x, labels = toys.numbers(6, 4), np.arange(6) % 2
    np.savez(tmp_path / "rated.npz", x=x, k=rate, y=labels)
    data = Dataset.open(tmp_path / "rated.npz", PLAIN, inputs=("x", "k"))
    inputs, number = Feed(model, data.subset([5, 1])).head(2)
    assert (inputs == x[[5, 1]]).all()
    assert (number.shape, number.dtype, float(number)) == ((), np.float32, 3.0)
    own = (3 * x @ toys.numbers(4, 2)).argmax(axis=1)
    assert evaluate(model, "gaussian:sigma=0.01", data, chips=1, threads=1).clean.accuracy == (own == labels).mean()
    np.savez(tmp_path / "mixed.npz", x=x, k=np.arange(6), y=labels)
    with pytest.raises(DataError, match=r"input 'k' .*different ones"):
        Feed(model, Dataset.open(tmp_path / "mixed.npz", PLAIN, inputs=("x", "k")))
