"""DDN, FMN, sigma-zero, PDGD, PDPGD and ALMA: closed forms, what each paper says of itself, and bugs of known ports."""

from __future__ import annotations

import itertools
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sparring as sp
from sparring.attack import Attack, register
from sparring.ball import Ball
from sparring.blocks.primal_dual.dual import Dual
from sparring.blocks.radius import boundary, grown, length_of, shrunk, slope_of_size
from sparring.blocks.schedules import cosine
from sparring.bout import Bout
from sparring.losses import log_odds, margin
from sparring.norms import L0, L1, L2, Linf, Norm
from sparring.result import concat
from sparring.testing.case import same
from sparring.testing.fixtures import Plateau, affine, pair

ATTACKS = [
    *(("ddn", L2), ("pdgd", L2), ("sigma-zero", L0)),
    *(("alma", norm) for norm in (L1, L2)),
    *((name, norm) for name in ("fmn", "pdpgd") for norm in (L0, L1, L2, Linf)),
]
each_attack = pytest.mark.parametrize(("name", "norm"), ATTACKS, ids=lambda value: str(value))


class Recorder(nn.Module):
    """A net that remembers what it was shown, the clean images left out."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.looks: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.looks.append(x.detach().clone())
        z: Tensor = self.net(x)
        return z

    @property
    def shown(self) -> list[Tensor]:
        return self.looks[1:]


def after(spec: str, reach: float) -> Attack:
    """A point `reach` times as far as the boundary, and then another attack in the same bout."""

    def run(self: Attack, bout: Bout) -> None:
        first = bout.child(0)
        gain, g = first.value_and_grad(first.x, margin)
        first.submit(first.ball.to_hyperplane(g, -reach * gain))
        second = bout.child(1)
        answer = sp.attack(spec).run(second)
        if answer is not None:
            second.submit(answer)

    columns = {
        "title": "R",
        "sees": "gradient",
        "norms": (L0, L1, L2, Linf),
        "aim": "minimum",
        "paper": "",
        "year": 2026,
    }
    with patch.dict("sparring.attack.REGISTRY"):
        made: type[Attack] = register("relay", **columns)(type("Relay", (Attack,), {"run": run}))
    return made()


# --- closed forms ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "norm", "factor"),
    [
        ("ddn:steps=200", L2, 1.01),
        ("fmn:steps=60", L0, 1.0),
        ("fmn:steps=60", L1, 1.01),
        ("fmn:steps=60", L2, 1.01),
        ("fmn:steps=60", Linf, 1.01),
        ("sigma-zero:steps=60", L0, 1.0),
        ("pdgd:steps=200", L2, 1.1),
        ("pdpgd:steps=200", L1, 1.1),
        ("pdpgd:steps=200", L2, 1.1),
        ("pdpgd:steps=200", Linf, 1.01),
        ("alma:steps=200", L1, 1.2),
        ("alma:steps=200", L2, 1.02),
        ("brendel-bethge:steps=60,radius=2", L0, 1.0),
        ("brendel-bethge:steps=60", L1, 1.001),
        ("brendel-bethge:steps=60", L2, 1.001),
        ("brendel-bethge:steps=60", Linf, 1.001),
    ],
)
def test_an_affine_net_is_solved(spec: str, norm: Norm, factor: float) -> None:
    paper = pair(classes=4)
    best = paper.distance(norm, 1 - paper.y)
    goal = sp.Targeted(1 - paper.y, paper.y)
    found = sp.attack(spec)(paper.net, paper.x, goal, sp.Threat(norm)).distance
    assert (found <= best * factor * (1 + 1e-6)).all(), (found / best).tolist()


# --- what all have in common ----------------------------------------------------------------------------------


@each_attack
def test_a_step_costs_a_query_and_a_gradient(name: str, norm: Norm) -> None:
    """As many passes as a port that spends its last gradient in vain, and never looks at the clean image."""
    paper = pair()
    result = sp.attack(f"{name}:steps=40")(paper.net, paper.x, paper.y, sp.Threat(norm))
    assert (result.queries + result.gradients == 80).all()


@each_attack
def test_flat_rows_go_on_from_an_adversarial_start_and_pay_for_it(name: str, norm: Norm) -> None:
    paper = affine()
    net = Plateau(paper.net, paper.x)
    result = sp.attack(f"{name}:steps=60")(net, paper.x, net(paper.x).argmax(1), sp.Threat(norm))
    assert result.success.all()
    assert (result.queries + result.gradients <= 120).all()
    assert (result.distance < 0.9 * norm.size(torch.maximum(paper.x, 1 - paper.x))).all()


@each_attack
def test_a_neighbour_that_starts_again_changes_nothing(name: str, norm: Norm) -> None:
    paper = affine()
    net = Plateau(paper.net, paper.x[:2])
    y = net(paper.x).argmax(1)
    attack = sp.attack(f"{name}:steps=30")
    together = attack(net, paper.x, y, sp.Threat(norm))
    alone = [attack(net, paper.x[i : i + 1], y[i : i + 1], sp.Threat(norm)) for i in range(len(paper))]
    same(together, concat(alone), "one by one")


@each_attack
def test_a_box_255_times_as_wide_gives_the_same_path(name: str, norm: Norm) -> None:
    paper = affine()

    class Bytes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            z: Tensor = paper.net(x / 255)
            return z

    attack = sp.attack(f"{name}:steps=30")
    narrow = attack(paper.net, paper.x, paper.y, sp.Threat(norm))
    wide = attack(sp.wrap(Bytes(), box=(0, 255)), paper.x * 255, paper.y, sp.Threat(norm))
    assert torch.allclose(wide.x_adv / 255, narrow.x_adv, atol=1e-4)


@each_attack
def test_it_goes_on_from_what_was_found_before(name: str, norm: Norm) -> None:
    """The first point that it looks at is the one found before, and a few steps bring it nearer."""
    paper = pair()
    net = Recorder(paper.net)
    result = after(f"{name}:steps=60", reach=2.0)(net, paper.x, paper.y, sp.Threat(norm))
    start = net.shown[1]
    assert torch.equal(net.shown[2], start)
    assert (result.distance < norm.size(start - paper.x)).all()
    best, pixel = paper.optimum(norm), float(norm == L0)
    assert (result.distance <= best * 1.3 + pixel).all(), (result.distance / best).tolist()


# --- DDN ------------------------------------------------------------------------------------------------------


def test_log_odds_have_the_direction_of_the_cross_entropy() -> None:
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    y = torch.arange(6) % 4
    for goal, loss in (
        (sp.Untargeted(y), F.cross_entropy(z, y, reduction="none")),
        (sp.Targeted(y), -F.cross_entropy(z, y, reduction="none")),
    ):
        (a,) = torch.autograd.grad(loss.sum(), z)
        (b,) = torch.autograd.grad(log_odds(z, goal).sum(), z)
        assert torch.allclose(F.cosine_similarity(a, b, dim=1), torch.ones(6).double())


def test_ddn_is_not_stopped_by_a_saturated_softmax() -> None:
    """Logits a thousand times as large: the gradient of the cross-entropy is exactly zero in float32."""
    paper = pair().single()
    result = sp.attack("ddn:steps=60")(paper.net, paper.x, paper.y, sp.Threat("L2"))
    steep = paper.strange(lambda z, x: z * 1000)
    assert torch.allclose(
        sp.attack("ddn:steps=60")(steep.net, paper.x, paper.y, sp.Threat("L2")).distance, result.distance
    )
    x = paper.x.clone().requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(steep.net(x), paper.y), x)
    assert (g == 0).all()


def test_ddn_shrinks_its_radius_by_gamma_after_a_hit_and_grows_it_after_a_miss() -> None:
    paper = pair()
    x = 0.4 + 0.2 * paper.x  # far from the bounds, which would take their share
    y = paper.classes(x)
    net = Recorder(paper.net)
    sp.attack("ddn:steps=40,radius=0.1,gamma=0.1")(net, x, y, sp.Threat("L2"))
    for before, point in itertools.pairwise(net.shown[1:]):
        hit = paper.classes(before) != y
        assert torch.allclose(L2.size(point - x) / L2.size(before - x), torch.where(hit, 0.9, 1.1).double())
    assert (paper.classes(net.shown[-1]) != y).any()


# --- FMN ------------------------------------------------------------------------------------------------------


def test_lesson_fmn_projects_onto_the_ball_neither_the_sphere_nor_nothing() -> None:
    """Foolbox's L2 projection multiplies by 1 always; adv-lib's lifts points inside the ball to its surface."""
    paper = pair()
    for alpha, wanted in ((0.01, torch.full((5,), 0.01).double()), (100.0, 1.02 * paper.optimum(L2))):
        net = Recorder(paper.net)
        sp.attack(f"fmn:steps=3,alpha={alpha}")(net, paper.x, paper.y, sp.Threat("L2"))
        moved = L2.size(net.shown[1] - paper.x)
        assert (moved <= wanted * (1 + 1e-9)).all(), f"alpha {alpha}: nothing is projected"
        if alpha < 1:  # nearly all pixels have room for so short a step
            assert (moved > 0.5 * wanted).all()


def test_the_radius_of_pixels_changes_by_one_at_least() -> None:
    x = torch.full((3, 4), 0.5)
    ball = Ball(x, L0, torch.tensor([1.0, 10.0, 90.0]), (0.0, 1.0))
    assert shrunk(ball, 0.05).tolist() == [0, 9, 85]
    assert grown(ball, 0.05).tolist() == [2, 11, 94]
    ball = Ball(x, L2, torch.tensor([1.0, 10.0, 90.0]), (0.0, 1.0))
    assert torch.allclose(shrunk(ball, 0.05), 0.95 * ball.eps)
    assert torch.allclose(grown(ball, 0.05), 1.05 * ball.eps)


@pytest.mark.parametrize("norm", [L0, L1, L2, Linf], ids=str)
def test_the_linear_model_of_a_linear_net_finds_its_boundary(norm: Norm) -> None:
    paper = pair()
    x = paper.x.clone().requires_grad_()
    gain = margin(paper.net(x), sp.Untargeted(paper.y))
    (g,) = torch.autograd.grad(gain.sum(), x)
    ball = Ball(paper.x, norm, torch.full((5,), torch.inf).double(), (0.0, 1.0))
    assert torch.allclose(boundary(ball, paper.x, -gain.detach(), g), paper.optimum(norm))


# --- sigma-zero -----------------------------------------------------------------------------------------------


def test_lesson_the_threshold_of_sigma_zero_falls_after_misses_and_grows_after_hits() -> None:
    """In the authors' code it never changes, as it is written to a copy: no change below the first is ever shown."""
    paper = affine()
    net = Recorder(paper.net)
    steps, first = 60, 0.9
    sp.attack(f"sigma-zero:steps={steps},tau={first}")(net, paper.x, paper.y, sp.Threat("L0"))
    path, least = [torch.full((5,), first).double()], torch.full((5,), torch.inf).double()
    for k, (before, point) in enumerate(itertools.pairwise(net.shown)):
        rate = 0.01 * cosine(k, steps, 1.0, 0.1)
        path.append(torch.where(paper.classes(before) != paper.y, path[-1] + rate, path[-1] - rate).clamp(0, 1))
        change = (point - paper.x).flatten(1).abs()
        smallest = torch.where(change > 0, change, torch.inf).amin(1)
        assert (smallest >= path[-1] - 1e-9).all()
        least = torch.minimum(least, smallest)
    changes = torch.stack(path).diff(dim=0)
    assert (changes > 0).any(0).all()
    assert (changes < 0).any(0).all()
    assert (least < first - 0.01).any()


