"""Every geometry that timm's pretrained models are published with, against timm's own transform, pixel by pixel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import timm
from PIL import Image
from timm.data import create_transform, resolve_data_config

from harden.data.images import as_pixels
from harden.graph.zoo import _preprocess
from harden.streams import numpy_generator


@pytest.fixture(scope="module")
def geometries():
    """A configuration for each mode, share, filter, size and mean that differ."""
    different = {}
    for name in timm.list_pretrained():
        config = timm.get_pretrained_cfg(name).to_dict()
        facts = resolve_data_config(pretrained_cfg=config)
        key = tuple(facts[field] for field in ("crop_mode", "crop_pct", "interpolation", "input_size", "mean"))
        different.setdefault(key, (name, config, facts))
    return list(different.values())


@pytest.mark.parametrize("size", [(67, 120), (91, 50)])
def test_pixels_are_those_of_timm(geometries, size):
    image = Image.fromarray(numpy_generator(0, "pixels").integers(0, 256, (*size, 3)).astype(np.uint8))
    assert {facts["crop_mode"] for _, _, facts in geometries} >= {"center", "squash"}
    wrong = []
    for name, config, facts in geometries:
        expected = create_transform(**facts, normalize=False)(image).numpy().transpose(1, 2, 0)
        ours = as_pixels(image, _preprocess(SimpleNamespace(pretrained_cfg=config)), name)
        if not np.array_equal(ours, expected):
            wrong.append(name)
    assert wrong == []
