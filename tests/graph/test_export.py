"""From timm and torch: names, preprocessing, weights that must be given, equal tensors kept apart."""

from __future__ import annotations

import onnxruntime
import pytest
import timm
import torch
import toys
from safetensors.torch import save_file
from torch import nn

from harden.data.preprocess import Preprocess
from harden.errors import ModelError, UnknownNameError
from harden.graph import export
from harden.graph.export import from_torch
from harden.graph.file import Model
from harden.graph.taps import choose_taps
from harden.graph.zoo import from_timm


def scrambled(module):
    """Weights that are nowhere trivial: heads and gains are not zero, statistics not those of a fresh model."""
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.empty_like(tensor).normal_(generator=stream)
                tensor.add_(noise.abs() * 0.05 if name.endswith("var") else noise * 0.02)
    return module.eval()


@pytest.fixture
def checkpoint(tmp_path):
    module = scrambled(timm.create_model("resnet10t", num_classes=7))
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors", module


def test_a_timm_checkpoint_becomes_a_graph_with_its_names_and_preprocessing(checkpoint):
    path, module = checkpoint
    model = from_timm("timm:resnet10t", weights=path)
    assert model.batch_norm == "kept"
    assert model.preprocess == Preprocess(
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        input_size=(176, 176),
        resize="crop",
        crop_pct=0.875,
        interpolation="bicubic",
    )
    interpreted = model.module().eval()
    state = {name: tensor for name, tensor in module.state_dict().items() if "num_batches" not in name}
    weights = interpreted.export_weights()
    assert set(weights) == set(state)
    assert all(torch.equal(weights[name], tensor) for name, tensor in state.items())
    x = torch.from_numpy(toys.numbers(3, 3, 176, 176))
    with torch.no_grad():
        expected = module(x).numpy()
        assert toys.agrees(interpreted(x).numpy(), expected)
    session = onnxruntime.InferenceSession(model.serialize())
    assert toys.agrees(session.run(None, {"input": x.numpy()})[0], expected)


def test_taps_are_block_outputs(checkpoint):
    path, _ = checkpoint
    module = from_timm("resnet10t", weights=path).module().eval()
    taps = choose_taps(module, (torch.zeros(1, 3, 64, 64),), 3)
    assert len(taps) == 3
    _, values = module(torch.zeros(1, 3, 64, 64), taps=[tap.name for tap in taps])
    assert [tuple(values[tap.name].shape) for tap in taps] == [tap.shape for tap in taps]
    # No path avoids a tap: with it cut off, no gradient reaches the input.
    x = torch.from_numpy(toys.numbers(1, 3, 64, 64)).requires_grad_()
    output, values = module(x, taps=[taps[1].name])
    (to_tap,) = torch.autograd.grad(output.sum(), values[taps[1].name], retain_graph=True)
    (direct,) = torch.autograd.grad(output.sum(), x, retain_graph=True)
    (through,) = torch.autograd.grad(values[taps[1].name], x, to_tap)
    torch.testing.assert_close(direct, through)


def test_untrained_models_are_refused_unless_asked_for():
    with pytest.raises(ModelError, match=r"--weights FILE\.safetensors"):
        from_timm("resnet10t")
    with pytest.raises(UnknownNameError, match="Did you mean"):
        from_timm("resnet18x", allow_random=True)


def test_equal_tensors_of_a_fresh_model_are_not_tied():
    model = from_timm("resnet10t", allow_random=True)
    state = timm.create_model("resnet10t").state_dict()
    wanted = {name for name in state if "num_batches" not in name}
    assert set(model.module().export_weights()) == wanted


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod.", "model."])
def test_names_that_a_wrapper_put_before_are_the_models_own(checkpoint, tmp_path, wrapper):
    path, module = checkpoint
    save_file({wrapper + name: value for name, value in module.state_dict().items()}, tmp_path / "wrapped.safetensors")
    wrapped = from_timm("resnet10t", weights=tmp_path / "wrapped.safetensors")
    assert wrapped.sha256 == from_timm("resnet10t", weights=path).sha256