# --- PDGD, PDPGD, ALMA ----------------------------------------------------------------------------------------


def test_the_price_of_size_rises_after_hits_and_falls_after_misses() -> None:
    dual = Dual.start(torch.full((3,), 0.01))
    assert torch.allclose(dual.ratio, torch.full((3,), 0.01))
    later = dual
    for _ in range(300):
        later = later.tell(torch.tensor([1.0, -1.0, 0.0]), 0.1)
    assert later.ratio[0] > dual.ratio[0] > later.ratio[1]
    assert torch.equal(later.odds[2], dual.odds[2])
    assert torch.allclose(later.odds[:2].exp(), torch.tensor([1e-6, 1e6]), rtol=1e-3)  # never beyond


def test_a_balanced_price_leaves_the_nearest_point_of_a_boundary_where_it_is() -> None:
    """There, the slopes of size and mistake cancel."""
    g = torch.randn(2, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ball = Ball(torch.full((2, 9), 0.5).double(), L2, torch.full((2,), torch.inf).double(), (0.0, 1.0))
    start = Dual.start(torch.full((2,), 0.01).double())
    dual = start.balanced(torch.tensor([True, False]), ball, g)
    mistake = -g / 2 * dual.weight[:, None]  # of softplus(-margin), where the margin is 0
    size = (1 - dual.weight)[:, None] * L2.steepest(g)  # the way to the boundary is along g
    assert torch.allclose(size[0], -mistake[0])
    assert torch.equal(dual.odds[1], start.odds[1])


@pytest.mark.parametrize("norm", [L1, L2, Linf], ids=str)
def test_a_step_gets_the_length_that_moves_as_far_as_is_wanted(norm: Norm) -> None:
    source = torch.Generator().manual_seed(0)
    x = torch.rand(4, 30, generator=source, dtype=torch.float64)
    step = torch.randn(4, 30, generator=source, dtype=torch.float64) * torch.tensor([[1e-6], [1.0], [1e3], [0.0]])
    ball = Ball(x, norm, torch.full((4,), torch.inf).double(), (0.0, 1.0))
    wanted = torch.full((4,), 0.6).double()
    length = length_of(ball, x, step, wanted)
    moved = ball.distance(ball.clip(x + length[:, None] * step))
    assert torch.allclose(moved[:3], wanted[:3], rtol=1e-5)
    assert length.isfinite().all()
    corner = length_of(ball, x, step, wanted + 100)
    assert corner.isfinite().all()


def test_the_slope_of_the_size_is_zero_at_the_image_itself() -> None:
    x = torch.rand(2, 6, generator=torch.Generator().manual_seed(0))
    for norm, unit in ((L2, lambda d: d / 2), (L1, torch.sign)):
        ball = Ball(x, norm, torch.full((2,), torch.inf), (0.0, 1.0))
        d = torch.tensor([2.0, 0, 0, 0, 0, 0])
        assert torch.equal(slope_of_size(ball, x), torch.zeros_like(x))
        assert torch.allclose(slope_of_size(ball, x + d)[0], unit(d))


def test_alma_takes_a_first_step_of_the_size_that_was_asked_for() -> None:
    paper = pair()
    net = Recorder(paper.net)
    sp.attack("alma:steps=40,first=0.3,alpha=0.9999999")(net, paper.x, paper.y, sp.Threat("L2"))
    assert torch.allclose(L2.size(net.shown[1] - paper.x), torch.full((5,), 0.3).double(), rtol=1e-3)


# --- boundaries that are near -----------------------------------------------------------------------------------


def near_boundary(norm: str, distance: float) -> tuple[nn.Module, Tensor, Tensor]:
    """An affine net of ten classes on RGB images whose nearest mistake is `distance` away; no bound is near."""
    source = torch.Generator().manual_seed(0)
    weight = torch.randn(10, 3072, generator=source) / 3072**0.5
    net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10, bias=False)).requires_grad_(False)
    net[1].weight.copy_(weight)
    x = torch.rand(2, 3, 32, 32, generator=source) * 0.8 + 0.1
    top = net(x).topk(2, 1).indices
    normal = weight[top[:, 0]] - weight[top[:, 1]]
    away = distance * (normal.norm(dim=1) if norm == "L2" else normal.abs().sum(1))
    back = ((x.flatten(1) * normal).sum(1) - away) / normal.square().sum(1)
    x = x - (back[:, None] * normal).reshape(x.shape)
    return net, x, net(x).argmax(1)


