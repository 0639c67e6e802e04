"""What ``harden demo`` needs, shipped with the package: a small network of ours, and images of digits.

The images are the UCI data set "Optical Recognition of Handwritten Digits"; README.md in this folder gives licence,
citation and the way they were made. ``models/digits_cnn.py`` trained the network.
"""

from __future__ import annotations

from importlib import resources

FILES = ("digits_cnn.onnx", "train.npz", "test.npz")


def content(name: str) -> bytes:
    """The bytes of one of ``FILES``.

    Example:
        >>> content("test.npz")[:2]
        b'PK'
    """
    return (resources.files(__name__) / name).read_bytes()
