"""Views: what is shown in each pass, how views join, how they are written, and what DI does to a picture."""

from __future__ import annotations

import json

import pytest
import torch

import sparring as sp
from sparring.blocks.views.augment import DI, SI, Joined
from sparring.blocks.views.eot import EOT
from sparring.bout import View, turns
from sparring.errors import InputError
from sparring.rng import Noise
from sparring.testing.fixtures import affine, images


def noise(count: int = 1, seed: int = 0) -> Noise:
    return Noise.of(images(count, (1, 2, 2), seed=1), seed)


Z = images(4, (2, 6, 5), seed=3)


# --- which copies are shown -----------------------------------------------------------------------------------


def test_a_view_of_like_copies_is_shown_as_often_as_it_says() -> None:
    eot = EOT(3)
    assert list(turns(None)) == [None]
    assert list(turns(eot)) == [eot] * 3


def test_scale_copies_start_with_the_point_itself_and_halve() -> None:
    first, *others = turns(SI(4))
    assert first is None
    shown = [view(Z, noise(4)) for view in others if view is not None]
    assert all(torch.equal(copy, Z / 2**i) for i, copy in enumerate(shown, 1))
    assert len(shown) == 3


def test_scale_copies_fade_to_their_center() -> None:
    view = turns(SI(2, 0.5))[1]
    assert view is not None
    assert torch.allclose(view(Z, noise(4)), (Z + 0.5) / 2)


def test_called_alone_si_shows_one_of_its_copies_to_each_row() -> None:
    z = torch.ones(400, 1, 2, 2)
    shown = SI(3)(z, noise(400))
    shares = {factor: float((shown[:, 0, 0, 0] == factor).double().mean()) for factor in (1.0, 0.5, 0.25)}
    assert shares == pytest.approx(dict.fromkeys(shares, 1 / 3), abs=0.08)


@pytest.mark.parametrize(
    ("view", "copies", "points"),
    [
        (EOT(20), 20, 0),
        (SI(5), 5, 1),
        (DI(0.5), 1, 0),
        (DI(0.0), 1, 1),
        (SI(3) | DI(), 3, 0),
        (DI() | SI(3), 3, 0),
        (DI(0) | SI(3), 3, 1),
        (SI(2) | SI(3) | EOT(2), 12, 0),
    ],
)
def test_joined_views_show_every_copy_of_one_to_every_copy_of_the_other(view: View, copies: int, points: int) -> None:
    assert view.copies == len(turns(view)) == copies
    assert sum(turn is None for turn in turns(view)) == points


def test_the_left_view_comes_first() -> None:
    def shown(view: View) -> float:
        return float(view(torch.full((1, 1, 1, 1), 0.8), noise()))

    add, halve = EOT(1, lambda z, noise: z + 0.1), EOT(1, lambda z, noise: z / 2)
    assert shown(add | halve) == pytest.approx(0.45)
    assert shown(halve | add) == pytest.approx(0.5)
    (turn,) = turns(add | halve)
    assert turn is not None
    assert shown(turn) == pytest.approx(0.45)


def test_the_gradient_is_the_mean_over_the_copies_with_the_factor_of_each() -> None:
    paper = affine()
    result = sp.attack("mifgsm:steps=1,step=1,view=si3")(paper.net, paper.x, paper.y, ("L2", 0.1), keep="last")
    q = paper.x.clone().requires_grad_()
    losses = [torch.nn.functional.cross_entropy(paper.net(q / 2**i), paper.y, reduction="sum") for i in range(3)]
    (g,) = torch.autograd.grad(torch.stack(losses).sum(), q)
    expected = paper.x + 0.1 * g / g.flatten(1).norm(dim=1)[:, None, None, None]
    inside = ((expected >= 0) & (expected <= 1)).flatten(1).all(1)  # elsewhere the box has its say
    moved = result.x_adv - paper.x
    assert torch.allclose(result.x_adv[inside], expected[inside])
    assert torch.equal(moved.sign() * moved.ne(0), g.sign() * moved.ne(0))


