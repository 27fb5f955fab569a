"""Per-sample noise: its moments, and its independence of batch, order, dtype, seed and whatever else was drawn."""

from __future__ import annotations

import math

import pytest
import torch

from sparring.rng import Noise, digest

N = 200_000


def x(rows: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.rand(rows, 1, 3, 4, generator=torch.Generator().manual_seed(seed))


def noise(rows: int = 6, seed: int = 0) -> Noise:
    return Noise.of(x(rows), seed)


def near(value: float, expected: float, deviation: float, count: int = 6 * N) -> bool:
    """Within 4.5 standard errors: by chance wrong once in 150,000 times, and the numbers are fixed anyway."""
    return abs(value - expected) < 4.5 * deviation / math.sqrt(count)


def test_uniform_has_the_moments_of_a_uniform() -> None:
    u = noise().uniform(N, dtype=torch.float64)
    assert u.shape == (6, N)
    assert bool((u >= 0).all() and (u < 1).all())
    assert near(float(u.mean()), 0.5, math.sqrt(1 / 12))
    assert near(float(u.square().mean()), 1 / 3, math.sqrt(4 / 45))
    counts = torch.histc(u, 50, 0, 1)
    expected = 6 * N / 50
    assert float(((counts - expected) ** 2 / expected).sum()) < 49 + 4.5 * math.sqrt(2 * 49), "chi-square over 50 bins"


def test_normal_has_the_moments_of_a_normal() -> None:
    z = noise().normal(N, dtype=torch.float64)
    assert near(float(z.mean()), 0, 1)
    assert near(float(z.square().mean()), 1, math.sqrt(2))
    assert near(float(z.pow(3).mean()), 0, math.sqrt(15))
    assert near(float(z.pow(4).mean()), 3, math.sqrt(96))
    assert near(float((z.abs() > 2).double().mean()), 0.0455, math.sqrt(0.0455))


def test_quick_normals_have_the_moments_of_a_normal() -> None:
    z = noise().quick_normal(N).double()
    assert near(float(z.mean()), 0, 1)
    assert near(float(z.square().mean()), 1, math.sqrt(2))
    assert near(float(z.pow(3).mean()), 0, math.sqrt(15))
    assert near(float(z.pow(4).mean()), 3, math.sqrt(96))
    assert near(float((z.abs() > 2).double().mean()), 0.0455, math.sqrt(0.0455))
    for lag in (1, 2, N // 2):  # neighbours, and the two of the same radius
        assert near(float((z[:, lag:] * z[:, :-lag]).mean()), 0, 1, 6 * (N - lag))


def test_a_pair_of_uniforms_is_two_that_know_nothing_of_each_other() -> None:
    first, second = (u.double() for u in noise().uniform_pair(N // 2, 2))
    assert first.shape == second.shape == (6, N // 2, 2)
    for u in (first, second):
        assert bool((u >= 0).all() and (u < 1).all())
        assert near(float(u.mean()), 0.5, math.sqrt(1 / 12))
        assert near(float(u.square().mean()), 1 / 3, math.sqrt(4 / 45))
    assert near(float(((first - 0.5) * (second - 0.5)).mean()), 0, 1 / 12)


@pytest.mark.parametrize("count", [1, 5, 300, 5000])
def test_quick_numbers_belong_to_the_row_alone(count: int) -> None:
    whole, pair = noise(40).quick_normal(count), noise(40).uniform_pair(count)
    for row in (0, 17, 39):
        alone = noise(40)[torch.tensor([row])]
        assert torch.equal(alone.quick_normal(count)[0], whole[row])
        alone = noise(40)[torch.tensor([row])]
        assert all(torch.equal(mine[0], all_[row]) for mine, all_ in zip(alone.uniform_pair(count), pair, strict=True))
    assert whole.shape == (40, count)
    assert torch.equal(noise(40).quick_normal(count, dtype=torch.float64).float(), whole)


def test_signs_and_whole_numbers() -> None:
    signs = noise().signs(N)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert near(float(signs.double().mean()), 0, 1)
    below = noise().below(7, N)
    assert below.dtype == torch.int64
    assert (int(below.min()), int(below.max())) == (0, 6)
    counts = torch.bincount(below.flatten(), minlength=7).double()
    assert float(((counts - 6 * N / 7) ** 2 / (6 * N / 7)).sum()) < 6 + 4.5 * math.sqrt(12)
    high = torch.tensor([1, 2, 3, 4, 5, 6])[:, None]
    assert noise().below(high, 1000).amax(1).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shapes_are_as_asked(count: int) -> None:
    assert noise().normal(count).shape == (6, count), "odd counts too: normals come in pairs"
    assert noise().uniform(2, count, 3).shape == (6, 2, count, 3)
    assert noise().signs(count, dtype=torch.float64).dtype == torch.float64


def test_streams_are_independent_of_each_other() -> None:
    """Rows, seeds, folds and successive draws: no two streams correlate, and none is another one shifted."""
    base = noise(4)
    streams = [base.uniform(20_000, dtype=torch.float64), base.uniform(20_000, dtype=torch.float64)]
    streams += [noise(4, seed).uniform(20_000, dtype=torch.float64) for seed in (1, 2, -1)]
    streams += [
        noise(4).fold(*tags).uniform(20_000, dtype=torch.float64) for tags in ((0,), (1,), (0, 0), (0, 1), (1, 0))
    ]
    rows = torch.cat(streams)
    assert len({tuple(row[:5].tolist()) for row in rows}) == len(rows)
    correlation = torch.corrcoef(rows) - torch.eye(len(rows), dtype=torch.float64)
    assert float(correlation.abs().max()) < 5 / math.sqrt(20_000)
    shifted = torch.corrcoef(torch.cat([rows[:, :-1], rows[:, 1:]]))[: len(rows), len(rows) :]
    assert float(shifted.abs().max()) < 5 / math.sqrt(20_000)


def test_one_grey_level_in_one_pixel_is_another_sample() -> None:
    a = x(1)
    b = a.clone()
    b[0, 0, 0, 0] += 1 / 255
    assert int(digest(a)) != int(digest(b))
    assert not torch.equal(Noise.of(a, 0).uniform(8), Noise.of(b, 0).uniform(8))


def test_a_sample_draws_the_same_alone_in_any_batch_and_in_any_order() -> None:
    whole = noise(6).normal(3, 5)
    order = torch.tensor([4, 0, 5, 1, 3, 2])
    assert torch.equal(Noise.of(x(6)[order], 0).normal(3, 5), whole[order])
    for i in range(6):
        assert torch.equal(Noise.of(x(6)[i : i + 1], 0).normal(3, 5)[0], whole[i])


def test_rows_that_leave_take_their_place_in_the_stream_with_them() -> None:
    left = noise(6)
    left.uniform(10)
    rows = torch.tensor([1, 4])
    assert torch.equal(left[rows].uniform(7), left.uniform(7)[rows])


def test_drawing_in_parts_is_drawing_at_once() -> None:
    parts, whole = noise(), noise()
    assert torch.equal(torch.cat([parts.uniform(3), parts.uniform(4)], 1), whole.uniform(7))


def test_a_fold_does_not_depend_on_what_was_drawn_before() -> None:
    fresh, used = noise(), noise()
    used.uniform(100)
    assert torch.equal(fresh.fold(2).uniform(9), used.fold(2).uniform(9))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_numbers_whatever_the_dtype(dtype: torch.dtype) -> None:
    double = Noise.of(x().double(), 0)
    single = Noise.of(x(), 0)
    assert torch.equal(double.keys, single.keys)
    assert torch.equal(double.uniform(50, dtype=dtype).double(), single.uniform(50, dtype=torch.float64))
    assert torch.allclose(double.normal(50, dtype=dtype).double(), single.normal(50, dtype=torch.float64), atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_the_same_numbers_on_every_device() -> None:
    assert torch.equal(Noise.of(x().cuda(), 3).uniform(50).cpu(), Noise.of(x(), 3).uniform(50))


def test_the_numbers_stay_what_they_are() -> None:
    """Results of earlier versions must be repeatable: the first numbers of a known sample under a known seed."""
    known = Noise.of(torch.zeros(1, 1, 2, 2), 0)
    assert known.uniform(3, dtype=torch.float64)[0].tolist() == pytest.approx([0.855080, 0.335970, 0.371208], abs=1e-6)


def test_the_global_generator_is_not_touched() -> None:
    before = torch.random.get_rng_state()
    n = noise()
    for draw in (n.uniform, n.normal, n.signs, n.fold(1).uniform):
        draw(3)
    n.below(3, 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_samples_draw_nothing() -> None:
    nothing = Noise.of(x(0), 0)
    assert len(nothing) == 0
    assert nothing.normal(2, 3).shape == (0, 2, 3)


def test_many_numbers_are_those_of_each_row_alone() -> None:
    """They are worked out a few rows at a time."""
    x = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    noise = Noise.of(x, 3)
    first = noise.uniform(1), noise.normal(20_001), noise.uniform(9000), noise.uniform(3)
    for row in range(5):
        alone = Noise.of(x[row : row + 1], 3)
        again = alone.uniform(1), alone.normal(20_001), alone.uniform(9000), alone.uniform(3)
        assert all(torch.equal(a[row], b[0]) for a, b in zip(first, again, strict=True))