@pytest.mark.parametrize(
    ("spec", "norm", "distance", "passes"),
    [
        ("cw-l2:steps=100,search=4", "L2", 0.003, None),
        ("cw-linf:doublings=3", "Linf", 0.0005, None),
        ("alma:steps=200", "L2", 0.003, None),
        ("min-norm", "L2", 0.003, 40),
        ("min-norm", "L2", 0.003, 24),
        ("min-norm", "Linf", 0.0005, 40),
    ],
)
def test_a_boundary_a_hundred_times_nearer_than_on_digits_is_found(
    spec: str, norm: str, distance: float, passes: int | None
) -> None:
    net, x, y = near_boundary(norm, distance)
    result = sp.attack(spec)(net, x, y, (norm, None), budget=None if passes is None else sp.Budget(passes=passes))
    assert bool((result.distance <= 1.1 * distance).all()), result.distance.tolist()


@pytest.mark.parametrize("norm", ["L0", "L1", "L2", "Linf"])
@pytest.mark.parametrize("passes", [10, 24, 40, 100])
def test_min_norm_gets_somewhere_with_few_passes(norm: str, passes: int) -> None:
    paper = pair()
    best = paper.optimum(sp.Threat(norm).norm)
    result = sp.attack(f"min-norm:passes={passes}")(paper.net, paper.x, paper.y, (norm, None))
    assert int((result.queries + result.gradients).max()) <= passes + 25  # a start or a bisection is not cut short
    assert bool((result.distance <= (1.5 if norm != "L0" else 2.0) * best).all()), (result.distance / best).tolist()


def test_what_was_found_before_is_not_known_afresh_and_comes_back() -> None:
    paper, seen = pair(), []

    class Twice(Attack):
        def run(self, bout: Bout) -> None:
            bout.submit(bout.ball.clip(bout.x - 9 * bout.grad(bout.x, margin).sign().neg()))
            before = bout.nearest_success[1]
            with bout.afresh():
                seen.append(bout.nearest_success[1])
                bout.submit(bout.x)
                seen.append(bout.nearest_success[1])
            seen.extend([before, bout.nearest_success[1]])

    with patch.dict("sparring.attack.REGISTRY"):
        made = register("twice", title="T", sees="gradient", norms=(L2,), aim="minimum", paper="none", year=2024)(Twice)
    for keep in ("best", "margin", "last"):
        seen.clear()
        result = made()(paper.net, paper.x, paper.y, ("L2", None), keep=keep)
        assert bool(seen[0].isinf().all())
        assert bool(seen[1].isinf().all())
        assert bool(seen[2].isfinite().all())
        assert torch.equal(seen[2], seen[3])
        assert bool(result.success.all()) or keep == "last"