def test_points_are_judged_where_a_copy_is_the_point_itself() -> None:
    paper = affine()
    eps = float(paper.optimum(sp.Linf).max()) * 1.5
    hits = [
        sp.attack(f"mifgsm:view={view}")(paper.net, paper.x, paper.y, ("Linf", eps)).first_hit.max()
        for view in ("si2", "eot2")
    ]
    assert int(hits[0]) < 22 == int(hits[1])  # 1 clean image, 20 copies, and the last point


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "view", "written"),
    [
        ("eot20", EOT(20), "eot20"),
        ("EOT", EOT(20), "eot20"),
        ("eot(7)", EOT(7), "eot7"),
        ("si", SI(5), "si5"),
        ("si3@0.5", SI(3, 0.5), "si3@0.5"),
        ("di", DI(), "di0.5"),
        ("di0.7", DI(0.7), "di0.7"),
        ("di1@0.9", DI(1.0, 0.9), "di1.0@0.9"),
        ("di+si", Joined(DI(), SI()), "di0.5+si5"),
        (" si2 + di0.7 + eot3", Joined(Joined(SI(2), DI(0.7)), EOT(3)), "si2+di0.7+eot3"),
    ],
)
def test_views_are_written_by_name_in_specs_and_settings(name: str, view: View, written: str) -> None:
    attack = sp.attack(f"mifgsm:view={name}")
    assert attack.view == view  # type: ignore[attr-defined]
    assert attack.spec == f"mifgsm:view={written}"
    assert sp.attack(attack.spec) == attack
    assert json.loads(json.dumps(attack.settings()))["view"] == written
    assert sp.PGD(view=view).view == view


@pytest.mark.parametrize(
    "name", ["foo", "eot0", "eot-1", "eot20@3", "eot1.5", "di2", "di0.5@0", "si0", "di+", "+", "3"]
)
def test_names_that_mean_nothing_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match="is not known; write eot20 for 20 passes a gradient") as error:
        sp.attack(f"mifgsm:view={name}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"p": 1.1}, {"p": -0.1}, {"rate": 0.0}, {"rate": float("inf")}])
def test_input_diversity_of_impossible_numbers_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="p must be from 0 to 1, and rate above 0"):
        DI(**wrong)


# --- input diversity ------------------------------------------------------------------------------------------


def test_nothing_to_resize_leaves_the_picture() -> None:
    assert torch.allclose(DI(1.0, 1.0)(Z, noise(4)), Z)


def test_vectors_are_left_alone() -> None:
    z = torch.rand(3, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(DI(1.0)(z, noise(3)), z)


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_a_share_of_p_of_the_rows_is_changed(p: float) -> None:
    z = images(600, (1, 5, 5), seed=4)
    changed = (DI(p)(z, noise(600)) != z).flatten(1).any(1).double().mean()
    assert float(changed) == pytest.approx(p, abs=0.06)


@pytest.mark.parametrize(("rate", "low", "high"), [(1.5, 1 / 1.5, 1.0), (0.6, 0.6, 1.0)])
def test_the_picture_shrinks_into_its_canvas_by_a_random_share(rate: float, low: float, high: float) -> None:
    """A white picture on black: what is white afterwards is its area, wherever it lies."""
    white = torch.ones(300, 1, 40, 40, dtype=torch.float64)
    share = DI(1.0, rate)(white, noise(300)).mean((1, 2, 3)).sqrt()
    assert bool((share > low - 0.02).all() and (share < high + 0.02).all())
    assert float(share.mean()) == pytest.approx((low + high) / 2, abs=0.02)
    assert float(share.std()) == pytest.approx((high - low) / 12**0.5, abs=0.02)


def test_the_picture_lies_anywhere_in_its_canvas_and_pad_is_around_it() -> None:
    white = torch.ones(300, 1, 40, 40, dtype=torch.float64)
    shown = DI(1.0, 0.5, pad=0.25)(white, noise(300))
    assert shown.min().item() == pytest.approx(0.25)
    at = torch.arange(40, dtype=torch.float64)
    weight = shown - 0.25
    mass = weight.sum((1, 2, 3))
    across, down = (weight.sum((1, 3 - axis)) @ at / mass for axis in (0, 1))
    for center in (across, down):
        assert float(center.mean()) == pytest.approx(19.5, abs=0.7)
        assert float(center.std()) > 2
    assert abs(float(torch.corrcoef(torch.stack([across, down]))[0, 1])) < 0.2


def test_each_row_draws_for_itself_and_the_gradient_goes_through() -> None:
    together = DI(1.0)(Z, noise(4))
    for i in range(4):
        assert torch.allclose(DI(1.0)(Z[i : i + 1], noise(4)[torch.tensor([i])]), together[i : i + 1])
    z = Z.clone().requires_grad_()
    weight = torch.rand(Z.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (g,) = torch.autograd.grad((DI(1.0)(z, noise(4)) * weight).sum(), z)
    (h,) = torch.autograd.grad((weight * DI(1.0)(z, noise(4))).sum(), z)
    nudge = 1e-6 * weight
    change = (weight * (DI(1.0)(Z + nudge, noise(4)) - DI(1.0)(Z, noise(4)))).sum()
    assert torch.equal(g, h)
    assert float(change) == pytest.approx(float((g * nudge).sum()), rel=1e-6)
