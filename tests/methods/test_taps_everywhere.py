"""The methods that listen inside a network find their places on real graphs, or say what to do instead."""

from __future__ import annotations

import pytest
import torch
import toys
from onnx import helper

from harden import methods
from harden.data.embedded import content
from harden.errors import HardenError
from harden.graph.file import Model
from harden.methods.base import Batch
from harden.noise.profile import Profile
from harden.noise.sampler import NoiseSampler
from harden.streams import generator

# File or kind of network, and the shape of an example.
GRAPHS = {
    "digits": ("digits_cnn.onnx", (1, 8, 8)),
    "resnet": ("models/resnet20_jpeg_bn.onnx", (3, 32, 32)),
    "resnet, folded": ("models/resnet20_jpeg_folded.onnx", (3, 32, 32)),
    "vision transformer": ("vit", (3, 32, 32)),
    "text classifier": ("onnx/ch_ppocr_mobile_v2.0_cls_infer.onnx", (3, 48, 192)),
    "text detector": ("onnx/ch_PP-OCRv4_det_infer.onnx", (3, 64, 64)),
}


@pytest.fixture(params=list(GRAPHS))
def graph(request):
    file, shape = GRAPHS[request.param]
    x = torch.empty(2, *shape).normal_(generator=generator(0, "taps"))
    if file == "digits_cnn.onnx":
        folder = request.getfixturevalue("tmp_path")
        (folder / file).write_bytes(content(file))
        return Model.load(folder / file), (x,)
    if file == "vit":
        return transformer(x), (x,)
    path = request.getfixturevalue("shared_data") / file
    if not path.exists():
        pytest.skip(f"absent: {path}")
    return Model.load(path), (x,)


def transformer(x):
    from timm.models.vision_transformer import VisionTransformer

    from harden.graph.export import from_torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=4, num_heads=2, num_classes=5)
    return from_torch(network.eval(), x)


def prepared(graph, name):
    model, inputs = graph
    net = model.module().train()
    with torch.no_grad():
        outputs = net(*inputs)
    classifies = isinstance(outputs, torch.Tensor) and outputs.dim() == 2
    batch = Batch(inputs, torch.arange(2) if classifies else outputs, toys.labels() if classifies else toys.matching())
    method = methods.load(name, {"heads": 3} if name == "nft_irs" else {"count": 3})
    method.prepare(net, batch)

    def weights():
        return {**net.analog_weights(), **method.analog_weights()}

    return net, method, batch, NoiseSampler(Profile.load("gaussian", sigma=0.02), weights, seed=0, path=("t",))


def test_consistency_takes_a_step(graph):
    net, method, batch, noise = prepared(graph, "consistency")
    result = method.step(net, batch, noise)
    assert torch.isfinite(result.loss)
    assert result.parts["features"] > 0
    result.loss.backward()


def test_irs_takes_a_step_or_says_what_to_choose(graph, request):
    if "text detector" in request.node.callspec.id:
        with pytest.raises(HardenError, match="nft_ovf"):
            prepared(graph, "nft_irs")
        return
    net, method, batch, noise = prepared(graph, "nft_irs")
    assert len(method.analog_weights()) == 6
    result = method.step(net, batch, noise)
    assert torch.isfinite(result.loss)
    result.loss.backward()


@pytest.mark.parametrize("name", ["nft_irs", "consistency"])
def test_a_graph_without_places_says_what_to_name(name):
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)]
    model = toys.model(nodes, {"x": ["n", 6]}, {"y": ["n", 3]}, {"w": torch.ones(3, 6).numpy()})
    with pytest.raises(HardenError, match="-o taps="):
        prepared((model, (torch.ones(2, 6),)), name)
