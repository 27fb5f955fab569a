"""Brendel-Bethge: nets that hide the way from the image, its budget, its start, and a curved boundary."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.norms import L2, NORMS, Norm
from sparring.testing.fixtures import Plateau, affine, pair

each_norm = pytest.mark.parametrize("under", NORMS, ids=str)


class Egg(nn.Module):
    """Class 1 outside an ellipsoid round grey, whose half axes are 1 / stretch."""

    def __init__(self, stretch: Tensor) -> None:
        super().__init__()
        self.stretch = nn.Parameter(stretch)

    def forward(self, x: Tensor) -> Tensor:
        out = (self.stretch * (x - 0.5).flatten(1)).norm(dim=1) - 1
        return torch.stack([-out, out], 1)

    def distance(self, x: Tensor) -> Tensor:
        """[B] L2, from inside: the nearest point is q = p / (1 - m stretch^2) for the m that puts it on the shell."""
        p, square = (x - 0.5).flatten(1), self.stretch.detach().square()
        low, high = torch.zeros(len(x), 1).double(), torch.full((len(x), 1), float(1 / square.max())).double()
        for _ in range(100):
            m = (low + high) / 2
            out = (square * (p / (1 - m * square)).square()).sum(1, keepdim=True) > 1
            low, high = torch.where(out, low, m), torch.where(out, m, high)
        return (p / (1 - low * square) - p).norm(dim=1)


@each_norm
def test_it_comes_from_the_far_side_of_a_plateau(under: Norm) -> None:
    paper = affine()
    net = Plateau(paper.net, paper.x)
    result = sp.attack("bb:steps=60")(net, paper.x, net(paper.x).argmax(1), sp.Threat(under))
    assert result.success.all()
    assert (result.distance < 0.9 * under.size(torch.maximum(paper.x, 1 - paper.x))).all()


@each_norm
@pytest.mark.parametrize("steps", [1, 20, 40])
def test_it_takes_two_passes_a_step_at_most(under: Norm, steps: int) -> None:
    paper = affine()
    for net in (paper.net, Plateau(paper.net, paper.x)):
        y = net(paper.x).argmax(1)
        result = sp.attack(f"bb:steps={steps}")(net, paper.x, y, sp.Threat(under))
        assert (result.queries + result.gradients <= 2 * max(steps, 14)).all()  # a start may take more than few steps


@each_norm
def test_within_a_ball_it_finds_what_it_finds_without_one(under: Norm) -> None:
    """It starts outside the ball, and comes into it on its way along the boundary."""
    paper = affine()
    free = sp.attack("bb:steps=60")(paper.net, paper.x, paper.y, sp.Threat(under))
    eps = 1.01 * float(free.distance.median())
    ball = sp.attack("bb:steps=60")(paper.net, paper.x, paper.y, sp.Threat(under, eps))
    assert torch.equal(ball.success, free.distance <= eps)


def test_a_curved_boundary_is_followed_to_its_nearest_point() -> None:
    source = torch.Generator().manual_seed(3)
    x = 0.5 + 0.05 * torch.randn(6, 1, 4, 5, generator=source, dtype=torch.float64)
    net = Egg(torch.linspace(2.1, 3, 20, dtype=torch.float64))
    found = sp.attack("bb:steps=60")(net, x, torch.zeros(6, dtype=torch.long), sp.Threat("L2")).distance
    best = net.distance(x)
    assert (found >= best * (1 - 1e-9)).all()
    assert (found <= best * 1.001).all(), (found / best).tolist()


def test_it_goes_on_from_what_others_found() -> None:
    """Of a far success that it is handed, and nothing else, it makes the nearest."""
    paper = pair()
    goal = sp.Untargeted(paper.y)
    spec = "min-norm:attacks=deepfool+bb,passes=120"
    result = sp.attack(spec)(paper.net, paper.x, goal, sp.Threat("L2"))
    assert torch.allclose(result.distance, paper.distance(L2, 1 - paper.y), rtol=1e-3)
