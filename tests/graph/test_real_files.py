"""Files from elsewhere: PaddlePaddle's with all weights in Constant nodes, a recurrent voice detector."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
import toys

from harden.graph.file import Model

FILES = {
    "ch_ppocr_mobile_v2.0_cls_infer": {"x": (2, 3, 48, 96)},
    "ch_PP-OCRv4_det_infer": {"x": (1, 3, 64, 96)},
    "silero_vad_v6": {"input": (3, 576), "h": (1, 1, 128), "c": (1, 1, 128)},
}


def picture(shape, seed):
    """Bars of light and dark with a little noise: something a text detector answers to."""
    noise = toys.numbers(*shape, seed=seed)
    if len(shape) != 4:
        return noise * 0.3
    columns = np.arange(shape[3])
    bars = np.where((columns // 3) % 2 == 0, 1.5, -1.5).astype(np.float32)
    lines = np.where((np.arange(shape[2]) // 12) % 2 == 0, 1.0, 0.0).astype(np.float32)
    return bars * lines[:, None] + 0.05 * noise


@pytest.mark.parametrize("name", FILES)
def test_it_imports_agrees_trains_and_exports(name, shared_data, tmp_path):
    path = shared_data / "onnx" / f"{name}.onnx"
    model = Model.load(path)
    module = model.module().eval()
    assert model.save(tmp_path / "same.onnx").read_bytes() == path.read_bytes()
    assert model.with_weights(module.export_weights()) is model
    inputs = {key: picture(shape, seed) for seed, (key, shape) in enumerate(FILES[name].items())}
    given = [torch.from_numpy(inputs[key]) for key in module.input_names]

    def outputs():
        result = module(*given)
        return result if isinstance(result, tuple) else (result,)

    theirs = onnxruntime.InferenceSession(path).run(None, inputs)
    with torch.no_grad():
        clean = outputs()
    assert all(toys.agrees(a.numpy(), b) for a, b in zip(clean, theirs, strict=True))

    # Train one step towards the file's own clean outputs, from weights that are a little off.
    stream = torch.Generator().manual_seed(0)
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for parameter in parameters.values():
            noise = torch.empty_like(parameter).normal_(generator=stream)
            parameter += 0.01 * parameter.abs().mean() * noise
    loss = sum(((a - b) ** 2).mean() for a, b in zip(outputs(), clean, strict=True))
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    # A gate that is saturated on this input has a gradient of zero; every parameter has one.
    assert all(parameter.grad is not None for parameter in parameters.values())
    reached = {key for key, p in parameters.items() if p.grad is not None and bool((p.grad != 0).any())}
    assert len(reached) >= 0.95 * len(parameters)
    start = {key: parameter.detach().clone() for key, parameter in parameters.items()}
    for rate in (0.1, 0.01, 0.001, 1e-4):
        squared = sum(float(p.grad.square().sum()) for p in parameters.values() if p.grad is not None)
        with torch.no_grad():
            for key, parameter in parameters.items():
                if parameter.grad is not None:
                    parameter.copy_(start[key] - rate * float(loss.detach()) / squared * parameter.grad)
            after = sum(((a - b) ** 2).mean() for a, b in zip(outputs(), clean, strict=True))
        if after < loss:
            break
    assert after < loss

    tuned = model.with_weights(module.export_weights())
    path = tuned.save(tmp_path / "tuned.onnx")
    with torch.no_grad():
        ours = outputs()
    theirs = onnxruntime.InferenceSession(path).run(None, inputs)
    assert all(toys.agrees(a.numpy(), b) for a, b in zip(ours, theirs, strict=True))
    assert [n.op_type for n in tuned.proto.graph.node] == [n.op_type for n in model.proto.graph.node]
