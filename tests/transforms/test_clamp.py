"""Clamps behind activations: bounds by hand, a valid file, and what they are worth under bit errors."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
import toys
from onnx import helper

from harden.data.dataset import Dataset
from harden.data.embedded import content
from harden.errors import UnsupportedError
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.runtime.canary import canary
from harden.runtime.parity import parity
from harden.streams import generator
from harden.transforms.clamp import activation_bounds, clamp_activations


def images(count=40):
    return torch.empty(count, 3, 8, 8).normal_(generator=generator(0, "images"))


def in_parts(x, *sizes):
    return [(part,) for part in x.split(sizes)]


@pytest.mark.parametrize("percentile", [99.0, 99.9, 100.0])
def test_the_bounds_are_percentiles_by_nearest_rank(convolution, percentile):
    net = convolution().module().eval()
    x = images()
    found = activation_bounds(net, in_parts(x, 16, 24), percentile)
    with torch.no_grad():
        taps = net(x, taps=("r1", "r2"))[1]
    assert found.keys() == {"r1", "r2"}
    for name, (low, high) in found.items():
        ordered = np.sort(taps[name].numpy().ravel())
        assert low is None
        assert high == ordered[int(np.ceil(percentile / 100 * len(ordered))) - 1]


def test_nothing_changes_within_the_range(convolution):
    model, x = convolution(), images()
    clamped, record = clamp_activations(model, [(x,)], 100.0)
    assert record["activations"] == 2
    assert torch.equal(clamped.module().eval()(x), model.module().eval()(x))
    assert not torch.equal(clamped.module().eval()(3 * x), model.module().eval()(3 * x))


def test_a_leaky_activation_is_held_on_both_sides():
    nodes = [helper.make_node("LeakyRelu", ["x"], ["y"], alpha=0.5)]
    model = toys.model(nodes, {"x": ["n", 4]}, {"y": ["n", 4]})
    clamped, _ = clamp_activations(model, [(torch.tensor([[-4.0, -1.0, 2.0, 3.0]]),)], 100.0)
    out = clamped.module()(torch.tensor([[-100.0, -4.0, 3.0, 100.0]]))
    assert out.tolist() == [[-2.0, -2.0, 3.0, 3.0]]


def test_the_file_is_valid_and_its_other_nodes_and_names_stay(convolution):
    model, x = convolution(), images(4)
    clamped, _ = clamp_activations(model, [(x,)], 99.0)
    onnx.checker.check_model(clamped.proto, full_check=True)
    old, new = ([n.name for n in m.proto.graph.node] for m in (model, clamped))
    assert [name for name in new if name in old] == old
    assert [node.op_type for node in clamped.proto.graph.node if node.name not in old] == ["Clip", "Clip"]
    assert clamped.analog_weights().keys() == model.analog_weights().keys()
    assert parity(clamped, (x.numpy(),)).passed
    assert canary(clamped, (x.numpy(),)).inert == ()
    assert "Clip" not in {node.op_type for node in model.proto.graph.node}


def test_nodes_without_names_keep_the_labels_that_digital_goes_by(convolution):
    proto = convolution().proto
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for node in copy.graph.node:
        node.name = ""
    model = Model.from_proto(copy)
    clamped, _ = clamp_activations(model, [(images(4),)], 99.0)
    assert [w.node for w in clamped.analog_weights().values()] == [w.node for w in model.analog_weights().values()]
    assert clamped.analog_weights(["Conv_3"]).keys() == model.analog_weights(["Conv_3"]).keys() == {"c1", "fc"}


def test_what_cannot_be_clamped_says_so(convolution):
    proto = onnx.ModelProto()
    proto.CopyFrom(convolution().proto)
    proto.opset_import[0].version = 10
    with pytest.raises(UnsupportedError, match="operator set 10"):
        clamp_activations(Model.from_proto(proto), [(images(4),)])


@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_on_the_digits_network_clamps_rescue_chips_with_bit_errors(tmp_path, storage):
    for name in ("digits_cnn.onnx", "train.npz", "test.npz"):
        (tmp_path / name).write_bytes(content(name))
    model = Model.load(tmp_path / "digits_cnn.onnx")
    assert model.preprocess is not None
    train, test = (Dataset.open(str(tmp_path / f"{part}.npz"), model.preprocess) for part in ("train", "test"))
    clamped, _ = clamp_activations(model, [(torch.from_numpy(train.inputs(slice(0, 512))),)], 99.99)
    x, labels = torch.from_numpy(test.inputs(slice(0, 300))), torch.from_numpy(np.asarray(test.labels[:300]))
    profile = Profile.parse(f"bitflip:rate=0.0001,storage={storage}")

    def accuracies(candidate, chips=20):
        net = candidate.module().eval()
        weights = net.analog_weights()
        with torch.no_grad():
            outputs = [net(x, weights=profile.chip(weights, seed=1, index=i)) for i in range(chips)]
            clean = (net(x).argmax(1) == labels).double().mean().item()
        return clean, sum((o.argmax(1) == labels).double().mean().item() for o in outputs) / chips

    (clean, before), (clean_after, after) = accuracies(model), accuracies(clamped)
    assert clean_after >= clean - 0.01
    assert after > before + 0.2
