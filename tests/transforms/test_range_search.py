"""The bound of each tensor against the closed form, and against what the layer really does."""

from __future__ import annotations

import pytest
import torch

from harden.noise.profile import Profile
from harden.streams import generator
from harden.transforms.clip import Clip, clippable
from harden.transforms.range_search import GRID, search_limits, search_ranges


def images():
    return torch.empty(32, 3, 8, 8).normal_(generator=generator(0, "images"))


def test_without_noise_nothing_is_clipped(convolution):
    net = convolution().module().eval()
    clipped, chosen = search_ranges(net, (images(),), Profile.parse("gaussian:sigma=0.0001"))
    assert chosen.keys() == clipped.keys() == {"c1", "c2", "fc"}
    assert all(torch.equal(clipped[name], dict(net.named_parameters())[name]) for name in clipped)


def test_the_more_noise_the_narrower(convolution):
    net = convolution().module().eval()
    found = [
        search_ranges(net, (images(),), Profile.parse(f"gaussian:sigma={s}"))[0]["c1"].abs().max()
        for s in (0.02, 0.1, 0.5)
    ]
    assert found[0] > found[1] > found[2]


def test_the_bound_is_the_closed_forms(convolution):
    """For gaussian noise of sigma times the largest weight the cost of the first layer can be written down."""
    net = convolution().module().eval()
    x, sigma, grid = images(), 0.12, (1.0, 1.5, 2.0, 2.5, 3.0)
    w = dict(net.named_parameters())["c1"].detach()
    squares = x.square().mean((0, 2, 3)).view(1, 3, 1, 1)
    costs = []
    for k in grid:
        cut = w.clamp(-k * w.std(), k * w.std())
        costs.append(((((cut - w) ** 2) + (sigma * cut.abs().max()) ** 2) * squares).sum().item())
    _, chosen = search_ranges(net, (x,), Profile.parse(f"gaussian:sigma={sigma}"), grid=grid, draws=64)
    assert chosen["c1"] == grid[costs.index(min(costs))]


def test_the_layers_outputs_are_nearer_to_the_clean_ones(convolution):
    net = convolution().module().eval()
    profile, x = Profile.parse("gaussian:sigma=0.2"), images()
    clipped, chosen = search_ranges(net, (x,), profile)
    w = dict(net.named_parameters())["c1"].detach()
    assert clipped["c1"].abs().max() == pytest.approx(float(chosen["c1"]) * w.std().item(), rel=1e-5)

    def error(weight):
        right = torch.nn.functional.conv2d(x, w, padding=1)
        chips = [profile.chip({"c1": weight}, seed=9, index=i)["c1"] for i in range(40)]
        return sum((torch.nn.functional.conv2d(x, chip, padding=1) - right).square().mean().item() for chip in chips)

    assert error(clipped["c1"]) < error(w)


def test_by_column_every_column_gets_the_closed_forms_bound(convolution):
    """Gaussian noise of sigma times the column's largest weight: the cost of each column can be written down."""
    net = convolution().module().eval()
    x, sigma, grid = images(), 0.12, (1.0, 1.5, 2.0, 2.5, 3.0)
    w = dict(net.named_parameters())["c1"].detach()
    squares = x.square().mean((0, 2, 3)).view(1, 3, 1, 1)
    deviations = w.flatten(1).std(1).view(-1, 1, 1, 1)
    cuts = [torch.clamp(w, -k * deviations, k * deviations) for k in grid]
    costs = torch.stack(
        [
            ((((cut - w) ** 2) + (sigma * cut.abs().amax((1, 2, 3), keepdim=True)) ** 2) * squares).sum((1, 2, 3))
            for cut in cuts
        ]
    )
    profile = Profile.parse(f"gaussian:sigma={sigma}")
    clipped, chosen = search_ranges(net, (x,), profile, grid=grid, draws=200, by="column")
    right = torch.tensor(grid, dtype=torch.float64)[costs.argmin(0)]
    # Draws decide between bounds whose costs are within a percent.
    two = costs.topk(2, 0, largest=False).values
    clear = two[1] > 1.02 * two[0]
    assert clear.sum() >= 5
    assert torch.equal(chosen["c1"][clear], right[clear])
    for column in range(8):
        at = grid.index(float(chosen["c1"][column]))
        assert torch.equal(clipped["c1"][column], cuts[at][column])


def test_of_several_profiles_the_harshest_decides(convolution):
    net = convolution().module().train()
    mild, harsh = (Profile.parse(f"gaussian:sigma={s}") for s in (0.02, 0.3))
    both = search_limits(net, (images(),), ((mild, None), (harsh, None)))
    assert both == search_limits(net, (images(),), ((harsh, None),))
    assert both != search_limits(net, (images(),), ((mild, None),))
    assert net.training


def test_the_clip_lever_takes_bounds_of_single_tensors(convolution):
    net = convolution().module()
    parameters = clippable(net)
    before = {name: p.detach().clone() for name, p in parameters.items()}
    clip = Clip(parameters, 2.0, found={"c1": 1.5, "fc": float("inf")})
    clip.apply()
    for name, k in (("c1", 1.5), ("c2", 2.0)):
        bound = k * before[name].std()
        assert torch.equal(parameters[name].detach(), before[name].clamp(-bound, bound))
    assert torch.equal(parameters["fc"].detach(), before["fc"])
    assert clip.record["found"] == {"1.5": 1, "2.0": 1, "inf": 1}
    assert min(GRID) > 0
