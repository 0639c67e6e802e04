"""The CIFAR ResNets: parity with ONNX Runtime, training, and the way back into the file."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from harden.graph.file import Model

NAMES = ["resnet20_jpeg_bn", "resnet20_jpeg_folded", "resnet32_bn"]


@pytest.fixture(params=NAMES)
def path(request, shared_data):
    return shared_data / "models" / f"{request.param}.onnx"


def images(count):
    return torch.from_numpy(np.random.Generator(np.random.SFC64(0)).normal(size=(count, 3, 32, 32)).astype(np.float32))


def agrees(a, b):
    return bool((np.abs(a - b) <= 1e-4 * np.abs(b).max() + 1e-3 * np.abs(b)).all())


def test_agrees_with_onnx_runtime_at_any_batch_size(path):
    module = Model.load(path).module().eval()
    session = onnxruntime.InferenceSession(path)
    for count in (2, 3, 2):
        batch = images(count)
        with torch.no_grad():
            ours = module(batch).numpy()
        assert agrees(ours, session.run(None, {module.input_names[0]: batch.numpy()})[0])


def test_untouched_weights_give_the_same_bytes(path):
    model = Model.load(path)
    assert model.serialize() == path.read_bytes()
    assert model.with_weights(model.module().export_weights()).serialize() == path.read_bytes()


def test_a_training_step_reaches_every_parameter_and_the_file(path, tmp_path):
    model = Model.load(path)
    module = model.module().train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    labels = torch.arange(8) % 10
    torch.nn.functional.cross_entropy(module(images(8)), labels).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    optimizer.step()
    tuned = model.with_weights(module.export_weights())
    session = onnxruntime.InferenceSession(tuned.serialize())
    batch = images(2)
    with torch.no_grad():
        ours = module.eval()(batch).numpy()
    assert agrees(ours, session.run(None, {module.input_names[0]: batch.numpy()})[0])
    before = {t.name: t.SerializeToString() for t in model.proto.graph.initializer}
    after = {t.name: t.SerializeToString() for t in tuned.proto.graph.initializer}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name, _ in module.named_parameters()}
    for proto in (a := model.proto, b := tuned.proto):
        assert proto.graph.node
    assert [n.SerializeToString() for n in a.graph.node] == [n.SerializeToString() for n in b.graph.node]
