"""The geometry and the searches that decision attacks share, against closed forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import sparring as sp
from sparring.attack import Attack
from sparring.ball import Ball
from sparring.blocks.decision.arcs import arc, swing, tangent
from sparring.blocks.decision.bisect import bisect, descend, duel
from sparring.blocks.decision.normals import across, directions, dot, normal, unit
from sparring.blocks.decision.rates import Rate
from sparring.blocks.decision.signs import block, block_share
from sparring.blocks.decision.starts import far_start, near_start, sign_start
from sparring.bout import Bout
from sparring.norms import L2, Linf
from sparring.rng import Noise
from sparring.testing.fixtures import Affine, Paper, pair

Searching = Callable[..., Attack]


FAR = (-1e6, 1e6)


def ball(x: Tensor) -> Ball:
    return Ball(x, L2, torch.full((len(x),), torch.inf, dtype=x.dtype), FAR)


def draws(seed: int, *shape: int) -> Tensor:
    return Noise.of(torch.zeros(1, 1), seed).normal(*shape, dtype=torch.float64)[0]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 0.95))
def test_the_tangent_point_is_on_the_ball_and_the_line_touches_it(seed: int, share: float) -> None:
    x, o, g = draws(seed, 3, 4, 6).unbind(0)
    g = unit(g)
    g = g * -dot(x - o, g).sign()[:, None]  # away from x
    radius = share * L2.size(x - o)
    k = tangent(ball(x), o, g)(radius)
    assert torch.allclose(L2.size(k - o), radius, rtol=1e-9)
    assert bool((dot(k - o, k - x).abs() < 1e-8).all())


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.99))
def test_points_of_the_half_circle_are_nearer_and_the_way_back_meets_them_at_a_right_angle(
    seed: int, share: float
) -> None:
    x, z, v = draws(seed, 3, 4, 6).unbind(0)
    size = L2.size(z - x)
    point = arc(ball(x), z, v)(share * size)
    assert torch.allclose(L2.size(point - x), share * size, rtol=1e-9)
    assert bool((dot(point - x, point - z).abs() < 1e-8).all())  # Thales
    angle = torch.full_like(size, share)
    assert torch.allclose(L2.size(swing(ball(x), z, v)(-angle) - x), size * angle.cos(), rtol=1e-9)


def test_a_half_circle_meets_a_plane_where_it_is_nearest() -> None:
    x = torch.zeros(1, 3, dtype=torch.float64)
    g, z = torch.tensor([[0.0, 0.0, 1.0]]).double(), torch.tensor([[2.0, 1.0, 1.0]]).double()  # the plane: third = 1
    assert torch.allclose(arc(ball(x), z, g)(torch.ones(1).double()), g)


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_directions_have_size_one_and_low_frequencies_only(share: float) -> None:
    noise = Noise.of(torch.zeros(2, 1), 0)
    d = directions(noise, (1, 8, 8), 50, share, torch.float64)
    assert d.shape == (2, 50, 1, 8, 8)
    assert torch.allclose(d.flatten(2).square().sum(2), torch.ones(2, 50).double())
    rank = torch.linalg.matrix_rank(d[0].flatten(1))
    assert int(rank) == (50 if share == 1 else 4)


@pytest.mark.parametrize("side", [28, 32, 45, 224])
def test_without_a_share_half_of_a_long_side_is_used(side: int) -> None:
    half, own = (directions(Noise.of(torch.zeros(2, 1), 0), (1, side, side), 2, s, torch.float32) for s in (0.5, None))
    assert torch.equal(half, own)


@pytest.mark.parametrize(("shape", "rank"), [((3, 5), 15), ((2, 14), 28), ((2, 20), 28), ((1, 2, 40), 40), ((9,), 9)])
def test_without_a_share_at_least_14_of_a_side_are_used(shape: tuple[int, ...], rank: int) -> None:
    d = directions(Noise.of(torch.zeros(1, 1), 0), shape, 60, None, torch.float64)
    assert int(torch.linalg.matrix_rank(d[0].flatten(1))) == rank


def test_across_removes_what_is_shared() -> None:
    past = torch.linalg.qr(draws(0, 6, 3)).Q.T[None]
    v = across(draws(1, 1, 6), past)
    assert bool((past[0] @ v[0]).abs().max() < 1e-12)


def _run(searching: Searching, run: Callable[[Bout], None], paper: Paper, norm: str = "L2") -> sp.Result:
    return searching(run)(paper.net, paper.x, paper.y, (norm, None))


def test_the_estimated_normal_of_a_plane_is_nearly_its_normal(searching: Searching) -> None:
    """The cosine of such an estimate is about sqrt(2 n / (pi d)) for n probes in d dimensions, here n = 40 d."""
    paper, cosines = pair(), []
    net = paper.net
    assert isinstance(net, Affine)
    w = (net.weight[1] - net.weight[0]).detach()

    def run(bout: Bout) -> None:
        z = near_start(bout, 1e-6)
        side = torch.where(bout.goal.label == 0, 1.0, -1.0)  # w points to class 1
        g = normal(bout, z, 0.02, 800, tag=1)
        free = ((z > 0.03) & (z < 0.97)).flatten(1)  # where the box cuts no probe short
        cosines.append(torch.nn.functional.cosine_similarity(g.flatten(1) * free, side[:, None] * w * free))

    _run(searching, run, paper)
    assert len(cosines[0]) == len(paper)
    assert float(cosines[0].min()) > 0.9


def test_bisection_finds_the_boundary_row_by_row_and_pays_only_while_open(searching: Searching) -> None:
    paper = pair()

    def run(bout: Bout) -> None:
        far_start(bout)
        before = bout._referee.queries.clone()
        edge = torch.linspace(0.1, 0.9, len(bout), dtype=torch.float64)
        rows = torch.arange(len(bout)) > 0
        far = bout.nearest_success[0]

        def hits(radius: Tensor) -> Tensor:  # a known answer instead of the model's
            return torch.where(bout.ball.column(radius >= edge), far, bout.x)

        high = bisect(bout, hits, torch.ones_like(edge), 1e-3, rows)
        assert float(high[0]) == 1.0
        assert bool(((high >= edge) & (high <= edge * 1.002))[1:].all())
        spent = bout._referee.queries - before
        assert int(spent[0]) == 0
        assert int(spent.max()) <= 14

    _run(searching, run, paper)


@pytest.mark.parametrize(("share", "most"), [(0.995, 2), (0.975, 5), (0.5, 14)])
def test_a_descent_finds_the_same_edge_and_pays_little_where_it_is_near(
    share: float, most: int, searching: Searching
) -> None:
    """Steps of 1, 2, 4 ... tolerances, then bisection: as many queries as the edge is doublings away, twice."""
    paper = pair()

    def run(bout: Bout) -> None:
        far_start(bout)
        before = bout._referee.queries.clone()
        edge = torch.full((len(bout),), share, dtype=torch.float64)
        rows = torch.arange(len(bout)) > 0
        far = bout.nearest_success[0]

        def hits(radius: Tensor) -> Tensor:
            return torch.where(bout.ball.column(radius >= edge), far, bout.x)

        high = descend(bout, hits, torch.ones_like(edge), torch.full_like(edge, 0.01), rows)
        assert float(high[0]) == 1.0
        assert bool(((high >= edge) & (high <= edge * 1.011))[1:].all())
        spent = bout._referee.queries - before
        assert int(spent[0]) == 0
        assert int(spent.max()) <= most

    _run(searching, run, paper)


def test_nothing_is_asked_inside_the_ball(searching: Searching) -> None:
    paper, asked = pair(), []

    def run(bout: Bout) -> None:
        def path(radius: Tensor) -> Tensor:
            asked.append(radius)
            return bout.x

        bisect(bout, path, torch.ones(len(bout)).double(), 1e-2, torch.ones(len(bout), dtype=torch.bool))
        duel(bout, lambda r: path(r)[:, None], torch.ones(len(bout)).double(), torch.ones(len(bout), 1).bool(), 4)

    searching(run)(paper.net, paper.x, paper.y, ("Linf", 0.6))
    assert float(asked[0][0]) == pytest.approx(0.6)
    assert all(bool((radius >= 0.6).all()) for radius in asked)


def test_a_duel_is_won_by_the_path_that_fools_nearest(searching: Searching) -> None:
    paper = pair()

    def run(bout: Bout) -> None:
        far_start(bout)
        far = bout.nearest_success[0]
        edges = torch.tensor([0.5, 0.3, 2.0]).double()

        def paths(radius: Tensor) -> Tensor:
            here = (radius[:, None] >= edges)[..., None, None, None]
            return torch.where(here, far[:, None], bout.x[:, None])

        alive = torch.ones(len(bout), 3, dtype=torch.bool)
        winner, radius, won = duel(bout, paths, torch.ones(len(bout)).double(), alive, 8)
        assert winner.tolist() == [1] * len(bout)
        assert bool(won.all())
        assert bool(((radius >= 0.3) & (radius < 0.5)).all())
        nobody = duel(bout, paths, torch.full((len(bout),), 0.2).double(), alive, 8)
        assert not bool(nobody[2].any())

        for start, wins, cost in ((0.2, None, 3), (0.4, 1, 3), (0.5, 1, 5)):  # at 0.5 two fool: they are asked again
            before = bout._referee.queries.clone()
            winner, radius, won = duel(bout, paths, torch.full((len(bout),), start).double(), alive, 8, 0.8, ties=True)
            assert won.tolist() == [wins is not None] * len(bout)
            assert wins is None or winner.tolist() == [wins] * len(bout)
            assert torch.allclose(radius, torch.full_like(radius, 0.4 if start == 0.5 else start))
            assert (bout._referee.queries - before).tolist() == [cost] * len(bout)

    _run(searching, run, paper)


@pytest.mark.long
def test_rows_without_a_start_leave_and_are_failures_of_their_own() -> None:
    """No class but one is ever said of half the images; their neighbours are searched all the same."""

    class Stubborn(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mark = x.flatten(1)[:, 0] > 0.5  # outside the region: nobody can change it
            z = torch.stack([torch.ones(len(x)), 2 * x.flatten(1)[:, 1]], 1)
            return torch.where(mark[:, None], torch.tensor([1.0, 0.0]), z)

    x = torch.tensor([[1.0, 0.2], [0.0, 0.2], [1.0, 0.3], [0.0, 0.1]])
    for name in (
        "hopskipjump",
        "boundary",
        "rays",
        "signflip",
        "adba",
        "signopt",
        "geoda",
        "surfree",
        "cgba",
        "tangent",
    ):
        attack = sp.attack(f"{name}:queries=300")
        region = torch.tensor([False, True])[None, None, None]
        result = attack(
            Stubborn(), x.view(4, 1, 1, 2), torch.zeros(4).long(), (attack.info.norms[0], None), region=region[0]
        )
        assert result.success.tolist() == [False, True, False, True], name
        assert torch.allclose(result.distance[1::2], torch.tensor([0.3, 0.4]), atol=0.01), name


def test_sign_directions_start_with_ones(searching: Searching) -> None:
    paper = pair()

    def run(bout: Bout) -> None:
        signs, radius = sign_start(bout)
        assert bool((signs.abs() == 1).all())
        assert bool((bout.fooled(bout.ball.clip(bout.x + bout.ball.column(radius) * signs))).all())

    assert bool(_run(searching, run, paper, str(Linf)).success.all())


def test_blocks_cover_every_pixel_at_every_level() -> None:
    for pixels in (1, 5, 8):
        seen = torch.zeros(pixels)
        for turn in range(1, 2 * pixels.bit_length() + 1):
            start, stop = block(pixels, turn)
            assert 0 <= start < stop <= pixels
            seen[start:stop] += 1
        assert bool((seen > 0).all())
    assert [block_share(torch.ones(1, 2, 4), turn) for turn in (0, 1, 2, 3, 7)] == [1, 0.5, 0.5, 0.25, 0.125]


def test_a_rate_grows_where_tries_work_and_shrinks_where_they_do_not() -> None:
    rate = Rate.start(torch.zeros(3), 0.4)
    for k in range(4):
        rate = rate.tell(torch.tensor([True, True, False]), torch.tensor([True, k == 0, True]), window=4, aim=0.5)
    assert torch.allclose(rate.value, torch.tensor([0.6, 0.4 / 1.5, 0.4]))
