"""Column scaling: the function stays, every free column fills the range, and tensor noise is column noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harden.levers.column_scaling import wanted
from harden.noise.profile import Profile
from harden.streams import numpy_generator
from harden.transforms.column_scaling import ColumnScaling

X = torch.from_numpy(numpy_generator(0, "x").normal(0, 1, (8, 3, 8, 8)).astype(np.float32))


def test_without_a_clip_the_function_stays_and_columns_in_front_of_batch_norms_fill_the_range(convolution):
    net = convolution().module().eval()
    before = net(X).detach()
    lever = ColumnScaling(net, (X,), None)
    norms = {name: net.get_parameter(name).norm().item() for name in ("c1", "c2")}
    lever.apply()
    assert lever.record == {"layers": 2, "columns": 14}
    assert (net(X) - before).abs().max() <= 1e-4 * before.abs().max()
    for name, norm in norms.items():
        weight = net.get_parameter(name).detach()
        peaks = weight.flatten(1).abs().amax(1)
        torch.testing.assert_close(peaks, peaks.max().expand_as(peaks))
        assert weight.norm().item() == pytest.approx(norm, rel=1e-5)


def test_every_column_is_clamped_to_its_own_deviations_first(convolution):
    net = convolution().module().eval()
    given = net.get_parameter("c1").detach().clone()
    ColumnScaling(net, (X,), 1.5).apply()
    rows, scaled = given.flatten(1), net.get_parameter("c1").detach().flatten(1)
    bound = 1.5 * rows.std(1, keepdim=True)
    clipped = rows.clamp(-bound, bound)
    # The same direction as the clipped column, whatever the scale.
    torch.testing.assert_close(scaled / scaled.norm(dim=1, keepdim=True), clipped / clipped.norm(dim=1, keepdim=True))


def test_the_last_layer_and_digital_tensors_are_left_alone(convolution):
    net = convolution().module().eval()
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    lever = ColumnScaling(net, (X,), None, digital=("c1",))
    lever.apply()
    assert lever.record["layers"] == 1
    for name in ("c1", "fc", "bias"):
        assert torch.equal(net.get_parameter(name), before[name])


def test_noise_on_the_tensor_is_then_noise_on_the_column(convolution):
    """The chip of a tensor-wide range equals the chip that has a range of its own for every column."""
    model = convolution()
    net = model.module().eval()
    ColumnScaling(net, (X,), None).apply()
    weights = {key: w for key, w in net.analog_weights().items() if key != "fc"}
    tensor = Profile.parse("gaussian:sigma=0.1").perturb(weights, seed=0, path=("chip", 0))
    column = Profile.parse("gaussian:sigma=0.1,reference=column").perturb(weights, seed=0, path=("chip", 0))
    for key in weights:
        torch.testing.assert_close(tensor[key], column[key], rtol=1e-5, atol=1e-6)


def test_applying_again_changes_nothing(convolution):
    net = convolution().module().eval()
    lever = ColumnScaling(net, (X,), None)
    lever.apply()
    once = {name: value.detach().clone() for name, value in net.named_parameters()}
    lever.apply()
    for name, value in net.named_parameters():
        torch.testing.assert_close(value.detach(), once[name], rtol=1e-5, atol=1e-7)


def test_a_dead_column_stays_dead_and_finite(convolution):
    net = convolution().module().eval()
    with torch.no_grad():
        net.get_parameter("c1")[2] = 0
    ColumnScaling(net, (X,), 2.0).apply()
    assert net.get_parameter("c1")[2].abs().max() == 0
    assert all(bool(value.isfinite().all()) for value in [*net.parameters(), *net.buffers()])


def test_auto_is_on_where_noise_follows_the_range():
    assert wanted("auto", [Profile.parse("gaussian")])
    assert not wanted("auto", [Profile.parse("mismatch")])
    assert wanted("on", [Profile.parse("mismatch")])
    assert not wanted("off", [Profile.parse("gaussian")])
