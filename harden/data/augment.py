"""The usual augmentation of small images: a random crop after zero padding, and a horizontal flip."""

from __future__ import annotations

import numpy as np


def augment(
    raw: np.ndarray,
    rng: np.random.Generator,
    *,
    pad: int = 4,
    flip: bool = True,
    part: slice = slice(None),
    of: int | None = None,
) -> np.ndarray:
    """Shift each image by up to ``pad`` pixels, and mirror half of them.

    Works on pixels before normalisation, so that the border is black, as in He et al., "Deep residual learning for
    image recognition" (CVPR 2016), section 4.2. Two numbers and a coin are drawn for every image, whatever the options.

    Args:
        raw: uint8 [B, H, W, C]. Not modified.
        rng: The source of randomness, from ``harden.streams.numpy_generator``.
        pad: Zero pixels added on each side before the crop, >= 0.
        flip: Whether to mirror left and right with probability 1/2; switch off for digits and text.
        part: Which images of a larger batch these are: they get what they would get in it.
        of: The size of that batch.

    Returns:
        uint8 [B, H, W, C].

    Example:
        >>> from harden.streams import numpy_generator
        >>> augment(np.ones((2, 8, 8, 3), np.uint8), numpy_generator(0, "augment"), pad=2).shape
        (2, 8, 8, 3)
    """
    batch, height, width, _ = raw.shape
    top, left = rng.integers(0, 2 * pad + 1, size=(2, of or batch))[:, part]
    mirrored = (rng.random(of or batch) < 0.5)[part]
    rows = top[:, None] + np.arange(height)
    columns = left[:, None] + np.arange(width)
    if flip:
        columns = np.where(mirrored[:, None], columns[:, ::-1], columns)
    padded = np.pad(raw, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    return padded[np.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]