def test_weights_that_do_not_fit_are_named(checkpoint, tmp_path):
    _, module = checkpoint
    state = module.state_dict()
    state["extra"] = torch.zeros(1)
    del state["conv1.0.weight"]
    save_file(state, tmp_path / "bad.safetensors")
    with pytest.raises(ModelError, match=r"missing conv1.0.weight; unexpected extra"):
        from_timm("resnet10t", weights=tmp_path / "bad.safetensors")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        from_timm("resnet10t", weights=tmp_path / "text")
    with pytest.raises(ModelError, match="no such file"):
        from_timm("resnet10t", weights=tmp_path / "absent")


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, tokens, scale):
        hidden = self.table(tokens).mean(1) * scale
        return self.out(hidden), hidden


def test_a_module_with_integer_and_several_inputs_and_outputs():
    module = scrambled(TwoInputs()).train()
    model = from_torch(module, (torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 1)))
    assert module.training
    assert [(s.name, s.dtype.name, s.shape[0]) for s in model.inputs] == [
        ("input", "int64", "batch"),
        ("input_2", "float32", "batch"),
    ]
    tokens, scale = torch.arange(15).reshape(3, 5) % 10, torch.full((3, 1), 0.5)
    module.eval()
    ours = model.module().eval()(tokens, scale)
    theirs = module(tokens, scale)
    assert all(toys.agrees(a.detach().numpy(), b.detach().numpy()) for a, b in zip(ours, theirs, strict=True))
    assert set(dict(model.module().named_parameters())) == {"table.weight", "out.weight", "out.bias"}
    assert list(model.analog_weights()) == ["out.weight"]


def test_folding_on_export():
    module = scrambled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()))
    x = torch.from_numpy(toys.numbers(2, 3, 6, 6))
    kept, folded = from_torch(module, x), from_torch(module, x, fold_batch_norms=True)
    assert (kept.batch_norm, folded.batch_norm) == ("kept", "folded")
    outputs = [onnxruntime.InferenceSession(m.serialize()).run(None, {"input": x.numpy()})[0] for m in (kept, folded)]
    assert all(toys.agrees(output, module(x).detach().numpy()) for output in outputs)


@pytest.mark.slow
@pytest.mark.parametrize("exporter", ["_scripted", "_dynamo"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_100", "tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_timm_models_agree_with_onnx_runtime_and_train(name, exporter):
    module = scrambled(timm.create_model(name))
    x = torch.from_numpy(toys.numbers(2, 3, 224, 224))
    proto = export._export(getattr(export, exporter), module, (x,), ["input"], ["logits"], True)
    model = Model.from_proto(proto)
    interpreted = model.module().eval()
    assert {name for name, _ in interpreted.named_parameters()} >= {name for name, _ in module.named_parameters()}
    three = torch.cat([x, x[:1]])
    output = interpreted(three)
    session = onnxruntime.InferenceSession(model.serialize())
    assert toys.agrees(output.detach().numpy(), session.run(None, {"input": three.numpy()})[0])
    output.square().sum().backward()
    assert all(parameter.grad is not None for parameter in interpreted.parameters())
    assert model.with_weights(interpreted.export_weights()) is model


def test_a_module_that_cannot_be_exported_says_why(monkeypatch):
    def refuse(*_):
        raise RuntimeError("no such operator\nmany lines more")

    for name in ("_scripted", "_dynamo"):
        monkeypatch.setattr(f"harden.graph.export.{name}", refuse)
    with pytest.raises(
        ModelError, match=r"cannot be exported to ONNX: .*open batch size: no such operator; "
    ) as caught:
        from_torch(nn.Linear(2, 2), torch.zeros(1, 2))
    assert "\n" not in str(caught.value)


def test_an_export_that_computes_something_else_is_not_taken(monkeypatch):
    other = from_torch(nn.Linear(2, 2), torch.zeros(1, 2)).proto
    monkeypatch.setattr("harden.graph.export._scripted", lambda *_: other)
    monkeypatch.setattr("harden.graph.export._dynamo", lambda *_: other)
    with pytest.raises(ModelError, match="differs from the module"):
        from_torch(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), torch.ones(1, 2))


def test_a_hub_that_does_not_answer_is_told_at_once(monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", unreachable)
    with pytest.raises(ModelError, match=r"timm/resnet18\S* is not reachable \(Name or .*--weights FILE"):
        from_timm("resnet18", pretrained=True)
