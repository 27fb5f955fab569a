"""SimBA on real digits: success and queries against ART's figures on a like net, steps counted exactly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.norms import L2
from sparring.testing.fixtures import affine, curved


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", n=10).tensors()


@pytest.mark.long
@pytest.mark.parametrize(("spec", "queries"), [("simba", 803), ("simba:basis=dct", 725)])
def test_digits_fall_with_fewer_queries_than_art_needs(spec: str, queries: int, digits: tuple[Tensor, Tensor]) -> None:
    """ART's, on a like net: 80 % of 10 digits at L2 2.23 with 803 queries by pixels, at 2.49 with 725 by cosines."""
    threat = sp.Threat("L2", 2.23)
    result = sp.attack(f"{spec},queries=2000".replace("simba,", "simba:"))(sp.load_model("mnist-cnn"), *digits, threat)
    assert int(result.success.sum()) >= 9
    assert float(result.queries.float().mean()) < queries


def test_random_noise_of_that_size_fools_none(digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits
    net, generator = sp.load_model("mnist-cnn"), torch.Generator().manual_seed(0)
    for _ in range(20):
        d = torch.randn(x.shape, generator=generator)
        d *= 2.23 / d.flatten(1).norm(dim=1)[:, None, None, None]
        assert bool((net.logits((x + d).clamp(0, 1)).argmax(1) == y).all())


class Flat(nn.Module):
    """Says the same of every image, and keeps those that it saw."""

    def __init__(self, asked: list[Tensor]) -> None:
        super().__init__()
        self.asked = asked

    def forward(self, x: Tensor) -> Tensor:
        self.asked.append(x.detach().clone())
        return torch.tensor([[5.0, 0.0]]).expand(len(x), -1)


def test_both_sides_of_every_pixel_are_tried_and_what_cannot_move_is_not_asked() -> None:
    """On a flat net nothing helps: 2 tries a pixel inside, 1 at a bound of the box."""

    asked: list[Tensor] = []
    x = torch.tensor([[0.5, 0.0, 1.0, 0.4]])
    sp.attack("simba:queries=6")(Flat(asked), x, torch.tensor([0]), sp.Threat("Linf", 0.1))
    moves = [tuple((z - x)[0].nonzero().flatten().tolist()) for z in asked if not torch.equal(z, x)]
    signs = [round(float((z - x).sum()), 3) for z in asked if not torch.equal(z, x)]
    assert sorted(moves) == [(0,), (0,), (1,), (2,), (3,), (3,)]
    assert sorted(signs) == [-0.1, -0.1, -0.1, 0.1, 0.1, 0.1]


def test_on_an_affine_net_one_pass_over_the_pixels_is_the_best_there_is() -> None:
    paper = affine(classes=2)
    eps = float(paper.optimum(sp.Linf).median())
    result = sp.attack("simba:queries=40")(paper.net, paper.x, paper.y, sp.Threat("Linf", eps * 1.001))
    assert result.success.tolist() == (paper.optimum(sp.Linf) <= eps * 1.001).tolist()


ONE = torch.zeros(1, 10, 12, dtype=torch.bool)
ONE[0, 4, 5] = True
COLUMN = torch.zeros(1, 10, 12, dtype=torch.bool)
COLUMN[:, :, 7] = True


@pytest.mark.parametrize(
    ("norm", "eps", "region", "levels", "tries"),
    [
        ("Linf", 0.1, ONE, None, [2, 1]),
        ("L2", 0.5, ONE, None, [2, 1]),
        ("Linf", 0.1, COLUMN, None, [20, 10]),
        ("Linf", 0.1, None, None, [240, 120]),
        ("L2", 0.5, None, None, [240, 120]),
        ("Linf", 0.1, None, 3, [0, 0]),  # no step of the grid is that short
        ("L2", 0.5, None, 3, [0, 0]),
    ],
)
def test_what_moves_nothing_costs_nothing_and_who_has_tried_all_leaves(
    norm: str, eps: float, region: Tensor | None, levels: int | None, tries: list[int]
) -> None:
    """It passed over 32 tries and asked the next, whatever that was; on a flat net it went on to the last query."""
    asked: list[Tensor] = []
    x = torch.stack([torch.full((1, 10, 12), 0.5), torch.ones(1, 10, 12)])
    threat = sp.Threat(norm, eps, levels=levels)
    result = sp.attack("simba")(Flat(asked), x, torch.zeros(2).long(), threat, region=region)
    assert (result.queries - result.queries.min() - (torch.tensor(tries) - min(tries))).tolist() == [0, 0]
    looks = int(result.queries[0]) - tries[0]
    assert looks <= 2  # at the clean image
    moved = torch.cat(asked[looks:]) if asked[looks:] else x[:0]
    assert not bool((moved[:, None] == x[None]).flatten(2).all(2).any())
    assert len(moved.unique(dim=0)) == len(moved) == sum(tries)


@pytest.mark.parametrize("spec", ["simba:step=0.4", "simba:step=0.4,basis=dct"])
@pytest.mark.parametrize("norm", ["L2", "Linf"])
def test_a_row_leaves_where_no_vector_helps_any_more(spec: str, norm: str) -> None:
    paper = curved()
    eps = 0.3 * float(paper.optimum(L2 if norm == "L2" else sp.Linf).min())
    result = sp.attack(spec)(paper.net, paper.x, paper.y, sp.Threat(norm, eps))
    assert not bool(result.success.any())
    assert bool((result.queries < 1000).all())
    few = int(result.queries.argmin())
    alone = sp.attack(f"{spec},queries=9999")(
        paper.net, paper.x[few : few + 1], paper.y[few : few + 1], sp.Threat(norm, eps)
    )
    assert int(alone.queries) == int(result.queries[few])


@pytest.mark.parametrize("norm", ["L2", "Linf"])
def test_no_single_pixel_helps_where_it_ends(norm: str) -> None:
    """The largest margin that it saw is where it stood: no step from there, either side, has a larger one."""
    paper = curved()
    eps = 0.3 * float(paper.optimum(L2 if norm == "L2" else sp.Linf).min())
    result = sp.attack("simba:step=0.4")(paper.net, paper.x, paper.y, sp.Threat(norm, eps))
    step = 0.4 * eps
    for side in (-step, step):
        for pixel in range(20):
            z = result.x_adv.flatten(1).clone()
            z[:, pixel] = (z[:, pixel] + side).clamp(0, 1)
            d = z - paper.x.flatten(1)
            inside = d.norm(dim=1) <= eps if norm == "L2" else d.abs().amax(1) <= eps  # others are projected first
            scores = paper.logits(z.reshape(paper.x.shape))
            own = scores.gather(1, paper.y[:, None]).squeeze(1)
            margins = scores.scatter(1, paper.y[:, None], -torch.inf).amax(1) - own
            assert bool((margins <= result.margin + 1e-6)[inside].all())
