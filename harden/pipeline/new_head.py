"""``--new-head``: a classifier gets a last layer for the data's classes, fitted before anything is hardened."""

from __future__ import annotations

import numpy as np
import torch

from harden import streams
from harden.data.dataset import Dataset
from harden.errors import DataError
from harden.evaluation.input_feed import Feed
from harden.graph.file import Model
from harden.graph.head import features_model, find_head, with_head
from harden.progress import Notify, silent
from harden.runtime.sessions import Session

_MOST = 20_000
_L2 = 1e-3
_ROUNDS = 200


def with_new_head(model: Model, data: Dataset, *, seed: int = 0, threads: int = 1, notify: Notify = silent) -> Model:
    """The model with a last linear layer for the classes of ``data``, the rest as it is.

    The layer is a multinomial logistic regression on what the old one read: it minimises the mean cross-entropy plus
    ``1e-3 |W|^2 / 2`` over standardised features, without noise, by L-BFGS from zero.

    Args:
        model: A classifier for other classes.
        data: Labelled training examples; of more than 20,000 a random sample is used.
        seed: Root of the stream that samples.
        threads: Of ONNX Runtime.
        notify: Told of the progress.

    Raises:
        ModelError: The model does not end in a linear layer.
        DataError: No labels, or fewer than two classes.

    Example:
        ``model = harden.with_new_head(harden.load("timm:resnet18", pretrained=True), train)``
    """
    head = find_head(model)
    if data.labels is None or data.classes < 2:
        raise DataError("a new head needs labelled examples of two classes or more", where=data.source)
    if len(data) > _MOST:
        data = data.sample(_MOST, streams.numpy_generator(seed, "new_head"))
    features = _features(features_model(model, head), data, threads, notify)
    assert data.labels is not None
    weight, bias = logistic_regression(features, data.labels, data.classes)
    return with_head(model, head, weight, bias)


def _features(model: Model, data: Dataset, threads: int, notify: Notify) -> np.ndarray:
    session, feed = Session(model.runnable, threads=threads), Feed(model, data)
    features: list[np.ndarray] = []
    done = 0
    for arrays, count in feed:
        features.append(session.run(*arrays)[0][:count])
        done += count
        notify("features for the new head", done, len(data))
    return np.concatenate(features)


def logistic_regression(features: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights [classes, D] and biases [classes] of a logistic regression on features [N, D]."""
    raw = torch.from_numpy(np.asarray(features, dtype=np.float64))
    mean, std = raw.mean(0), raw.std(0, unbiased=False).clamp_min(1e-6)
    x, y = (raw - mean) / std, torch.from_numpy(np.asarray(labels, dtype=np.int64))
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_ROUNDS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weight.T + bias, y) + _L2 / 2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        scaled = weight / std
        return scaled.numpy(), (bias - scaled @ mean).numpy()
