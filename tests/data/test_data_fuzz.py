"""Whatever the bytes: a data set that keeps its promises, or a HardenError of one line."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from strategies import damaged

from harden.data import Dataset, Preprocess
from harden.errors import HardenError

RECORDS = (Preprocess((0.5,), (0.5,)), Preprocess((0,), (1,), (3, 2)), Preprocess((0, 0, 0), (1, 1, 1), layout="NHWC"))
FUZZ = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
records = st.sampled_from(RECORDS)


def attempt(make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow and numpy warn of odd files that they can read
        try:
            return make(), ""
        except HardenError as error:
            return None, str(error).partition("\n  - ")[0]  # of several broken images, each has its line


def keeps_its_promises(make):
    data, said = attempt(make)
    assert "\n" not in said
    if data is None:
        return
    inputs = data.inputs(slice(None))
    assert inputs.shape == (len(data), *data.input_shape)
    assert len(data) > 0
    assert inputs.dtype == np.float32
    if data.labels is not None:
        assert data.labels.shape == (len(data),)
        assert data.labels.min() >= 0
        assert data.labels.max() < data.classes
        assert data.class_names is None or len(data.class_names) == data.classes


def png(colour):
    stream = io.BytesIO()
    Image.new("L", (3, 2), colour).save(stream, "PNG")
    return stream.getvalue()


def archive(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def table(columns):
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


SEEDS = {
    "images.parquet": table({"image": [{"bytes": png(at), "path": "a.png"} for at in range(3)], "label": [0, 1, 2]}),
    "lists.parquet": table({"x": [[1.0, 2.0], [3.0, 4.0]], "label": ["a", "b"]}),
    "a.npz": archive(x=np.arange(12, dtype=np.float32).reshape(3, 4), y=np.array([0, 1, 0])),
    "b.csv": b"a,b,label\n1,2.5,yes\n3,-1,no\n",
}


@pytest.mark.parametrize("name", sorted(SEEDS))
@given(data=st.data(), record=records)
@FUZZ
def test_damaged_files(tmp_path, name, data, record):
    path = tmp_path / name
    path.write_bytes(data.draw(damaged(SEEDS[name])))
    keeps_its_promises(lambda: Dataset.open(path, record))


@pytest.mark.parametrize("name", ["a.parquet", "a.npz", "a.csv", "a.tsv"])
@given(content=st.binary(max_size=200), record=records)
@FUZZ
def test_arbitrary_bytes(tmp_path, name, content, record):
    (tmp_path / name).write_bytes(content)
    keeps_its_promises(lambda: Dataset.open(tmp_path / name, record))


odd_names = st.text() | st.text("a/:.*[]\0").map(lambda text: text * 300)


@given(source=odd_names.map(lambda name: f"x{name}"))  # "/" alone is a folder, and reading it takes a while
@FUZZ
@example(source="x\n")
def test_arbitrary_names(tmp_path, source):
    keeps_its_promises(lambda: Dataset.open(source, RECORDS[0]))


cells = st.text(max_size=5) | st.integers().map(str) | st.floats().map(str)


@given(
    rows=st.lists(
        st.lists(st.text(max_size=5) | st.integers().map(str) | st.floats().map(str), max_size=4), max_size=4
    ),
    header=st.lists(st.sampled_from(["a", "b", "label", "x", ""]), max_size=4),
)
@FUZZ
def test_arbitrary_text_tables(tmp_path, rows, header):
    lines = [",".join(cells) for cells in [header, *rows]]
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    keeps_its_promises(lambda: Dataset.open(tmp_path / "a.csv", RECORDS[1]))


kinds = hnp.scalar_dtypes() | hnp.byte_string_dtypes(max_len=3) | hnp.unicode_string_dtypes(max_len=3)
shapes = hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)


@given(
    x=hnp.arrays(kinds, shapes) | hnp.arrays(np.uint8, shapes) | hnp.arrays(np.float32, shapes),
    y=hnp.arrays(kinds, shapes) | hnp.arrays(np.int64, st.integers(0, 4), elements=st.integers(0, 3)),
    record=records,
    limit=st.none() | st.integers(0, 3),
    labelled=st.booleans(),
)
@FUZZ
def test_arbitrary_arrays(tmp_path, x, y, record, limit, labelled):
    path = tmp_path / "a.npz"
    np.savez(path, x=x, y=y)
    keeps_its_promises(lambda: Dataset.open(path, record, limit=limit, labelled=labelled))
    keeps_its_promises(lambda: Dataset.from_arrays(x, y if labelled else None, record))


scalars = {
    pa.int64(): st.integers(-3, 3),
    pa.uint8(): st.integers(0, 255),
    pa.float64(): st.floats(),
    pa.string(): st.text(max_size=3),
    pa.bool_(): st.booleans(),
    pa.binary(): st.binary(max_size=5) | st.just(png(7)),
}


@st.composite
def columns(draw, count):
    kind = draw(st.sampled_from(list(scalars)))
    cells = scalars[kind]
    for _ in range(draw(st.integers(0, 2))):
        kind, cells = pa.list_(kind), st.lists(st.none() | cells, max_size=2)
    if draw(st.booleans()) and draw(st.booleans()):
        kind = pa.struct([("bytes", kind), ("path", pa.string())])
        cells = st.fixed_dictionaries({"bytes": cells, "path": st.none() | st.text(max_size=3)})
    rare = st.none() | cells if draw(st.booleans()) else cells
    return pa.array(draw(st.lists(rare, min_size=count, max_size=count)), kind)


@given(data=st.data(), record=records, shape=st.none() | st.sampled_from(["[1,2]", "[2]", "x", "[-1]", "{}", "[1e9]"]))
@FUZZ
def test_arbitrary_tables(tmp_path, data, record, shape):
    count = data.draw(st.integers(0, 3))
    known = st.sampled_from(["image", "x", "label", "other", "y"])
    names = data.draw(st.lists(known, min_size=1, max_size=3, unique=True))
    made = pa.table({name: data.draw(columns(count)) for name in names})
    path = tmp_path / "a.parquet"
    pq.write_table(made.replace_schema_metadata({"shape": shape} if shape else None), path)
    keeps_its_promises(lambda: Dataset.open(path, record, labelled=data.draw(st.booleans())))
