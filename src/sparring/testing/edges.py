"""Does it survive what breaks others: bounds of the box, odd shapes, few classes, NaN, zero gradients, 8 bits?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from sparring.model import wrap
from sparring.result import Result
from sparring.testing.case import Examinee, check, demand, same, size
from sparring.testing.fixtures import Affine, Changed, Paper, affine, curved, on_grid, pair
from sparring.testing.truth import SLACK


class _Stairs(nn.Module):
    """A net behind rounded pixels: the graph is whole, and every gradient exactly zero."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net((x * 8).round() / 8)
        return z


class _Cut(_Stairs):
    """A net that detaches its input: there is no gradient at all."""

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net(x.detach())
        return z


@check("zero-gradient", applies=lambda info: info.sees == "gradient")
def zero_gradient(case: Examinee) -> None:
    """On a model whose gradient is zero, or cut off, it ends in finite numbers and a doubt that says so."""
    paper = affine()
    eps = float(paper.optimum(case.norm).min()) * 0.9
    for net in (_Stairs(paper.net), _Cut(paper.net)):
        result = case(replace(paper, net=net, y=net(paper.x).argmax(1)), eps=eps)
        demand(bool(result.x_adv.isfinite().all()), "x_adv holds NaN or Inf")
        codes = [doubt.code for doubt in result.doubts]
        demand("zero-gradients" in codes, f"the gradient is zero everywhere, but the doubts are {codes}")
        demand("non-finite" not in codes, "the model is finite everywhere, but the attack has shown it NaN or Inf")


@check("nan-on-the-way")
def nan_on_the_way(case: Examinee) -> None:
    """A point whose logits hold NaN or Inf is never a success, and a doubt says that there were some."""
    paper = affine()
    eps = None if case.eps(paper) is None else float(paper.optimum(case.norm).max()) * 2

    def away(x: Tensor) -> Tensor:
        gaps = (x.flatten(1)[:, None] - paper.x.flatten(1)[None]).abs().amax(2)
        return gaps.amin(1, keepdim=True) > 1e-9

    ways: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "NaN": lambda z, x: torch.where(away(x), torch.nan, z),
        "Inf in one class": lambda z, x: torch.where(
            away(x) & (torch.arange(5) == (z.argmin(1, keepdim=True))), torch.inf, z
        ),
    }
    for what, after in ways.items():
        result = case(paper.strange(after), eps=eps)
        demand(
            not bool(result.success.any()),
            f"{what}: success is {result.success.tolist()}, all points but the clean are broken",
        )
        demand(bool(result.x_adv.isfinite().all()), f"{what}: x_adv holds NaN or Inf")
        demand(bool((result.distance == torch.inf).all()), f"{what}: distance is {result.distance.tolist()}")
        codes = [doubt.code for doubt in result.doubts]
        demand("non-finite" in codes, f"{what}: the doubts are {codes}")


@check("two-classes", applies=lambda info: "untargeted" in info.specificity)
def two_classes(case: Examinee) -> None:
    """A head with one logit, [B] or [B, 1], gives the same as the two-class head that it stands for."""
    paper = pair()
    assert isinstance(paper.net, Affine)
    w, b = paper.net.weight.detach(), paper.net.bias.detach()
    eps = case.eps(paper)
    one = Affine(w[1:] - w[:1], b[1:] - b[:1])
    two = Affine(torch.cat([0 * w[:1], w[1:] - w[:1]]), torch.cat([0 * b[:1], b[1:] - b[:1]]))
    expected = case(replace(paper, net=two), eps=eps)
    same(expected, case(replace(paper, net=one), eps=eps), "with one logit [B, 1]")
    same(expected, case(replace(paper, net=one).strange(lambda z, x: z.squeeze(1)), eps=eps), "with one logit [B]")


@check("pixels-at-bounds")
def pixels_at_bounds(case: Examinee) -> None:
    """Where all pixels are exactly 0 or 1 it still succeeds, and moves both kinds."""
    paper = pair(binary=True)
    best = paper.optimum(case.norm)
    eps = None if case.eps(paper) is None else float(best.max()) * 1.2 * case.factor
    result = case(paper, eps=eps)
    demand(
        case.enough(result.success),
        f"success is {result.success.tolist()} at eps {eps}, the optimum is {best.tolist()}",
    )
    for bound in (0, 1):
        moved = ((result.x_adv != paper.x) & (paper.x == bound)).any()
        demand(bool(moved), f"no pixel that is exactly {bound} has moved in any image")


@check("region")
def region(case: Examinee) -> None:
    """Where only some pixels may change, no other does, and it is still strong: the optimum there is known, too."""
    paper = pair()
    free = torch.ones(paper.x.shape[1:], dtype=torch.bool)
    free[..., -1] = False
    best = paper.optimum(case.norm, free)
    reachable = best.isfinite()
    eps = None if case.eps(paper) is None else float(best[reachable].max()) * 1.2 * case.factor
    result = case(paper, eps=eps, region=free)
    changed = (result.x_adv != paper.x) & ~free
    demand(not bool(changed.any()), f"{int(changed.sum())} pixels outside the region have changed")
    demand(
        case.enough(result.success[reachable]),
        f"success is {result.success.tolist()} at eps {eps}, the optimum inside the region is {best.tolist()}",
    )


BOXES = ((-1.0, 1.0), (0.0, 255.0))
MEAN, STD = (0.25, 0.5, 0.75), (0.25, 0.5, 1.0)


