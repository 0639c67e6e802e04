"""The real data sets: the figures their README gives."""

from __future__ import annotations

import numpy as np
import pytest

from harden.data import Dataset, Preprocess

CIFAR = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_the_published_network_has_its_accuracy_on_cifar(shared_data):
    import onnxruntime as ort

    data = Dataset.open(shared_data / "cifar10" / "test.parquet", CIFAR)
    raw = data.raw(slice(0, 100))
    by_hand = ((raw / 255 - np.array(CIFAR.mean)) / np.array(CIFAR.std)).transpose(0, 3, 1, 2)
    assert np.abs(data.inputs(slice(0, 100)) - by_hand).max() < 1e-6
    session = ort.InferenceSession(shared_data / "models" / "resnet20_jpeg_bn.onnx")
    name = session.get_inputs()[0].name
    assert data.labels is not None
    right = 0
    for start in range(0, 10_000, 500):
        batch = slice(start, start + 500)
        logits = np.asarray(session.run(None, {name: data.inputs(batch)})[0])
        right += int((logits.argmax(axis=1) == data.labels[batch]).sum())
    assert right == 8745


@pytest.mark.parametrize(
    ("path", "record", "examples", "shape", "names"),
    [
        ("mnist/test.parquet", Preprocess((0.1307,), (0.3081,)), 10_000, (1, 28, 28), 10),
        ("mitbih_pvc/test.parquet", Preprocess((0,), (1000,)), 5979, (1, 128), 2),
    ],
)
def test_other_sets_have_their_shapes(shared_data, path, record, examples, shape, names):
    data = Dataset.open(shared_data / path, record)
    assert (len(data), data.input_shape) == (examples, shape)
    assert data.class_names is not None
    assert len(data.class_names) == data.classes == names
    inputs = data.inputs(slice(None))
    assert inputs.shape == (examples, *shape)
    assert 0.3 < inputs.std() < 3
