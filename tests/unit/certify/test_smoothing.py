"""Randomized smoothing: the statistics against scipy, and radii against the closed form of an affine net."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import nn

import sparring as sp
from sparring.certify.binomial import coin_test, interval, lower_bound, tail
from sparring.certify.smoothing import certified, predicted, radius_of
from sparring.errors import InputError


@pytest.mark.parametrize(("hits", "of"), [(0, 10), (1, 10), (9, 10), (10, 10), (990, 1000), (99_000, 100_000), (3, 7)])
def test_bounds_and_tests_are_those_of_scipy(hits: int, of: int) -> None:
    exact = stats.beta.ppf(0.001, hits, of - hits + 1) if hits else 0.0
    assert lower_bound(hits, of, 0.001) == pytest.approx(exact, abs=1e-9)
    assert tail(hits, of, 0.37) == pytest.approx(stats.binom.sf(hits - 1, of, 0.37), rel=1e-6, abs=1e-300)
    assert coin_test(hits, of) == pytest.approx(stats.binomtest(hits, of).pvalue, rel=1e-6, abs=1e-300)
    two = stats.binomtest(hits, of).proportion_ci(0.95, "exact")
    assert interval(hits, of, 0.95) == pytest.approx((two.low, two.high), abs=1e-9)


@pytest.mark.parametrize(
    ("hits", "n", "radius"),
    [
        (100, 100, 1.500),
        (1000, 1000, 2.463),
        (10_000, 10_000, 3.199),
        (100_000, 100_000, 3.811),
        (990, 1000, 1.978),
        (9900, 10_000, 2.212),
        (99_000, 100_000, 2.290),
    ],
)
def test_the_radii_of_the_paper(hits: int, n: int, radius: float) -> None:
    assert radius_of(hits, n, 1.0, 0.001) == pytest.approx(radius, abs=6e-4)
    assert radius_of(hits, n, 0.25, 0.001) == pytest.approx(radius / 4, abs=2e-4)


@pytest.mark.parametrize(("hits", "n", "radius"), [(99_000, 100_000, 2.2900), (1000, 1000, 2.4633)])
def test_radii_to_four_digits(hits: int, n: int, radius: float) -> None:
    """Cohen et al.'s CERTIFY at alpha 0.001, in units of sigma; and for other counts by scipy's beta quantile."""
    assert round(radius_of(hits, n, 1.0, 0.001), 4) == radius
    for k in (hits, int(0.6 * n), int(0.9 * n)):
        exact = stats.norm.ppf(stats.beta.ppf(0.001, k, n - k + 1))
        assert radius_of(k, n, 0.5, 0.001) == pytest.approx(0.5 * exact, abs=1e-6)


@pytest.mark.long
def test_no_attack_on_the_majority_vote_is_nearer_than_the_certified_radius() -> None:
    """PGD against the mean of fixed noisy looks, at the certified radius: the vote there stays the same."""
    from sparring.certify.smoothing import votes
    from sparring.rng import Noise

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)).requires_grad_(False)
        x, noise = torch.rand(8, 1, 4, 4), 0.25 * torch.randn(64, 1, 1, 4, 4)
    found = certified(sp.wrap(net), x, sigma=0.25, n=2000)
    sure = (found.radius > 0).nonzero().squeeze(1)
    assert len(sure) >= 4

    class Smoothed(nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return torch.stack([net(z + one) for one in noise]).softmax(2).mean(0).log() + 1

    for i in sure.tolist():
        y = found.label[i : i + 1]
        attack = sp.PGD(steps=20)
        z = attack(
            sp.wrap(Smoothed(), box=(-9, 9)), x[i : i + 1], y, ("L2", float(found.radius[i])), keep="margin"
        ).x_adv
        assert int(votes(sp.wrap(net, box=(-9, 9)), z, 0.25, 2000, Noise.of(z, 1)).argmax(1)) == int(y)


def affine() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Two classes, the boundary at sum of pixels = 2; images at known distances from it."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    net[1].weight.data = torch.tensor([[0.0] * 4, [1.0] * 4])
    net[1].bias.data = torch.tensor([0.0, -2.0])
    gap = torch.tensor([0.9, 0.6, 0.3, 0.05, -0.6])
    x = 0.5 + gap[:, None] / 2 / 4 * torch.ones(4) * 2
    return net.requires_grad_(False), x.reshape(5, 1, 2, 2), gap / 2


@pytest.mark.long
def test_radii_of_an_affine_net_stay_below_the_distance_and_come_near() -> None:
    """For a half-space the true radius is the distance to its boundary, whatever sigma is."""
    net, x, distance = affine()
    found = certified(sp.wrap(net), x, sigma=0.25, n=20_000)
    inside = distance.abs() > 0.1
    assert bool((found.radius[inside] <= distance.abs()[inside] + 1e-6).all())
    assert bool((found.radius[inside] >= 0.9 * distance.abs()[inside]).all())
    assert found.label[inside].tolist() == [1, 1, 1, 0]


def test_it_abstains_where_the_votes_are_even() -> None:
    net, x, _ = affine()
    at_boundary = torch.full_like(x[:1], 0.5)
    found = certified(sp.wrap(net), at_boundary, sigma=0.25, n=200)
    assert found.label.tolist() == [-1]
    assert found.radius.tolist() == [0.0]
    assert predicted(sp.wrap(net), at_boundary, sigma=0.25, n=200).tolist() == [-1]
    assert predicted(sp.wrap(net), x[:1], sigma=0.25, n=200).tolist() == [1]


def test_through_the_front_door() -> None:
    net, x, distance = affine()
    y = (distance > 0).long()
    y[1] = 0
    method = "smoothing:n=2000"
    under_l2 = sp.certify(net, x, y, ("L2", 0.2), method)
    assert under_l2.status[:3] == ["certified", "wrong", "unknown"]
    assert float(under_l2.bound[1]) == 0
    assert under_l2.method == method
    under_linf = sp.certify(net, x, y, ("Linf", 0.1), method)
    assert float(under_linf.bound[0]) == pytest.approx(float(under_l2.bound[0]) / math.sqrt(4))


def test_batches_and_order_change_nothing_and_the_seed_does() -> None:
    net, x, distance = affine()
    y = (distance > 0).long()
    method = "smoothing:sigma=0.5,n=300"
    whole = sp.certify(net, x, y, ("L2", 0.1), method).bound
    assert torch.equal(whole, sp.certify(net, x, y, ("L2", 0.1), method, batch_size=2).bound)
    assert torch.equal(whole.flip(0), sp.certify(net, x.flip(0), y.flip(0), ("L2", 0.1), method).bound)
    assert not torch.equal(whole, sp.certify(net, x, y, ("L2", 0.1), method, seed=1).bound)


def test_any_classifier_will_do_and_nonsense_is_refused() -> None:
    x, y = torch.rand(2, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 0])
    constant = sp.certify(lambda z: z.flatten(1)[:, :2] * 0 + torch.tensor([1.0, 0.0]), x, y, ("L2", 0.1), "smoothing")
    assert constant.certified.all()
    with pytest.raises(InputError, match="sigma > 0"):
        sp.certify(nn.Flatten(), x, y, ("L2", 0.1), "smoothing:sigma=0")
