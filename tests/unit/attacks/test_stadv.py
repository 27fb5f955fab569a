"""stAdv: the warp and its smoothness by hand, and a search that ends in smoother flows than the paper's fixed tau."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

import sparring as sp
from sparring.attacks.gradient.stadv import StAdv
from sparring.blocks.views.flow import flow_loss, smoothest_flow, warp
from sparring.bout import Bout
from sparring.testing.fixtures import curved


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_warp_reads_bilinearly_and_stops_at_the_border() -> None:
    """Against PyTorch's sampler, which works in coordinates from -1 to 1."""
    x, flow = draw(3, 2, 5, 7).sigmoid(), 2 * draw(3, 2, 5, 7, seed=1)
    row, column = torch.meshgrid(torch.arange(5.0).double(), torch.arange(7.0).double(), indexing="ij")

    def sampled(flow: Tensor) -> Tensor:
        at = torch.stack([(column + flow[:, 0]) / 3 - 1, (row + flow[:, 1]) / 2 - 1], -1)
        return F.grid_sample(x, at, padding_mode="border", align_corners=True)

    point, weight = flow.requires_grad_(), draw(3, 2, 5, 7, seed=2)
    mine, theirs = warp(x, point), sampled(point)
    assert torch.allclose(mine, theirs)
    slopes = [torch.autograd.grad((weight * image).sum(), point)[0] for image in (mine, theirs)]
    assert torch.allclose(*slopes)


def test_no_flow_changes_nothing_to_the_bit_nor_does_any_where_the_image_is_flat() -> None:
    x = draw(2, 3, 6, 4).sigmoid().float()
    assert torch.equal(warp(x, torch.zeros(2, 2, 6, 4)), x)
    assert torch.equal(warp(torch.full_like(x, 0.1), draw(2, 2, 6, 4).float()), torch.full_like(x, 0.1))


def test_a_vector_is_a_line_of_pixels() -> None:
    x = torch.tensor([[0.0, 1.0, 0.5]])
    flow = torch.tensor([[[[0.25, 0.5, 9.0]], [[3.0, -3.0, 0.0]]]])
    assert torch.equal(warp(x, flow), torch.tensor([[0.25, 0.75, 0.5]]))


def test_the_smoothness_is_that_of_the_paper() -> None:
    flow = draw(2, 2, 3, 4)
    expected = torch.zeros(2).double()
    for p in ((i, j) for i in range(3) for j in range(4)):
        for q in ((p[0] + 1, p[1]), (p[0] - 1, p[1]), (p[0], p[1] + 1), (p[0], p[1] - 1)):
            if 0 <= q[0] < 3 and 0 <= q[1] < 4:
                expected += (flow[:, :, p[0], p[1]] - flow[:, :, q[0], q[1]]).norm(dim=1)
    assert torch.allclose(flow_loss(flow), expected, rtol=1e-3)
    assert torch.equal(flow_loss(torch.ones(1, 2, 3, 4)), torch.zeros(1))


class Watched(StAdv):
    """stAdv that leaves its flows behind: all it takes to get hold of them."""

    def run(self, bout: Bout) -> Tensor:
        flow, loss = smoothest_flow(bout, self.steps, self.search, self.tau, self.step, self.confidence)
        FLOWS[:] = [flow, loss]
        return warp(bout.x, flow)


FLOWS: list[Tensor] = []


def test_the_smoothest_flow_is_what_it_hands_over() -> None:
    paper = curved(count=8)
    result = Watched(steps=20, search=2)(paper.net, paper.x, paper.y, sp.Threat("L2"), keep="last")
    flow, loss = FLOWS
    assert result.success.any()
    assert torch.equal(loss.isfinite(), result.success)
    assert torch.allclose(loss[result.success], flow_loss(flow)[result.success])
    assert torch.equal(result.x_adv[result.success], warp(paper.x, flow)[result.success])
    assert torch.equal(flow[~result.success], torch.zeros_like(flow[~result.success]))
    nearest = StAdv(steps=20, search=2)(paper.net, paper.x, paper.y, sp.Threat("L2"))
    assert bool((nearest.distance <= result.distance + 1e-9).all())


def test_values_are_only_moved() -> None:
    paper = curved(count=8)
    x = paper.x * 0.5 + 0.2
    result = StAdv(steps=30, search=2)(paper.net, x, paper.classes(x), sp.Threat("L0"))
    assert result.success.any()
    assert bool((result.x_adv.flatten(1).amax(1) <= x.flatten(1).amax(1)).all())
    assert bool((result.x_adv.flatten(1).amin(1) >= x.flatten(1).amin(1)).all())


def test_on_mnist_all_fall_and_the_search_over_tau_makes_flows_smoother() -> None:
    model = sp.load_model("mnist-cnn")
    x, y = sp.load_data("mnist5k", n=4).tensors()
    goal = sp.Targeted((y + 1) % 10, y)

    def smoothest(search: int, tau: float) -> Tensor:
        result = Watched(steps=40, search=search, tau=tau)(model, x, goal, sp.Threat("L2"))
        assert bool(result.success.all())
        return FLOWS[1].mean()

    weak, searched = smoothest(1, 0.005), smoothest(3, 0.05)
    assert searched < 0.95 * weak
