"""``harden fit --new-head``: a model for other classes than the data's."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from harden.graph.export import from_torch
from harden.graph.file import Model
from harden.streams import numpy_generator


def test_fit_hardens_a_model_for_classes_it_did_not_have(tmp_path, command):
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    from_torch(network, torch.ones(2, 6)).save(tmp_path / "old.onnx")
    rng = numpy_generator(0, "apart")
    labels = np.arange(120) % 3
    x = (np.eye(6)[labels] * 4 + rng.normal(0, 0.3, (120, 6))).astype(np.float32)
    np.savez(tmp_path / "new.npz", x=x, y=labels)
    flags = ["fit", "old.onnx", "--data", "new.npz", "--profile", "gaussian:sigma=0.05", "--chips", "3"]
    flags += ["--mean", "0", "--std", "1"]
    refused = command(tmp_path, *flags)
    assert refused.code == 3
    assert "--new-head" in refused.err
    done = command(tmp_path, *flags, "--new-head", "--out", "run", "--json")
    assert done.code == 0, done.err
    assert done.document["before"]["clean"]["accuracy"] > 0.9
    assert Model.load(tmp_path / "run" / "model.onnx").outputs[0].shape[-1] == 3
