"""Which examples select and which are learned from, where nobody said: the same for the command line and Python."""

from __future__ import annotations

from harden import streams
from harden.data.dataset import Dataset

SHARE = 0.1
MOST = 5000  # examples: more make the choice between two steps no better, and are missed in training


def split_validation(data: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Set examples aside to select by: a tenth, at most 5,000, of each class the same share.

    Args:
        data: All examples.
        seed: The run's root seed; the stream is ``"split"``.

    Returns:
        (training, validation), both in the order of the whole.

    Raises:
        DataError: There are too few.
    """
    share = min(SHARE, MOST / max(len(data), 1))
    return data.split(share, streams.numpy_generator(seed, "split"))
