"""A network's own answers as labels, for what counts right answers where nobody gave any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from harden.errors import DataError
from harden.evaluation.input_feed import Feed
from harden.tasks import heads

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model


def answered(data: Dataset, model: Model) -> Dataset:
    """The examples with the noise-free network's top answers as labels: accuracy is then agreement with it.

    Args:
        data: The examples; labels that they have are replaced.
        model: A classifier; its first output is [B, C], C > 1, or [B, C, 1, ...].

    Returns:
        The same examples with labels in [0, C).

    Raises:
        DataError: The output is no score for each of several classes.
    """
    head = heads(model)[0]
    net = model.module([head.value]).eval()
    answers = []
    width = 0
    with torch.no_grad():
        for batch, count in Feed(model, data):
            first = net(*map(torch.from_numpy, batch))
            width = int(first[0].numel())
            if width < 2 or width not in first.shape:
                raise DataError(
                    f"the output {head.name} has the shape {list(first.shape)}: no score for each class",
                    where=model.source,
                    fix="Give examples with labels",
                )
            answers.append(first.reshape(len(first), width).argmax(1).numpy()[:count])
    return data.with_labels(np.concatenate(answers), width)
