"""Local search: what is thrown where, a loss that never falls, and pixels and queries on real digits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.ball import Ball
from sparring.blocks import groups
from sparring.blocks.neighbours import around, full, sizes, thrown, thrown_together
from sparring.norms import L0
from sparring.testing.fixtures import curved


class Around:
    """As much of a bout as the block needs."""

    def __init__(self, x: Tensor, eps: float = 5.0, free: Tensor | None = None, found: float = torch.inf) -> None:
        self.x, self.eps = x, torch.full((len(x),), eps)
        self.ball = Ball(x, L0, self.eps, (0.0, 1.0), None, None if free is None else free.expand(x.shape))
        self.nearest_size = torch.full((len(x),), found)

    def __len__(self) -> int:
        return len(self.x)


def test_a_pixel_is_thrown_in_all_channels_to_its_far_bound() -> None:
    x = torch.tensor([0.2, 0.9, 0.5])[None, :, None, None].expand(1, 3, 2, 2).contiguous()
    z = thrown(Around(x), x, torch.tensor([[3, 0]]))  # type: ignore[arg-type]
    assert z.shape == (1, 2, 3, 2, 2)
    assert z[0, 0, :, 1, 1].tolist() == [1.0, 0.0, 1.0]
    assert torch.equal(z[0, 0, :, 0], x[0, :, 0])
    assert z[0, 1, :, 0, 0].tolist() == [1.0, 0.0, 1.0]


def test_the_first_k_are_thrown_together() -> None:
    x = torch.zeros(2, 1, 2, 3)
    at = torch.tensor([[4, 0, 2], [1, 2, 3]])
    z = thrown_together(Around(x), x, at).flatten(2)  # type: ignore[arg-type]
    assert z.sum(2).tolist() == [[1, 2, 3], [1, 2, 3]]
    assert z[0, 1].nonzero().flatten().tolist() == [0, 4]
    assert z[1, 2].nonzero().flatten().tolist() == [1, 2, 3]
    assert sizes(Around(x), z.reshape(2, 3, 1, 2, 3)).tolist() == [[1, 2, 3], [1, 2, 3]]  # type: ignore[arg-type]


def test_the_next_set_is_around_the_chosen_and_free() -> None:
    x, free = torch.zeros(1, 1, 5, 6), torch.ones(1, 5, 6, dtype=torch.bool)
    free[0, 0, 0] = False
    chosen = torch.tensor([[True, False]])
    near = around(Around(x, free=free), torch.tensor([[7, 29]]), chosen, 1).reshape(5, 6)  # type: ignore[arg-type]
    expected = torch.zeros(5, 6)
    expected[:3, :3] = 1
    expected[0, 0] = 0
    assert torch.equal(near, expected)


@pytest.mark.parametrize(
    ("eps", "found", "expected"), [(3.0, torch.inf, False), (2.0, torch.inf, True), (9.0, 2.0, True)]
)
def test_full_means_no_room_for_another_pixel(eps: float, found: float, expected: bool) -> None:
    x = torch.zeros(1, 1, 2, 3)
    z = x.clone()
    z[0, 0, 0, :2] = 1
    assert full(Around(x, eps, found=found), z).tolist() == [expected]  # type: ignore[arg-type]


def test_a_dozen_pixels_and_some_hundred_queries_are_enough() -> None:
    """At most one and a half times the pixels that an attack with gradients needs."""
    x, y = sp.load_data("mnist5k", n=10).tensors()
    net = sp.load_model("mnist-cnn")
    result = sp.LSA()(net, x, y, sp.Threat("L0"))
    best = sp.attack("sigma-zero:steps=60")(net, x, y, sp.Threat("L0")).distance
    assert bool(result.success.all())
    assert float(result.distance.median()) <= 1.5 * float(best.median())
    assert float(result.queries.float().mean()) <= 400
    within = sp.LSA()(net, x, y, sp.Threat("L0", 6))
    assert 0 < int(within.success.sum()) < 10
    assert int((within.x_adv != x).flatten(1).sum(1).max()) <= 6


def test_the_loss_never_falls_from_round_to_round() -> None:
    x, y = sp.load_data("mnist5k", n=3).tensors()
    net = sp.load_model("mnist-cnn")
    margins = [
        sp.attack(f"lsa:rounds={rounds}")(net, x, y, sp.Threat("L0", 3), keep="margin").margin for rounds in (1, 2, 3)
    ]
    assert bool((margins[0] <= margins[1]).all())
    assert bool((margins[1] <= margins[2]).all())


@pytest.mark.parametrize(
    ("spec", "norm"), [("lsa:rounds=6,pixels=9", "L0"), ("zoo:steps=5,search=2,coordinates=9,solver=newton", "L2")]
)
@pytest.mark.parametrize("queries", [None, 40])
def test_candidates_of_large_images_are_made_in_groups_with_the_same_result(
    spec: str, norm: str, queries: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper, most = curved(), []
    budget, attack = sp.Budget(queries=queries), sp.attack(spec)
    whole = attack(paper.net, paper.x, paper.y, (norm, None), budget=budget)
    monkeypatch.setattr(groups, "GROUP", 4 * 20)  # of 20 pixels
    handle = paper.net.register_forward_hook(lambda _, args, __: most.append(len(args[0])))
    parts = attack(paper.net, paper.x, paper.y, (norm, None), budget=budget)
    handle.remove()
    assert max(most) <= 5 * 5  # five rows; of pixels thrown together, never more than five
    assert torch.equal(parts.queries, whole.queries)
    assert torch.equal(parts.first_hit, whole.first_hit)
    assert torch.allclose(parts.x_adv, whole.x_adv, atol=1e-9)
