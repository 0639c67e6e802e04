"""What the package ships for the demo is there, fits together, and is as accurate as its README says."""

from __future__ import annotations

import numpy as np
import pytest

from harden.data import Dataset, Preprocess
from harden.data.embedded import FILES, content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("embedded")
    for name in FILES:
        (place / name).write_bytes(content(name))
    return place


def test_the_network_has_its_accuracy_with_the_preprocessing_it_carries(folder):
    import onnxruntime as ort

    session = ort.InferenceSession(folder / "digits_cnn.onnx")
    record = Preprocess.from_json(session.get_modelmeta().custom_metadata_map["harden.preprocess"])
    data = Dataset.open(folder / "test.npz", record)
    assert data.labels is not None
    logits = np.asarray(session.run(None, {"image": data.inputs(slice(None))})[0])
    assert int((logits.argmax(axis=1) == data.labels).sum()) == 587
    assert (len(data), data.classes, data.input_shape) == (597, 10, (1, 8, 8))
    train = Dataset.open(folder / "train.npz", record)
    assert len(train) == 1200
    assert abs(train.inputs(slice(None)).mean()) < 0.01
    assert abs(train.inputs(slice(None)).std() - 1) < 0.01


def test_its_batch_norms_are_kept(folder):
    import onnx

    kinds = [node.op_type for node in onnx.load(folder / "digits_cnn.onnx").graph.node]
    assert (kinds.count("BatchNormalization"), kinds.count("Conv"), kinds.count("Gemm")) == (9, 9, 1)


def test_the_images_are_scikit_learns(folder):
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    parts = [np.load(folder / f"{name}.npz") for name in ("train", "test")]
    assert (np.concatenate([part["x"] for part in parts]) == digits.images).all()
    assert (np.concatenate([part["y"] for part in parts]) == digits.target).all()
