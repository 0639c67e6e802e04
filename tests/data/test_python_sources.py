"""Sources that are Python objects: the user's loader, torchvision, timm, the hub, save_to_disk folders."""

from __future__ import annotations

import gc
import hashlib
import json
import struct
import sys

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from harden.data import Dataset, Preprocess
from harden.data.sources import SOURCES
from harden.errors import DataError, MissingExtraError, UnknownNameError

GREY = Preprocess((0.5,), (0.5,))
RGB = Preprocess((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PLAIN = Preprocess((0,), (1,))

LOADERS = """
import numpy as np
from PIL import Image

def arrays():
    return np.arange(8.0).reshape(4, 2), [0, 1, 1, 0]

def unlabelled():
    return np.arange(8.0).reshape(4, 2)

def pictures():
    for at in range(4):
        yield Image.new("L", (3, 2), at), ("a", "b")[at % 2]

class Map:
    classes = ["x", "y"]
    def __len__(self):
        return 4
    def __getitem__(self, at):
        return np.full((1, 3), at), np.int64(at % 2)

def mapped():
    return Map()

def growing():
    return [(np.zeros(at + 1), 0) for at in range(3)]

def bare():
    return [1, 2]

def empty():
    return iter(())

def texts():
    return [({"a": 1}, 0)]

def failing():
    raise RuntimeError("no\\nluck")

def lengths():
    return np.zeros((3, 2)), [0]

number = 3
"""


@pytest.fixture
def loaders(tmp_path, monkeypatch):
    name = f"loaders_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}"
    (tmp_path / f"{name}.py").write_text(LOADERS)
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_a_loader_returns_arrays(loaders):
    before = list(sys.path)
    data = Dataset.open(f"{loaders}:arrays", PLAIN, limit=3)
    assert sys.path == before
    assert data.inputs(slice(None)).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 1]
    assert Dataset.open(f"{loaders}:unlabelled", PLAIN, labelled=False).labels is None


def test_a_loader_yields_pictures_with_names(loaders):
    data = Dataset.open(f"{loaders}:pictures", GREY)
    assert (data.images, data.class_names, data.input_shape) == (True, ("a", "b"), (1, 2, 3))
    assert data.raw(slice(None))[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert Dataset.open(f"{loaders}:pictures", Preprocess((0,), (1,), (5, 4)), limit=2).raw([0]).shape == (1, 5, 4, 1)


def test_a_loader_returns_a_map_style_data_set(loaders):
    seen = []
    data = Dataset.open(f"{loaders}:mapped", PLAIN, progress=lambda *now: seen.append(now))
    assert data.inputs(slice(None)).tolist() == [[[at] * 3] for at in range(4)]
    assert (data.class_names, data.input_shape) == (("x", "y"), (1, 3))
    assert data.sha256 == Dataset.open(f"{loaders}:mapped", PLAIN).sha256
    assert data.sha256 != Dataset.open(f"{loaders}:mapped", PLAIN, limit=3).sha256


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("growing", "example 1: the example is float32[2], the first one float32[1]"),
        ("bare", "example 0: the sample is a int, not a pair"),
        ("empty", "yields 0 examples"),
        ("texts", "example 0: the example is a dict"),
        ("failing", "raised RuntimeError: no luck"),
        ("lengths", "3 examples and labels of shape [1]"),
        ("unlabelled", "returns no labels"),
        ("number", "is not a function"),
        ("absent", "cannot be imported: AttributeError"),
    ],
)
def test_what_is_wrong_with_a_loader_is_named(loaders, name, told):
    with pytest.raises(DataError) as caught:
        Dataset.open(f"{loaders}:{name}", PLAIN)
    assert str(caught.value).startswith(f"{loaders}:{name}")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_that_does_not_exist_is_named():
    with pytest.raises(DataError, match="no_such_module_here:load: cannot be imported: ModuleNotFoundError"):
        Dataset.open("no_such_module_here:load", PLAIN)


@pytest.mark.parametrize("source", ["hf:a:b", "hf:a", "timm:a:b", "torchvision:A:b", "m:f", "C:\\data\\x.npz", "a/b:c"])
def test_at_most_one_form_accepts_a_name(source):
    takers = [name for name in SOURCES if SOURCES.module(name).accepts(source)]
    assert len(takers) == (0 if "\\" in source or "/" in source else 1)