@check("other-box", applies=lambda info: "untargeted" in info.specificity and info.learns is None)
def other_box(case: Examinee) -> None:
    """The same problem with pixels from -1 to 1, from 0 to 255, or normalised by channel has the same answer."""
    straight = on_grid(pair())
    best = straight.optimum(case.norm)
    enough = None if case.eps(straight) is None else float(best.max()) * 1.2 * case.factor
    for paper, eps in ((straight, enough), (on_grid(curved()), None)):
        radius = case.eps(paper) if eps is None else eps
        plain = case(paper, paper.y, eps=radius)
        if paper is straight:
            demand(case.enough(plain.success), f"success is {plain.success.tolist()} at eps {eps}")
        for low, high in BOXES:
            _same_answer(case, paper, plain, radius, low, high)
    coloured = on_grid(curved(shape=(3, 2, 3)))
    _same_by_channel(case, coloured, case(coloured, coloured.y))


def _same_answer(case: Examinee, paper: Paper, plain: Result, eps: float | None, low: float, high: float) -> None:
    """With pixels from `low` to `high` it gives the answer of the `plain` run, scaled."""
    span = high - low
    scale = 1 if str(case.norm) == "L0" else span
    wide = Paper(Changed(paper.net, before=lambda x: (x - low) / span), paper.x * span + low, paper.y)
    model = wrap(wide.net, box=(low, high))
    result = case(wide, wide.y, eps=None if eps is None else eps * scale, model=model)
    where = f"with pixels from {low:g} to {high:g}"
    least, most = float(result.x_adv.min()), float(result.x_adv.max())
    demand(least >= low and most <= high, f"{where} x_adv goes from {least:.6g} to {most:.6g}")
    fooled = wide.classes(result.x_adv) != wide.y
    demand(torch.equal(fooled, result.success), f"{where} success is not what a fresh look at x_adv says")
    _agree(plain, result, result.distance / scale, where)


def _same_by_channel(case: Examinee, paper: Paper, plain: Result) -> None:
    """A net that takes normalised pixels, behind pixels from 0 to 255."""
    mean, std = (torch.tensor(values, dtype=paper.x.dtype).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    scale = 1 if str(case.norm) == "L0" else 255
    normal = Changed(paper.net, before=lambda x: x * std + mean)
    model = wrap(normal, box=(0, 255), mean=[255 * m for m in MEAN], std=[255 * s for s in STD])
    eps = case.eps(paper)
    result = case(replace(paper, x=paper.x * 255), paper.y, eps=None if eps is None else eps * scale, model=model)
    _agree(plain, result, result.distance / scale, "with pixels normalised by channel")


def _agree(plain: Result, result: Result, distance: Tensor, where: str) -> None:
    demand(
        torch.equal(plain.success, result.success),
        f"{where} success is {result.success.tolist()}, from 0 to 1 it is {plain.success.tolist()}",
    )
    demand(
        torch.allclose(distance, plain.distance, rtol=1e-4, atol=1e-7),
        f"{where} distance is {distance.tolist()} in widths of the box, from 0 to 1 it is {plain.distance.tolist()}",
    )


@check("shift-invariance", every_norm=False)
def shift_invariance(case: Examinee) -> None:
    """Subtracting 1000 from all logits changes nothing."""
    paper = affine()
    eps = case.eps(paper)
    same(case(paper, eps=eps), case(paper.strange(lambda z, x: z - 1000), eps=eps), "with all logits 1000 lower", 1e-5)


@check("shapes", every_norm=False)
def shapes(case: Examinee) -> None:
    """Vectors [N, d] and pictures that are not square, of one and three channels, are taken as they come."""
    for shape in ((12,), (1, 3, 5), (3, 4, 3)):
        paper = affine(shape=shape)
        result = case(paper)
        demand(result.x_adv.shape == paper.x.shape, f"{shape}: x_adv has shape {tuple(result.x_adv.shape)}")
        said = paper.classes(result.x_adv) != paper.y
        wrong = "untargeted" in case.info.specificity and not torch.equal(said, result.success)
        demand(not wrong, f"{shape}: success is {result.success.tolist()}, a fresh look says {said.tolist()}")
        moved = size(case.norm, result.x_adv - paper.x)
        demand(bool((moved > 0).any()), f"{shape}: no image was changed")


@check("eight-bits")
def eight_bits(case: Examinee) -> None:
    """With levels=256 every x_adv lies on the grid, and what succeeds still does after a trip through uint8."""
    grid = pair().single()
    x = (grid.x * 255).round() / 255
    paper = Paper(grid.net, x, grid.classes(x))
    best = paper.optimum(case.norm)
    eps = None if case.eps(paper) is None else float(best.max()) * 1.3 * case.factor
    result = case(paper, eps=eps, levels=256)
    bytes_ = (result.x_adv * 255).round().to(torch.uint8)
    again = bytes_.float() / 255
    off = float((again - result.x_adv).abs().max())
    demand(off < 1e-6, f"x_adv is up to {off * 255:.3g} grey levels off the grid")
    demand(
        case.enough(result.success),
        f"success is {result.success.tolist()} at eps {eps}, the optimum is {best.tolist()}",
    )
    fooled = paper.classes(again) != paper.y
    wrong = "untargeted" in case.info.specificity and not torch.equal(fooled, result.success)
    demand(not wrong, f"success is {result.success.tolist()}, after uint8 it is {fooled.tolist()}")
    moved = size(case.norm, again - paper.x)
    demand(
        torch.allclose(torch.where(fooled, moved, torch.inf), result.distance.double(), rtol=1e-4, atol=1e-6),
        f"distance is {result.distance.tolist()}, after uint8 it is {moved.tolist()} (inf = not fooled)",
    )
    if eps is not None:
        demand(
            bool((moved <= eps * SLACK + 1e-6).all()), f"after uint8 the distances are {moved.tolist()}, eps is {eps}"
        )
