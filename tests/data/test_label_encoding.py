from __future__ import annotations

import numpy as np
import pytest

from harden.data.labels import encode
from harden.errors import DataError


@pytest.mark.parametrize(
    ("found", "numbers", "names"),
    [
        ([0, 2, 1], [0, 2, 1], None),
        (np.array([1.0, 0.0]), [1, 0], None),
        (np.array([True, False]), [1, 0], None),
        (np.array([[3], [1]]), [3, 1], None),
        (["cat", "ant", "cat"], [1, 0, 1], ("ant", "cat")),
        (["10", "9", "2"], [2, 1, 0], ("2", "9", "10")),
        (np.array([b"b", b"a"]), [1, 0], ("a", "b")),
        (np.array(["b", "a"], dtype=object), [1, 0], ("a", "b")),
        (np.array([1, 0], dtype=object), [1, 0], None),
    ],
)
def test_labels_become_class_numbers(found, numbers, names):
    got, got_names = encode(found, "labels")
    assert got.dtype == np.int64
    assert got.tolist() == numbers
    assert got_names == names


def test_the_files_own_names_decide_the_numbers():
    numbers, names = encode(["dog", "ant"], "labels", names=("dog", "ant", "cat"))
    assert numbers.tolist() == [0, 1]
    assert names == ("dog", "ant", "cat")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([0, -1], "row 1 is -1, which is negative"),
        ([0.0, float("nan")], "row 1 is NaN"),
        (np.array([0, float("nan")], dtype=object), "row 1 is NaN"),
        ([float("inf")], "which is not the number of a class"),
        ([2**40], "which is not the number of a class"),
        (np.array([2**63], dtype=np.uint64), "which is not the number of a class"),
        (np.array([10**400], dtype=object), "too large"),
        (np.array(["a", None], dtype=object), "row 1 is missing"),
        (np.array(["a", 1], dtype=object), "numbers in some rows and names in others"),
        (np.array([b"a", {}], dtype=object), "row 0 is a bytes"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "datetime64"),
        (np.zeros((3, 2, 2)), "shape [3, 2, 2], not one number per example: they are masks. --objective match"),
        (np.eye(3), "one-hot"),
        ([[1], [1, 2]], "different lengths"),
    ],
)
def test_a_wrong_label_is_named_with_its_row(found, told):
    with pytest.raises(DataError) as caught:
        encode(found, "t.parquet, column 'label'")
    message = str(caught.value)
    assert message.startswith("t.parquet, column 'label': ")
    assert told in message
    assert "\n" not in message


def test_labels_beyond_the_files_names_are_refused():
    with pytest.raises(DataError, match="row 0 is 2, and there are 2 classes"):
        encode([2], "labels", names=("a", "b"))
    with pytest.raises(DataError, match="'c', is not one of the file's class names"):
        encode(["c"], "labels", names=("a", "b"))


@pytest.mark.parametrize(
    ("found", "dtype"),
    [
        ([0.5, 1], np.float32),
        ([-20.0, 3.0], np.float32),
        (np.array([[1, 0], [1, 1]]), np.int64),
        ([[0.5, 2]], np.float32),
    ],
)
def test_numbers_to_predict_stay_what_they_are(found, dtype):
    labels, names = encode(found, "labels")
    assert labels.dtype == dtype
    assert names is None
    assert np.array_equal(labels, np.asarray(found))
