"""Data sets in memory: inputs, parts, shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.data import Dataset, Preprocess
from harden.data import storage as storage_module
from harden.errors import DataError, PreprocessError
from harden.streams import numpy_generator

RGB = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLAIN = Preprocess((0,), (1,), scale=1)


def images(count=12, channels=3, height=4, width=5):
    return numpy_generator(0, "images").integers(0, 256, (count, height, width, channels)).astype(np.uint8)


def test_inputs_are_worked_out_by_hand():
    pixels = np.zeros((1, 1, 2, 3), np.uint8)
    pixels[0, 0, 1] = (255, 51, 102)
    data = Dataset.from_arrays(pixels, [0], Preprocess((0.5, 0.0, 0.2), (0.5, 0.1, 0.2)))
    expected = np.array([[[[-1.0, 1.0]], [[0.0, 2.0]], [[-1.0, 1.0]]]], np.float32)
    assert data.input_shape == (3, 1, 2)
    assert np.allclose(data.inputs([0]), expected, atol=1e-6)


def test_inputs_equal_torchvision_to_the_bit():
    from torchvision import transforms

    pixels = images()
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize(RGB.mean, RGB.std)])
    expected = np.stack([theirs(image).numpy() for image in pixels])
    ours = Dataset.from_arrays(pixels, None, RGB).inputs(slice(None))
    assert ours.dtype == np.float32
    assert ours.flags.c_contiguous
    assert (ours == expected).all()


def test_nhwc_models_get_channels_last():
    first = Dataset.from_arrays(images(), None, RGB)
    last = Dataset.from_arrays(images(), None, Preprocess(RGB.mean, RGB.std, layout="NHWC"))
    assert last.input_shape == (4, 5, 3)
    assert (last.inputs(slice(None)) == first.inputs(slice(None)).transpose(0, 2, 3, 1)).all()


def test_channels_first_pixels_are_the_same_images():
    pixels = images()
    assert (Dataset.from_arrays(pixels.transpose(0, 3, 1, 2), None, RGB).raw(slice(None)) == pixels).all()


def test_plain_arrays_pass_unchanged():
    x = numpy_generator(0, "x").normal(size=(6, 2, 7)).astype(np.float32)
    data = Dataset.from_arrays(x, None, PLAIN)
    assert data.input_shape == (2, 7)
    assert (data.inputs(slice(None)) == x).all()


def test_signals_are_normalised_per_channel_and_features_per_column():
    x = np.ones((2, 2, 3), np.float32) * np.array([10, 20])[:, None]
    assert np.allclose(Dataset.from_arrays(x, None, Preprocess((8, 15), (2, 5))).inputs([0]), 1)
    assert np.allclose(Dataset.from_arrays(x[:, :, 0], None, Preprocess((8, 15), (2, 5))).inputs([0]), 1)


def test_float_images_with_pixel_values_are_refused():
    x = images().astype(np.float32)
    with pytest.raises(DataError, match=r"float32 images reach .*uint8"):
        Dataset.from_arrays(x, None, RGB)
    assert Dataset.from_arrays(x / 255, None, RGB).images
    assert Dataset.from_arrays(x, None, Preprocess((0, 0, 0), (1, 1, 1))).images


@pytest.mark.parametrize(
    ("values", "labels", "told"),
    [
        (np.zeros((0, 4), np.float32), [], "empty"),
        (np.float32(3), None, "empty"),
        (np.zeros((2, 4), complex), None, "type complex128"),
        (np.array([["a"]]), None, "type <U1"),
        (np.array([[1.0], [np.nan]]), None, "example 1 holds NaN"),
        (np.array([[1e300], [1.0]]), None, "example 0 holds"),
        (np.zeros((2, 4)), [0], "2 examples and 1 labels"),
        (np.zeros((2, 8, 8), np.uint8), None, None),
        (np.zeros((2, 5, 8, 7), np.uint8), None, "no axis of 1 channels"),
    ],
)
def test_arrays_that_are_no_data_set_are_named(values, labels, told):
    if told is None:
        assert Dataset.from_arrays(values, labels, PLAIN).input_shape == (1, 8, 8)
        return
    with pytest.raises(DataError, match=r"^<memory>: ") as caught:
        Dataset.from_arrays(values, labels, PLAIN)
    assert told in str(caught.value)


def test_mean_of_the_wrong_number_of_features_is_refused():
    with pytest.raises(DataError, match=r"examples of shape \[4\] for mean and std of 3 values"):
        Dataset.from_arrays(np.zeros((2, 4)), None, Preprocess((0, 0, 0), (1, 1, 1)))


def test_parts_share_the_values_and_keep_the_order():
    data = Dataset.from_arrays(images(), np.arange(12) % 3, RGB)
    part = data.subset(np.array([7, 2, 9]))
    assert part.labels is not None
    assert part.labels.tolist() == [1, 2, 0]
    assert (part.raw(slice(None)) == data.raw([7, 2, 9])).all()
    assert (part.subset([2]).inputs([0]) == data.inputs([9])).all()
    assert part.classes == 3
    assert part.subset(part.labels == 1).examples == 1
    assert part.sha256 == data.sha256
    with pytest.raises(DataError, match="no examples left"):
        data.subset([])


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(lambda s: sum(s) >= 2),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**70),
)
def test_split_is_a_partition_with_equal_shares_of_every_class(sizes, fraction, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    labels = numpy_generator(seed, "order").permutation(labels)
    data = Dataset.from_arrays(np.arange(len(labels), dtype=np.float32)[:, None], labels, PLAIN)
    if not 0 < round(fraction * len(labels)) < len(labels):
        with pytest.raises(DataError, match="leaves nothing"):
            data.split(fraction, numpy_generator(seed, "split"))
        return
    rest, held = data.split(fraction, numpy_generator(seed, "split"))
    a, b = (part.inputs(slice(None))[:, 0] for part in (rest, held))
    assert sorted([*a, *b]) == list(range(len(labels)))
    assert list(a) == sorted(a)
    assert len(b) == round(fraction * len(labels))
    assert held.labels is not None
    for label, size in enumerate(sizes):
        assert abs((held.labels == label).sum() - fraction * size) <= 1.5
    again = data.split(fraction, numpy_generator(seed, "split"))[1]
    assert (again.inputs(slice(None))[:, 0] == b).all()


def test_unlabelled_data_splits_too():
    rest, held = Dataset.from_arrays(images(), None, RGB).split(0.25, numpy_generator(0, "split"))
    assert (len(rest), len(held), rest.labels) == (9, 3, None)


def test_matching_adds_and_removes_axes_of_length_one():
    data = Dataset.from_arrays(np.zeros((3, 8), np.float32), None, PLAIN)
    assert data.matching((None,), "net.onnx") is data
    assert data.matching((1, 8), "net.onnx").inputs([0, 1]).shape == (2, 1, 8)
    assert data.subset([2]).matching((1, "length"), "net.onnx").inputs([0]).shape == (1, 1, 8)
    assert data.matching((1, 8, 1), "net.onnx").matching((8,), "net.onnx").input_shape == (8,)
    for wrong in ((9,), (2, 4), (8, 8), ()):
        with pytest.raises(DataError, match=r"examples are \[8\], and net.onnx wants"):
            data.matching(wrong, "net.onnx")


def test_images_of_another_size_than_the_models_ask_for_the_flag():
    data = Dataset.from_arrays(images(), None, RGB)
    with pytest.raises(DataError, match=r"\[3, 4, 5\], and net.onnx wants \[3, 8, 8\].*--input-size H,W"):
        data.matching((3, 8, 8), "net.onnx")


def test_a_model_that_does_not_say_is_an_error_with_the_flags(tmp_path):
    with pytest.raises(PreprocessError, match="--mean a,b,c --std a,b,c"):
        Dataset.open(tmp_path, None)


def test_large_data_goes_to_a_mapped_file_and_reads_the_same(monkeypatch):
    monkeypatch.setattr(storage_module, "IN_MEMORY", 100)
    values = storage_module.allocate((50, 4), np.float32)
    assert isinstance(values, np.memmap)
    values[:] = np.arange(200).reshape(50, 4)
    data = Dataset.from_arrays(values, None, PLAIN)
    assert (data.inputs([49]) == [[196, 197, 198, 199]]).all()
    assert not isinstance(data.raw([49]), np.memmap)


def test_large_archives_never_enter_memory_as_a_whole(tmp_path, monkeypatch):
    values = numpy_generator(0, "x").normal(size=(3000, 7))
    monkeypatch.setattr(storage_module, "IN_MEMORY", 1000)
    for name, x in (("rows", values), ("columns", np.asfortranarray(values)), ("big_endian", values.astype(">f4"))):
        for save in (np.savez, np.savez_compressed):
            save(tmp_path / f"{name}.npz", x=x, y=np.zeros(3000))
            data = Dataset.open(tmp_path / f"{name}.npz", PLAIN)
            assert isinstance(data._values, np.memmap)
            assert (data.inputs(slice(None)) == values.astype(np.float32)).all()
            assert (
                Dataset.open(tmp_path / f"{name}.npz", PLAIN, limit=9).inputs(slice(None)) == data.inputs(slice(9))
            ).all()
    values[2999, 6] = np.nan
    with pytest.raises(DataError, match="example 2999 holds NaN"):
        Dataset.from_arrays(values, None, PLAIN)


def test_a_disk_without_room_is_an_error_before_the_write(monkeypatch):
    with pytest.raises(DataError, match="Set TMPDIR"):
        storage_module.allocate((1 << 30, 1 << 30), np.uint8)
