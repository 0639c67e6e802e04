"""Named random streams: the same names always mean the same numbers.

A stream is a root seed and a path of names, such as ``(0, "chip", 3, "conv1.weight")``. The path is hashed; the hash
fills the whole state of the generator, so two streams differ even where their first 32 bits agree (``manual_seed`` of
torch's mt19937 keeps only those). Streams are independent: a new consumer never shifts another, and chip 17 is the same
chip whether it is drawn alone, in parallel, or after 16 others.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch

# torch's CPU generator state: seed (8 bytes), left (4), seeded (4), next (8), 624 words of 8 bytes, cached normals.
_WORDS_AT = 24
_WORDS = 624


def _digest(seed: int, names: tuple[str | int, ...], length: int) -> bytes:
    path = repr((int(seed), *names)).encode()
    return hashlib.shake_256(path).digest(length)


def generator(seed: int, *names: str | int) -> torch.Generator:
    """The torch CPU generator of a named stream.

    Args:
        seed: The run's root seed.
        names: The path of the stream. ``3`` and ``"3"`` are different names.

    Returns:
        A fresh mt19937 generator; equal arguments give equal numbers.

    Example:
        >>> import torch
        >>> a = torch.randn(3, generator=generator(0, "chip", 3))
        >>> bool((a == torch.randn(3, generator=generator(0, "chip", 3))).all())
        True
    """
    import numpy as np
    import torch

    stream = torch.Generator(device="cpu")
    state = stream.get_state()
    words = np.frombuffer(_digest(seed, names, 4 * _WORDS), dtype="<u4").astype("<u8").tobytes()
    raw = state.numpy()
    raw[_WORDS_AT : _WORDS_AT + 8 * _WORDS] = np.frombuffer(words, dtype=np.uint8)
    stream.set_state(state)
    return stream


def device_generator(device: str, seed: int, *names: str | int) -> torch.Generator:
    """The generator of a named stream on a device; each kind of device has numbers of its own.

    Args:
        device: ``cpu`` or ``cuda``.
        seed: The run's root seed.
        names: The path of the stream.

    Returns:
        A fresh generator: mt19937 as :func:`generator` fills it, or CUDA's Philox under a 64-bit hash of the path.
    """
    if device == "cpu":
        return generator(seed, *names)
    import torch

    stream = torch.Generator(device=device)
    stream.manual_seed(int.from_bytes(_digest(seed, names, 8), "little", signed=True))
    return stream


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """The numpy generator (SFC64) of a named stream, for shuffles and samples.

    Args:
        seed: The run's root seed.
        names: The path of the stream.

    Returns:
        A fresh generator; equal arguments give equal numbers.
    """
    import numpy as np

    entropy = int.from_bytes(_digest(seed, names, 32), "little")
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy)))