# torchvision and timm


def mnist(folder):
    """The four files of MNIST with three images each, in the format of their authors."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, base in (("train", 0), ("t10k", 100)):
        pixels = np.arange(base, base + 3, dtype=np.uint8).repeat(28 * 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, 3, 28, 28) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, 3) + bytes([7, 1, 9]))
    return folder


@pytest.mark.parametrize("name", ["torchvision:MNIST", "torchvision:mnist", "timm:torch/mnist"])
def test_torchvision_data_sets_by_name(tmp_path, name):
    data = Dataset.open(f"{name}:test:{mnist(tmp_path)}", GREY)
    assert data.raw(slice(None))[:, 0, 0, 0].tolist() == [100, 101, 102]
    assert data.labels is not None
    assert data.labels.tolist() == [7, 1, 9]
    assert (data.classes, data.input_shape) == (10, (1, 28, 28))
    train = Dataset.open(f"{name}:train:{tmp_path}", GREY)
    assert train.raw(slice(None))[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_torchvision_names_and_splits_are_checked(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean CIFAR10"):
        Dataset.open("torchvision:CIFAR11:test", RGB)
    for source in ("torchvision:MNIST", "torchvision:MNIST:val"):
        with pytest.raises(DataError, match="Give train or test"):
            Dataset.open(source, GREY)
    with pytest.raises(DataError, match="name the split"):
        Dataset.open("torchvision:GTSRB", RGB)
    with pytest.raises(DataError, match="no splits"):
        Dataset.open("torchvision:FakeData:test", RGB)
    with pytest.raises(DataError, match=r"unreadable torchvision data set.*Check the split, the folder"):
        Dataset.open(f"torchvision:ImageNet:train:{tmp_path}", RGB)
    with pytest.raises(DataError, match="name the data set and the split"):
        Dataset.open("timm:torch/mnist", GREY)


# timm leaves the image files it opens to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_timm_reads_a_folder_of_images(tmp_path):
    for at, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        Image.new("L", (3, 2), at).save(tmp_path / name / "a.png")
    data = Dataset.open(f"timm:folder:validation:{tmp_path}", GREY)
    assert data.raw(slice(None))[:, 0, 0, 0].tolist() == [0, 1]
    gc.collect()


# Hugging Face


def save_to_disk(folder, table):
    """What datasets 5.2 writes: a stream of record batches, and the list of files."""
    folder.mkdir(parents=True)
    path = str(folder / "data-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
        out.write_table(table, max_chunksize=2)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    return folder


def test_save_to_disk_folders_are_read_without_the_extra(tmp_path):
    table = pa.table({"x": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "label": [0, 1, 1]})
    one = save_to_disk(tmp_path / "all" / "test", table)
    data = Dataset.open(one, PLAIN)
    assert data.inputs(slice(None)).tolist() == [[1, 2], [3, 4], [5, 6]]
    (tmp_path / "all" / "dataset_dict.json").write_text('{"splits": ["test"]}')
    with pytest.raises(DataError, match=r"several splits: test\. Name one: .*all/test"):
        Dataset.open(tmp_path / "all", PLAIN)
    (one / "data-00000-of-00001.arrow").write_bytes(b"broken")
    with pytest.raises(DataError, match="unreadable save_to_disk folder"):
        Dataset.open(one, PLAIN)


def test_a_cloned_repository_of_the_hub_tells_its_patterns(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-0.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"parquet files below\. Name them: '.*data/\*\.parquet'"):
        Dataset.open(tmp_path, PLAIN)


def test_the_hub_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'harden-onnx\[datasets\]'"):
        Dataset.open("hf:ylecun/mnist:test", GREY)


def test_the_hub_is_read_through_datasets(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    images = [Image.new("L", (3, 2), at) for at in range(4)]
    made = datasets.Dataset.from_dict({"image": images, "label": [0, 1, 0, 1]}, features=features)
    made.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    data = Dataset.open(f"hf:{tmp_path}:train[1:]", GREY)
    assert data.raw(slice(None))[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert data.class_names == ("a", "b")
    with pytest.raises(DataError, match="Check the name, the split and the connection"):
        Dataset.open(f"hf:{tmp_path}:other", GREY)
