"""Differential evolution: parents are others and different, what children inherit, how genes are painted."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.populations.differential import children, others, pick
from sparring.blocks.populations.spots import first_spots, frame, lawful, painted
from sparring.norms import L0
from sparring.rng import Noise

NOISE = Noise(torch.arange(3))


class Around:
    """As much of a bout as painting needs."""

    def __init__(self, x: Tensor, eps: float = 99.0, free: Tensor | None = None) -> None:
        self.x, self.eps = x, torch.full((len(x),), eps)
        self.ball = Ball(x, L0, self.eps, (0.0, 1.0), None, None if free is None else free.expand(x.shape))

    def __len__(self) -> int:
        return len(self.x)


def test_three_parents_are_different_and_none_is_the_child() -> None:
    for count in (4, 5, 20):
        picks = torch.stack([torch.arange(count).expand(3, -1), *others(NOISE, count)])
        for one in range(4):
            for two in range(one):
                assert not bool((picks[one] == picks[two]).any())
    counts = torch.bincount(torch.stack([others(NOISE, 8)[2] for _ in range(400)]).flatten(), minlength=8)
    assert float(counts.float().std() / counts.float().mean()) < 0.1


def test_a_child_changes_some_parts_and_always_one() -> None:
    genes = torch.rand(3, 40, 10, 3)
    values = torch.rand(3, 40)
    for rate, low, high in ((0.0, 1, 1), (0.3, 1, 9), (1.0, 10, 10)):
        child = children(genes, values, NOISE, 0.5, "rand", rate)
        changed = (child != genes).any(3).sum(2)
        assert int(changed.min()) == low
        assert low <= int(changed.max()) <= high


def test_children_of_the_fittest_set_out_from_it() -> None:
    genes = torch.rand(3, 6, 2, 3)
    genes[:, 1:] = genes[:, 1:2]  # all but one alike: most differences are zero
    values = torch.zeros(3, 6)
    values[:, 0] = 1
    child = children(genes, values, NOISE, 0.5, "best", 1.0)
    at_fittest = (child == genes[:, :1]).flatten(2).all(2)
    assert int(at_fittest.sum()) >= 3


def test_individuals_are_picked_row_by_row() -> None:
    population = torch.arange(12).reshape(2, 3, 2)
    assert pick(population, torch.tensor([[2, 0], [1, 1]])).tolist() == [[[4, 5], [0, 1]], [[8, 9], [8, 9]]]


def test_spots_are_painted_where_they_say_and_the_last_wins() -> None:
    x = torch.zeros(1, 3, 4, 5)
    here = [0.5, 0.4, 1.0, 0.5, 0.25]
    genes = torch.tensor([[[here, [0.0, 0.99, 0.2, 0.2, 0.2]], [here, [*here[:2], 0.1, 0.1, 0.1]]]])
    z = painted(Around(x), genes)  # type: ignore[arg-type]
    assert z.shape == (1, 2, 3, 4, 5)
    assert z[0, 0, :, 2, 2].tolist() == [1.0, 0.5, 0.25]
    assert torch.allclose(z[0, 0, :, 0, 4], torch.tensor(0.2))
    assert int((z[0, 0] != 0).sum()) == 6
    assert torch.allclose(z[0, 1, :, 2, 2], torch.tensor(0.1))
    assert int((z[0, 1] != 0).sum()) == 3


def test_no_more_values_than_eps_are_changed() -> None:
    x = torch.zeros(2, 3, 4, 5)
    z = painted(Around(x, eps=2), first_spots(Noise(torch.arange(2)), 7, 1, x))  # type: ignore[arg-type]
    assert int((z != 0).flatten(2).sum(2).max()) <= 2


def test_spots_stay_in_the_rectangle_around_the_region() -> None:
    x, free = torch.zeros(2, 1, 6, 7), torch.zeros(1, 6, 7, dtype=torch.bool)
    free[:, 2:4, 3:6] = True
    bout = Around(x, free=free)
    assert [side.tolist() for side in frame(bout)] == [[2, 2], [3, 3], [2, 2], [3, 3]]  # type: ignore[arg-type]
    z = painted(bout, first_spots(Noise(torch.arange(2)), 200, 1, x).clamp(min=0.01))  # type: ignore[arg-type]
    assert torch.equal((z != 0).any(1).any(0).any(0), free[0])


def test_genes_are_made_lawful() -> None:
    genes = lawful(torch.tensor([-0.25, 1.25, -1.0, 2.0, 0.5]))
    assert genes.tolist() == [0.75, 0.25, 0.0, 1.0, 0.5]
