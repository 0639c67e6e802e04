from __future__ import annotations

import numpy as np
import pytest

from harden.data import augment
from harden.streams import numpy_generator


@pytest.mark.parametrize("flip", [True, False])
def test_every_image_is_a_shifted_perhaps_mirrored_copy(flip):
    raw = numpy_generator(0, "raw").integers(1, 256, (40, 6, 5, 3)).astype(np.uint8)
    kept = raw.copy()
    got = augment(raw, numpy_generator(0, "augment"), pad=2, flip=flip)
    assert (raw == kept).all()
    assert got.shape == raw.shape
    assert got.dtype == np.uint8
    mirrored = 0
    for image, out in zip(raw, got, strict=True):
        padded = np.zeros((10, 9, 3), np.uint8)
        padded[2:8, 2:7] = image
        crops = [padded[top : top + 6, left : left + 5] for top in range(5) for left in range(5)]
        plain = any((crop == out).all() for crop in crops)
        flipped = any((crop[:, ::-1] == out).all() for crop in crops)
        assert plain or (flip and flipped)
        mirrored += flipped and not plain
    assert (8 < mirrored < 32) if flip else mirrored == 0


def test_equal_streams_give_equal_images():
    raw = numpy_generator(0, "raw").integers(0, 256, (8, 8, 8, 1)).astype(np.uint8)
    first, second = (augment(raw, numpy_generator(1, "a")) for _ in range(2))
    assert (first == second).all()
    assert (first != augment(raw, numpy_generator(2, "a"))).any()


def test_options_do_not_shift_the_stream():
    raw = np.zeros((8, 8, 8, 1), np.uint8)
    ends = []
    for flip in (True, False):
        rng = numpy_generator(1, "a")
        augment(raw, rng, flip=flip)
        ends.append(rng.random())
    assert ends[0] == ends[1]
