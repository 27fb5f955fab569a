"""Hot/Cold: its direction by hand, diverse by hot class, scanned and not bisected; and the measure PASS."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import sparring as sp
from sparring.attacks.gradient.hot_cold import HotCold
from sparring.blocks.pass_score import pass_score, ssim
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


# --- PASS -------------------------------------------------------------------------------------------------------


def picture(*shape: int) -> Tensor:
    source = torch.Generator().manual_seed(1)
    coarse = torch.rand(*shape[:2], shape[2] // 4, shape[3] // 4, generator=source)
    return torch.nn.functional.interpolate(coarse, shape[2:], mode="bilinear")


def test_ssim_of_one_window_is_the_formula() -> None:
    """An 11 x 11 image has one window: means, variances and the covariance under its weights, by hand."""
    a, b = picture(2, 1, 12, 12)[..., :11, :11].double()
    at = torch.arange(11) - 5.0
    weight = (-(at[:, None] ** 2 + at**2) / (2 * 1.5**2)).exp().double()
    weight /= weight.sum()
    mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
    var_a, var_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
    both = (weight * (a - mean_a) * (b - mean_b)).sum()
    c1, c2 = 0.01**2, 0.03**2
    by_hand = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    assert torch.allclose(ssim(a[None], b[None]), by_hand)


def test_pass_forgives_a_shift_and_falls_with_noise() -> None:
    x = picture(3, 2, 24, 28)
    shifted = x.roll((1, -2), (2, 3))
    assert torch.equal(pass_score(x, x), ssim(x, x))
    assert torch.allclose(pass_score(x, x), torch.ones(3))
    assert bool((pass_score(shifted, x) > ssim(shifted, x)).all())
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    falling = torch.stack([pass_score(x + size * noise, x) for size in (0.0, 0.01, 0.03, 0.1)])
    assert bool((falling.diff(dim=0) < 0).all())


def test_pass_knows_boxes_and_vectors() -> None:
    x = picture(2, 1, 16, 16)
    near = (x + 0.1 * x.flip(2)).clamp(0, 1)
    assert torch.allclose(pass_score(near * 255, x * 255, box=(0, 255)), pass_score(near, x), atol=1e-4)
    assert pass_score(near.flatten(1), x.flatten(1)).shape == (2,)
