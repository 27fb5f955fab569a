"""The interval that may be looked at after every image: a martingale by arithmetic, and its coverage by simulation."""

from __future__ import annotations

import math

import pytest
import torch

from sparring.audit.statistics.proportion import wilson
from sparring.audit.statistics.sequential import ALPHA, JEFFREYS, Prior, Sequence, interval, log_evidence, near, needed

BAR = math.log(1 / ALPHA)


@pytest.mark.parametrize("prior", [JEFFREYS, near(0.85), near(0.0)])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.85])
@pytest.mark.parametrize(("hits", "of"), [(0, 0), (0, 7), (3, 7), (170, 200)])
def test_the_evidence_against_the_truth_is_a_fair_game(hits: int, of: int, share: float, prior: Prior) -> None:
    """E[M after the next image] = M now, exactly, at every point it can reach."""
    now = math.exp(log_evidence(hits, of, share, prior))
    hit = math.exp(log_evidence(hits + 1, of + 1, share, prior))
    miss = math.exp(log_evidence(hits, of + 1, share, prior))
    assert share * hit + (1 - share) * miss == pytest.approx(now, rel=1e-9)


def test_the_uniform_mixture_in_closed_form() -> None:
    """Beta(1, 1): the mixture is 1 / ((n + 1) choose(n, h))."""
    seen = math.exp(log_evidence(3, 5, 0.5, (1.0, 1.0)))
    assert seen == pytest.approx(1 / (6 * math.comb(5, 3)) / 0.5**5)


def test_coverage_at_all_times_by_simulation_and_why_wilson_will_not_do() -> None:
    runs, length = 300, 200
    coin = torch.Generator().manual_seed(3)
    for share, prior in ((0.85, JEFFREYS), (0.85, near(0.85)), (0.5, near(0.8)), (0.97, near(0.97))):
        hits = (torch.rand(runs, length, generator=coin, dtype=torch.float64) < share).long().cumsum(1).tolist()
        missed = sum(any(log_evidence(h, n, share, prior) >= BAR for n, h in enumerate(run, 1)) for run in hits)
        assert missed <= ALPHA * runs
        wilson_missed = sum(
            any(not low <= share <= high for low, high in (wilson(h, n) for n, h in enumerate(run, 1))) for run in hits
        )
        assert wilson_missed > 3 * ALPHA * runs  # an interval for one look, looked at 200 times


@pytest.mark.parametrize(("hits", "of"), [(0, 30), (30, 30), (17, 30), (1, 1000), (9998, 10000)])
def test_the_ends_are_where_the_evidence_reaches_the_bar(hits: int, of: int) -> None:
    low, high = interval(hits, of)
    assert 0 <= low <= hits / of <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            assert log_evidence(hits, of, end) == pytest.approx(BAR, abs=1e-6)
            assert log_evidence(hits, of, end) >= BAR  # on the safe side
    assert high - low > wilson(hits, of)[1] - wilson(hits, of)[0]


def test_nothing_counted_says_nothing() -> None:
    assert interval(0, 0) == (0.0, 1.0)
    assert needed(0, 0, 0.5) is None


@pytest.mark.parametrize(("hits", "of", "share"), [(90, 100, 0.85), (95, 100, 0.97), (40, 50, 0.5)])
def test_needed_is_where_it_is_settled_first(hits: int, of: int, share: float) -> None:
    more, prior = needed(hits, of, share, near(share)), near(share)
    assert more is not None
    at = [log_evidence(hits / of * n, n, share, prior) for n in (of + more - 1, of + more)]
    assert at[0] < BAR <= at[1] or (more == 0 and at[1] >= BAR)


def test_a_share_at_the_limit_is_never_settled() -> None:
    assert needed(85, 100, 0.85) is None


def test_image_by_image_is_the_same_as_at_once() -> None:
    seen = Sequence(prior=near(0.9))
    for hit in [True] * 8 + [False] * 2:
        seen.add(hit)
    assert (seen.hits, seen.of) == (8, 10)
    assert seen.interval == interval(8, 10, near(0.9))
