"""Hot/Cold: its direction by hand, diverse by hot class, scanned and not bisected; and the measure PASS."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import sparring as sp
from sparring.attacks.gradient.hot_cold import HotCold
from sparring.testing.fixtures import Affine, Changed, affine


def test_the_direction_is_that_of_the_paper() -> None:
    """z_hot * grad z_hot - z_cold * grad z_cold, largest entry 1, with logits that already have mean 0."""
    net = Affine(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, -1.0, 0.0]]), torch.tensor([0.5, 0.0, -0.5]))
    x = torch.tensor([[0.5, 0.25, 0.5]])  # logits 1, 0.25, -1.25
    for hot, way in ((1, [-1.0, 0.25, 0.0]), (2, [-1.0 - 1.25, -1.25, 0.0])):
        far = HotCold(hot=hot, steps=20, reach=0.2)(net, x, torch.tensor([0]), sp.Threat("Linf"), keep="last")
        d = (far.x_adv - x)[0]
        assert torch.allclose(d / d.abs().max(), torch.tensor(way) / max(map(abs, way)), atol=1e-5)


def test_hot_classes_give_different_directions_and_a_target_gives_its_own() -> None:
    paper = affine()

    def end(goal: Tensor | sp.Targeted, hot: int = 1) -> Tensor:
        """Where a short walk ends."""
        return HotCold(hot=hot, steps=10, reach=1e-3)(paper.net, paper.x, goal, sp.Threat("Linf"), keep="last").x_adv

    ends = [end(paper.y, hot) for hot in (1, 2, 3, 4, 7)]
    ways = torch.stack([torch.nn.functional.normalize((z - paper.x).flatten(1)) for z in ends[:4]])
    alike = (ways[:, None] * ways[None]).sum(-1).amax(-1)
    assert bool((alike[~torch.eye(4, dtype=torch.bool)] < 0.999).all())
    assert torch.equal(ends[4], ends[3]), "with 5 classes there are 4 wrong ones"
    assert torch.equal(end(sp.Targeted(paper.logits(paper.x).topk(3).indices[:, 2], paper.y)), ends[1])


def test_success_along_the_line_need_not_last() -> None:
    """Wrong between 0.2 and 0.3 of the way only: bisection from the far end finds nothing, a scan does."""

    def window(z: Tensor, x: Tensor) -> Tensor:
        wrong = (x[:, :1] > 0.2) & (x[:, :1] < 0.3)
        return torch.where(wrong, z.flip(1), z)

    net = Changed(Affine(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.tensor([9.0, 0.0])), after=window)
    result = HotCold()(net, torch.zeros(1, 2), torch.tensor([0]), sp.Threat("L2"))
    assert result.success
    assert 0.2 < float(result.distance) < 0.21
    assert int(result.gradients) == 1
    assert int(result.queries) == 1 + 1 + 41  # the clean image, its gradient, and a grid of 1/200 up to 0.205


def test_taken_anew_the_gradient_goes_round_corners() -> None:
    """Where a line runs into a ridge: x0 first lowers the margin and later raises it again, x1 only helps later."""

    def bend(x: Tensor) -> Tensor:
        a, b = x[:, 0], x[:, 1]
        gap = 1 - 4 * a * (1 - a) - a.clamp(max=0.5) * b * 4
        return torch.stack([gap, -gap], 1)

    class Bent(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return bend(x) + 0.3 * torch.tensor([1.0, -1.0])

    x = torch.zeros(1, 2)
    assert not HotCold()(Bent(), x, torch.tensor([0]), sp.Threat("L2")).success
    assert HotCold(iterated=True)(Bent(), x, torch.tensor([0]), sp.Threat("L2")).success
