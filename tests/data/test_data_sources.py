"""Forms of data on disk: what is read, in which order, and what is said when it cannot be."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harden.data import Dataset, Preprocess
from harden.data.images import Item, decode
from harden.data.sources import SOURCES
from harden.errors import DataError
from harden.streams import numpy_generator

GREY = Preprocess((0.5,), (0.5,))
PLAIN = Preprocess((0,), (1,))


def png(colour, size=(4, 4)):
    stream = io.BytesIO()
    Image.new("L", size, colour).save(stream, "PNG")
    return stream.getvalue()


def rows(count, start=0):
    return [{"image": {"bytes": png(at), "path": f"{at}.png"}, "label": at % 3} for at in range(start, start + count)]


def write(path, table, metadata=None):
    made = pa.Table.from_pylist(table) if isinstance(table, list) else pa.table(table)
    pq.write_table(made.replace_schema_metadata(metadata), path)
    return path


def colours(data):
    return data.raw(slice(None))[:, 0, 0, 0].tolist()


# parquet: images


def test_hugging_face_images_are_read_in_order(tmp_path):
    path = write(tmp_path / "t.parquet", rows(5))
    data = Dataset.open(path, GREY)
    assert colours(data) == [0, 1, 2, 3, 4]
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 2, 0, 1]
    assert (data.input_shape, data.classes, data.class_names) == ((1, 4, 4), 3, None)
    assert data.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "5 examples" in repr(data)


def test_a_folder_of_parquet_files_is_one_data_set(tmp_path):
    write(tmp_path / "b.parquet", rows(3, start=2))
    write(tmp_path / "a.parquet", rows(2))
    data = Dataset.open(str(tmp_path), GREY, limit=4)
    assert colours(data) == [0, 1, 2, 3]
    assert len(data.sha256) == 64


def test_class_names_come_from_the_metadata(tmp_path):
    features = {"label": {"names": ["ant", "bee", "cat", "dog"], "_type": "ClassLabel"}}
    path = write(tmp_path / "t.parquet", rows(3), {"huggingface": json.dumps({"info": {"features": features}})})
    data = Dataset.open(path, GREY)
    assert (data.class_names, data.classes) == (("ant", "bee", "cat", "dog"), 4)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"info": 3}', '{"info": {"features": {"label": {"names": 3}}}}'])
def test_foreign_metadata_is_ignored(tmp_path, text):
    assert Dataset.open(write(tmp_path / "t.parquet", rows(3), {"huggingface": text}), GREY).class_names is None


def test_images_are_resized_once_whatever_form_they_come_in(tmp_path):
    record = Preprocess((0.5,), (0.5,), (8, 8), resize="crop", crop_pct=0.7)
    picture = numpy_generator(0, "picture").integers(0, 256, (20, 30)).astype(np.uint8)
    (tmp_path / "a").mkdir()
    Image.fromarray(picture).save(tmp_path / "a" / "a.png")
    content = (tmp_path / "a" / "a.png").read_bytes()
    expected = decode(Item("a", content), record)
    write(tmp_path / "t.parquet", [{"image": {"bytes": content, "path": None}, "label": 0}])
    np.savez(tmp_path / "t.npz", x=picture[None], y=[0])
    for source in (tmp_path / "t.parquet", tmp_path / "t.npz"):
        assert (Dataset.open(source, record).raw([0])[0] == expected).all()
    (tmp_path / "t.parquet").unlink()
    assert (Dataset.open(tmp_path, record).raw([0])[0] == expected).all()


def test_plain_bytes_and_string_labels(tmp_path):
    path = write(tmp_path / "t.parquet", {"img": [png(1), png(2)], "target": ["b", "a"]})
    data = Dataset.open(path, GREY)
    assert data.class_names == ("a", "b")
    assert data.labels is not None
    assert data.labels.tolist() == [1, 0]


def test_images_beside_the_file_are_found_by_their_path(tmp_path):
    (tmp_path / "a.png").write_bytes(png(7))
    path = write(tmp_path / "t.parquet", [{"image": {"bytes": None, "path": "a.png"}, "label": 0}])
    assert colours(Dataset.open(path, GREY)) == [7]


def test_unlabelled_images_are_read_when_asked(tmp_path):
    path = write(tmp_path / "t.parquet", [{"image": row["image"]} for row in rows(3)])
    with pytest.raises(DataError, match=r"no labels \(found: image .*label, labels, class"):
        Dataset.open(path, GREY)
    data = Dataset.open(path, GREY, labelled=False)
    assert (data.labels, data.classes, len(data)) == (None, 0, 3)


# parquet: numbers


def test_lists_of_numbers_are_signals(tmp_path):
    beats = pa.array(np.arange(12, dtype=np.int16).reshape(3, 4).tolist(), pa.list_(pa.int16(), 4))
    table = {"beat": beats, "record": [1, 2, 3], "label": [0, 1, 1]}
    flat = Dataset.open(write(tmp_path / "a.parquet", table), PLAIN)
    shaped = Dataset.open(write(tmp_path / "b.parquet", table, {"shape": "[1,4]"}), PLAIN)
    assert flat.inputs(slice(None)).tolist() == np.arange(12.0).reshape(3, 4).tolist()
    assert (flat.input_shape, shaped.input_shape, shaped.raw([0]).dtype) == ((4,), (1, 4), np.int16)


def test_nested_lists_keep_their_shape(tmp_path):
    values = np.arange(24.0).reshape(2, 3, 4)
    data = Dataset.open(write(tmp_path / "a.parquet", {"x": values.tolist(), "y": [0, 1]}), PLAIN)
    assert (data.inputs(slice(None)) == values).all()


def test_columns_of_single_numbers_are_features(tmp_path):
    table = {"age": pa.array([3, 4], pa.uint8()), "tall": [True, False], "class": ["x", "y"]}
    data = Dataset.open(write(tmp_path / "a.parquet", table), PLAIN)
    assert data.inputs(slice(None)).tolist() == [[3, 1], [4, 0]]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"x": [[1.0, 2.0], [1.0]], "y": [0, 1]}, "row 1 is a list of 1 numbers, row 0 one of 2"),
        ({"x": [[1.0, None], [1.0, 2.0]], "y": [0, 1]}, "missing in row 0"),
        ({"x": [[1.0], None], "y": [0, 1]}, "row 1 is empty"),
        ({"x": [[[1.0], [2.0]], [[1.0], None]], "y": [0, 1]}, "missing in row 1"),
        ({"a": [[1.0]], "b": [[1.0]], "y": [0]}, "several list columns: a, b"),
        ({"a": ["text"], "y": [0]}, "no images and no numbers (found: a (string), y (int64))"),
        ({"a": [1, 2], "b": ["s", "t"], "y": [0, 1]}, "columns that are not numbers: 'b' (string)"),
        ({"x": [[float("inf")]], "y": [0]}, "example 0 holds NaN, infinity"),
        ({"x": [[1.0], [2.0]], "y": [0, None]}, "row 1 is NaN"),
        ({"x": [[1.0], [2.0]], "y": [0, -1]}, "row 1 is -1"),
        ({"x": pa.array([], pa.list_(pa.float32())), "y": pa.array([], pa.int64())}, "no rows"),
        ({"image": [b"no image"], "label": [0]}, "row 0: unreadable image"),
        ({"image": [None, png(1)], "label": [0, 1]}, "row 0: the image is missing"),
        ({"image": [png(1), png(1, (4, 5))], "label": [0, 1]}, "--input-size H,W"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path, table, told):
    path = write(tmp_path / "t.parquet", table)
    with pytest.raises(DataError) as caught:
        Dataset.open(path, GREY if "image" in table else PLAIN)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert told in message
    assert "\n" not in message


def test_shards_with_other_columns_are_named(tmp_path):
    write(tmp_path / "a.parquet", {"x": [[1.0]], "y": [0]})
    write(tmp_path / "b.parquet", {"z": [[1.0]], "y": [0]})
    with pytest.raises(DataError, match=r"b\.parquet: its columns differ from those of a\.parquet"):
        Dataset.open(tmp_path, PLAIN)


@pytest.mark.parametrize("names", [("train.parquet", "test.parquet"), ("train-0.parquet", "validation-0.parquet")])
def test_files_of_several_splits_are_never_mixed(tmp_path, names):
    for name in names:
        write(tmp_path / name, rows(2))
    with pytest.raises(DataError, match=r"files of several splits.*Name those of one: '.*t\w+\*\.parquet'"):
        Dataset.open(tmp_path, GREY)
    write(tmp_path / "train-1.parquet", rows(2, start=5))
    write(tmp_path / "train-0.parquet", rows(1))
    assert colours(Dataset.open(tmp_path / "train-*.parquet", GREY)) == [0, 5, 6]


# text tables


def test_csv_columns_are_features_in_the_order_of_the_header(tmp_path):
    (tmp_path / "a.csv").write_text("b,label,a\n1,yes,2.5\n3,no,4\n")
    (tmp_path / "a.tsv").write_text("b\tlabel\ta\n1\tyes\t2.5\n3\tno\t4\n")
    for name in ("a.csv", "a.tsv"):
        data = Dataset.open(tmp_path / name, PLAIN)
        assert data.inputs(slice(None)).tolist() == [[1, 2.5], [3, 4]]
        assert data.class_names == ("no", "yes")
        assert data.labels is not None
        assert data.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "unreadable table: Empty CSV file"),
        ("a,b\n1,2\n", "no labels (found: a (int64), b (int64))"),
        ("a,label\n", "no rows"),
        ("a,label\n1,0\n,1\n", "column 'a': row 1 is empty"),
        ("a,label\n1,0\nx,1\n", "no images and no numbers (found: a (string)"),
        ("a,c,label\n1,x,0\n", "columns that are not numbers: 'c' (string)"),
        ("a,label\n1,0\n1\n", "unreadable table: CSV parse error"),
        ("a,label\n1,\n2,1\n", "row 0 is NaN"),
        ("label\n1\n", "no images and no numbers"),
    ],
)
def test_what_is_wrong_with_a_text_table_is_named(tmp_path, text, told):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        Dataset.open(path, PLAIN)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


# folders


def folder(tmp_path, files):
    for name, colour in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(colour))
    return tmp_path


def test_sub_folders_are_classes_in_order(tmp_path):
    files = {"dog/b.png": 3, "dog/a.PNG": 2, "cat/deep/z.png": 1, "cat/c.png": 0, ".hidden/x.png": 9}
    folder(tmp_path, files)
    (tmp_path / "dog" / "notes.txt").write_text("not an image")
    data = Dataset.open(tmp_path, GREY)
    assert data.class_names == ("cat", "dog")
    assert colours(data) == [0, 1, 2, 3]
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 1, 1]


def test_numbered_folders_are_in_numerical_order(tmp_path):
    data = Dataset.open(folder(tmp_path, {f"{at}/a.png": at for at in range(12)}), GREY)
    assert data.labels is not None
    assert colours(data) == data.labels.tolist() == list(range(12))


def test_a_limit_takes_of_every_class_in_turn(tmp_path):
    files = {f"{name}/{at}.png": base + at for name, base in (("a", 0), ("b", 10), ("c", 20)) for at in range(4)}
    assert colours(Dataset.open(folder(tmp_path, files), GREY, limit=4)) == [0, 1, 10, 20]


def test_the_digest_depends_on_names_and_content(tmp_path):
    digests = []
    for name, colour in (("a", 1), ("a", 1), ("b", 1), ("a", 2)):
        place = folder(tmp_path / str(len(digests)), {f"{name}/0.png": colour})
        digests.append(Dataset.open(place, GREY).sha256)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_folders_that_are_no_data_set_say_why(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    cases = {
        empty: "no images in it",
        folder(tmp_path / "flat", {"a.png": 1}): "images without labels",
        folder(tmp_path / "root", {"train/a/a.png": 1, "test/a/a.png": 1}): "splits, not classes. Name them",
    }
    (tmp_path / "root" / "broken").mkdir()
    for place, told in list(cases.items())[:2]:
        with pytest.raises(DataError, match=told):
            Dataset.open(place, GREY)
    (tmp_path / "root" / "broken").rmdir()
    with pytest.raises(DataError, match=r"splits, not classes\. Name them: --data \S*train --test \S*test"):
        Dataset.open(tmp_path / "root", GREY)
    assert len(Dataset.open(tmp_path / "flat", GREY, labelled=False)) == 1


def test_an_unreadable_file_in_a_folder_is_named(tmp_path):
    folder(tmp_path, {"a/good.png": 1})
    (tmp_path / "a" / "bad.png").write_text("text")
    with pytest.raises(DataError, match=r"bad\.png: unreadable image"):
        Dataset.open(tmp_path, GREY)


# npz


def test_npz_arrays_are_read_under_their_usual_names(tmp_path):
    x, y = np.arange(24, dtype=np.float32).reshape(4, 6), np.array([0, 1, 0, 1], np.uint8)
    for index, names in enumerate((("x", "y"), ("images", "labels"), ("data", "target"))):
        path = tmp_path / f"{index}.npz"
        np.savez(path, **dict(zip(names, (x, y), strict=True)))
        data = Dataset.open(path, PLAIN, limit=3)
        assert (data.inputs(slice(None)) == x[:3]).all()
        assert data.labels is not None
        assert data.labels.tolist() == [0, 1, 0]


def test_npz_images_are_resized(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.full((2, 8, 6), 9, np.uint8), y=[0, 1])
    data = Dataset.open(tmp_path / "a.npz", Preprocess((0.5,), (0.5,), (4, 4)))
    assert colours(data) == [9, 9]
    assert data.input_shape == (1, 4, 4)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"a": [1]}, "no array called x, images, data, inputs or features (found: a)"),
        ({"x": [[1.0]]}, "no array called y, labels"),
        ({"x": [[1.0]], "y": [0, 1]}, "1 examples and 2 labels"),
        ({"x": 3.0, "y": [0]}, "'x' is a single value"),
        ({"x": np.array([{}]), "y": [0]}, "'x' holds Python objects"),
        ({"x": np.zeros((0, 3)), "y": []}, "empty"),
    ],
)
def test_what_is_wrong_with_an_archive_is_named(tmp_path, arrays, told):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError) as caught:
        Dataset.open(path, PLAIN)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


# what is no data at all


@pytest.mark.parametrize("name", ["t.parquet", "t.npz"])
@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"PAR1" + b"\0" * 20 + b"PAR1"])
def test_broken_files_are_data_errors_of_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        Dataset.open(tmp_path / name, PLAIN)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


def test_missing_and_unknown_forms_list_the_accepted_ones(tmp_path):
    with pytest.raises(DataError, match=r"no such file or folder.*Accepted: .*parquet"):
        Dataset.open(tmp_path / "absent.parquet", PLAIN)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"not a form of data.*Accepted: .*npz"):
        Dataset.open(tmp_path / "a.txt", PLAIN)
    with pytest.raises(DataError, match="limit of 0"):
        Dataset.open(tmp_path / "a.txt", PLAIN, limit=0)


def test_every_form_says_what_it_accepts_and_refuses_the_absent(tmp_path):
    for name in SOURCES:
        member = SOURCES.module(name)
        assert member.ACCEPTS
        assert not member.accepts(str(tmp_path / "absent"))
