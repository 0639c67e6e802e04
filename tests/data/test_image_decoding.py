"""Decoding and resizing, against timm's own evaluation transforms."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harden.data import Preprocess
from harden.data.images import LISTED, Item, decode, decode_all, resize_all
from harden.errors import DataError
from harden.streams import numpy_generator

RGB = Preprocess((0.5, 0.4, 0.3), (0.5, 0.5, 0.5))
GREY = Preprocess((0.5,), (0.5,))


def png(pixels, kind="PNG", mode=None):
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, kind)
    return stream.getvalue()


def noise(height, width, channels=3):
    return numpy_generator(0, "pixels", height, width).integers(0, 256, (height, width, channels)).astype(np.uint8)


def test_png_pixels_come_back_exactly():
    pixels = noise(5, 7)
    assert (decode(Item("a", png(pixels)), RGB) == pixels).all()


def test_images_are_converted_to_the_models_channels():
    pixels = noise(4, 4)
    grey = decode(Item("a", png(pixels)), GREY)
    assert grey.shape == (4, 4, 1)
    assert (decode(Item("a", png(grey[..., 0])), RGB) == np.repeat(grey, 3, axis=2)).all()


@pytest.mark.parametrize("size", [(30, 50), (50, 30), (24, 24), (90, 25)])
@pytest.mark.parametrize("target", [(24, 24), (16, 32), (33, 20)])
@pytest.mark.parametrize("resize", ["crop", "squash", "border"])
@pytest.mark.parametrize("crop_pct", [0.875, 1.0, 1.15])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_resizing_equals_timm_to_the_pixel(size, target, resize, crop_pct, interpolation):
    from timm.data.transforms_factory import transforms_imagenet_eval

    record = Preprocess(RGB.mean, RGB.std, target, resize=resize, crop_pct=crop_pct, interpolation=interpolation)
    theirs = transforms_imagenet_eval(
        img_size=target,
        crop_pct=crop_pct,
        crop_mode="center" if resize == "crop" else resize,
        interpolation=interpolation,
        mean=RGB.mean,
        normalize=False,
    )
    image = Image.fromarray(noise(*size))
    expected = theirs(image).numpy().transpose(1, 2, 0)
    ours = decode(Item("a", png(np.asarray(image))), record)
    assert ours.shape == expected.shape
    assert (ours == expected).all()
    assert (resize_all(np.asarray(image)[None], record)[0] == expected).all()


def test_order_is_kept_over_many_blocks():
    colours = np.arange(3000) % 251
    items = (Item(str(at), png(np.full((2, 2), colour, np.uint8))) for at, colour in enumerate(colours))
    seen = []
    pixels = decode_all(items, 3000, GREY, progress=lambda done, total: seen.append((done, total)))
    assert (pixels[:, 0, 0, 0] == colours).all()
    assert seen[-1] == (3000, 3000)


def test_all_unreadable_images_are_named():
    good = png(noise(4, 4))
    items = [Item("row 0", good), Item("row 1", good[:40]), Item("row 2", b"")]
    with pytest.raises(DataError, match=r"^2 of 3 images") as caught:
        decode_all(items, 3, RGB)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["row 1", "row 2"]


@pytest.mark.parametrize("good", [0, 1, 30])
def test_one_unreadable_image_is_a_line_and_many_are_counted(good):
    items = [Item(f"row {i}", png(noise(4, 4)) if i < good else b"") for i in range(30 + good)]
    with pytest.raises(DataError) as caught:
        decode_all(items, len(items), RGB)
    lines = str(caught.value).splitlines()
    assert len(lines) == (1 if good == 0 else 2 + LISTED)
    assert good == 0 or lines[-1] == "  - and 10 more"


@pytest.mark.parametrize("data", [b"", b"not an image", Path("absent.png")])
def test_what_is_no_image_is_a_data_error(data):
    with pytest.raises(DataError, match=r"^it: unreadable image"):
        decode(Item("it", data), RGB)


def test_images_of_different_sizes_ask_for_an_input_size():
    items = [Item("first", png(noise(4, 4))), Item("second", png(noise(4, 5)))]
    with pytest.raises(DataError, match=r"^second: the image is 4x5 .*4x4.*--input-size H,W"):
        decode_all(items, 2, RGB)
    assert decode_all(items, 2, Preprocess(RGB.mean, RGB.std, (4, 4))).shape == (2, 4, 4, 3)


def test_sixteen_bits_are_refused_not_clipped():
    deep = png(np.full((4, 4), 40000, np.uint16))
    with pytest.raises(DataError, match="more than 8 bits"):
        decode(Item("scan.png", deep), GREY)


def test_two_channels_are_no_image_file():
    with pytest.raises(DataError, match="1, 3 or 4 channels"):
        decode_all([Item("a", png(noise(4, 4)))], 1, Preprocess((0, 0), (1, 1)))
